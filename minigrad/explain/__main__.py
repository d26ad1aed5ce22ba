"""python -m minigrad.explain "text" [--dim 3 --length 4 --stride 2 --batch 2 --seed 0 --out explain.html]"""

from __future__ import annotations

import argparse
from pathlib import Path

from .page import explain
from .run import DEFAULT_TEXT


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.explain",
        description="Writes one HTML page that shows what a lookup and its gradient do to every number, from a real run.",
    )
    parser.add_argument("text", nargs="*", help=f"what to run (default: {DEFAULT_TEXT!r})")
    parser.add_argument("--dim", type=int, default=3, help="numbers a row of the tables has (default 3)")
    parser.add_argument("--length", type=int, help="tokens a window (default 4, fewer for a short text)")
    parser.add_argument(
        "--stride", type=int, help="tokens from one window to the next (default 2, or 1 for a short text)"
    )
    parser.add_argument("--batch", type=int, default=2, help="windows in the batch (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0)")
    parser.add_argument("--out", type=Path, default=Path("explain.html"), help="where to write (default explain.html)")
    options = parser.parse_args()
    try:
        page = explain(**{**vars(options), "text": " ".join(options.text) if options.text else DEFAULT_TEXT})
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {str(error).removeprefix('explain: ')}\n")
    for note in page.run["notes"]:
        print(note)
    print(f"wrote {options.out} ({len(page.encode()) / 1000:.0f} kB): open it in a browser")


if __name__ == "__main__":
    main()
