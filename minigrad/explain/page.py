"""A run as one HTML file that needs nothing else: page.html with its style, its script and the run's numbers put in."""

from __future__ import annotations

import html
import json
import os
from importlib.resources import files
from typing import Any

from ..files import replacing
from .run import DEFAULT_TEXT, run

MADE_BY = "<!-- made by minigrad.explain -->"


class Page(str):
    """The HTML of a page. In a notebook it shows itself; `save` writes it.

    Attributes:
        run: everything the page shows, as numbers and lists.
    """

    run: dict[str, Any]

    def save(self, path: str | os.PathLike[str] = "explain.html") -> None:
        """Write the page, whole or not at all, in place of an earlier one.

        Raises:
            FileExistsError: there is a file of that name that is not such a page; it is left alone.
            OSError: it cannot be written.
        """
        path = os.fsdecode(path)  # not a number: open() would take it for a file that is already open
        if os.path.exists(path):
            with open(path, "rb") as file:
                if MADE_BY.encode() not in file.read(200):
                    raise FileExistsError(f"{path} is there and is not a page of explain: choose another name")
        with replacing(path) as out:
            out.write(self.encode())

    def _repr_html_(self) -> str:
        """The page in a frame of its own, where its style and script touch nothing else."""
        base = '<head>\n<base href="about:srcdoc">'  # or the links to the panels would lead to the notebook
        page = self.replace("<head>", base, 1)
        return (
            f'<iframe srcdoc="{html.escape(page)}" title="minigrad explains" width="100%" height="800" '
            'sandbox="allow-scripts" style="border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"Page({len(self.encode()):,} bytes)"


def explain(
    text: str = DEFAULT_TEXT,
    dim: int = 3,
    length: int | None = None,
    stride: int | None = None,
    batch: int = 2,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
) -> Page:
    """Run a text through tokens, windows, embeddings, a loss, backward and an SGD step, and show every number on a page.

    Args:
        text: what to run; the page takes its first 1,000 tokens.
        dim: numbers a row of the tables has.
        length: tokens a window. Default: 4, or fewer where the text is too short to fill the batch.
        stride: tokens from one window to the next. Default: 2, or 1.
        batch: windows in the batch, the first ones of the text.
        seed: of the weights. The program's own random stream is left as it is.
        out: a file to write the page to.

    Returns:
        the page, a str of HTML below 300 KB. It shows itself in a notebook, and makes no request of any kind.

    Raises:
        TypeError: text is not a str, another argument not an int, `out` not a path.
        ValueError: fewer than two tokens; a size below 1; more numbers than a page can hold: dim > 64, batch * length > 32 or
            batch * length * dim > 512.
        FileExistsError: `out` is a file that is not such a page.
    """
    found = run(text, dim, length, stride, batch, seed)
    here = files(__package__)
    # no end tag inside the script, and no line separator that older readers take for the end of a line
    data = json.dumps(found, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "/* page.css */": here.joinpath("page.css").read_text(encoding="utf-8"),
        "/* page.js */": here.joinpath("page.js").read_text(encoding="utf-8"),
        "/* run */": data,
    }
    page = here.joinpath("page.html").read_text(encoding="utf-8")
    for mark, part in parts.items():
        page = page.replace(mark, part)
    result = Page(page)
    result.run = found
    if out is not None:
        result.save(out)
    return result
