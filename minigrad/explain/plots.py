"""Pictures for when one looks rather than reads, drawn by matplotlib (pip install -e '.[plot]'). Each is one call:

    heat_map(table, texts)       the numbers of a table
    cosines(table, texts)        which rows point the same way
    projection(tables, texts)    the rows as points of a plane, before and after training
    loss_curve(losses)           training, held out, several runs
    attention(weights, texts)    who looks at whom; attention_weights(model, ids) finds that out

Where a table is expected, a layer that has one will do (an Embedding), and several by name, {"before": ..., "after": ...}, are
drawn side by side and alike. Tensors may be on any device, of any dtype, and require gradients: nothing of theirs changes.

Every call returns a matplotlib Figure, which a notebook shows and pyplot knows nothing of; with `path` it is also written to
that file, of the kind that its ending says (.png, .svg, .pdf). Texts are drawn as they are: "$" is a dollar.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..backend import is_array, to_numpy
from ..files import replacing
from ..gpt import GPT, CausalSelfAttention
from ..grad_mode import no_grad
from ..nn.module import Module
from ..nn.positions import Positions
from ..ops.creation import as_tensor, eye
from ..ops.shape import stack
from ..tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = 40
"""So many texts are written along an axis or beside points; a picture that leaves some out says so."""
ROWS = 1000
"""So many rows of a table are drawn as a heat map; a longer one says so."""
LETTERS = 16
"""A longer text is cut."""
BLANK = "0.9"
"""The grey of what has no number."""
# Okabe and Ito's colours, told apart by the colour-blind; beside them, lines differ in dashes and points in shape
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
DASHES = ["-", "--", "-.", ":"]
SHAPES = ["o", "s", "^", "D", "v", "P", "X"]


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"minigrad.explain.plots draws with matplotlib, and this failed: {error}. It comes with the extra `plot`: "
            f"pip install -e '.[plot]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]  # a notebook asks for it
    return figure


def _png(figure: Figure) -> bytes:
    figure.savefig(out := io.BytesIO(), format="png")
    return out.getvalue()


def save(figure: Figure, path: str | os.PathLike[str] | None, dpi: float = 100) -> Figure:
    """Write the picture to a file, whole or not at all; without a path nothing is written. Returns the figure.

    Raises:
        ValueError: the path does not end as a kind of picture does, say .png.
        FileNotFoundError: there is no such folder.
    """
    if path is not None:
        file = Path(path)
        known = figure.canvas.get_supported_filetypes()
        if (kind := file.suffix[1:].lower()) not in known:
            raise ValueError(f"{path}: its ending shall say what kind of picture: {', '.join(f'.{k}' for k in known)}")
        with replacing(file) as out:
            figure.savefig(out, format=kind, dpi=dpi)
    return figure


# ------------------------------------------------------------------------------------------------- what was handed over


def _numbers(where: str, x: Any) -> np.ndarray:
    """The numbers of a tensor, an array, nested lists of them, or a layer's table: float64, on the host."""
    if isinstance(x, Module):
        if (weight := getattr(x, "weight", None)) is None:
            raise TypeError(
                f"{where}: {type(x).__name__} is a layer without a table (.weight) of its own; pass one that has, say "
                f"model.embedding.token, or the numbers themselves"
            )
        x = weight
    if isinstance(x, list | tuple) and any(isinstance(each, Tensor) or is_array(each) for each in x):
        x = [_numbers(where, each) for each in x]
    try:
        array = x.numpy(force=True) if isinstance(x, Tensor) else to_numpy(x) if is_array(x) else np.array(x)
    except ValueError as error:
        raise ValueError(f"{where}: the rows are of different lengths ({error})") from error
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise TypeError(
            f"{where}: numbers are drawn (a tensor, an array or a layer), got {type(x).__name__} of {array.dtype}"
        )
    return array.astype(np.float64)


def _tables(where: str, tables: Any, least: tuple[int, int] = (1, 1)) -> dict[str, np.ndarray]:
    """Tables (rows, columns) by name; one without a name is called ""."""
    named = dict(tables) if isinstance(tables, Mapping) else {"": tables}
    if not named:
        raise ValueError(f"{where}: there is no table to draw")
    found = {str(name): _numbers(where, table) for name, table in named.items()}
    for name, table in found.items():
        which = f"table {name!r}" if name else "the table"
        if table.ndim != 2:
            raise ValueError(
                f"{where}: {which} must be (rows, columns), got shape {table.shape}"
                + ("; of a batch (B, T, D) pass one, say x[0]" if table.ndim == 3 else "")
            )
        if table.shape[0] < least[0] or table.shape[1] < least[1]:
            raise ValueError(
                f"{where}: {which} needs at least {least[0]} rows and {least[1]} columns, got {table.shape}"
            )
        if len(table) != len(first := next(iter(found.values()))):
            raise ValueError(
                f"{where}: tables side by side have the same rows, got {len(first)} and {len(table)}: draw each by itself"
            )
    return found


def _finite(where: str, tables: dict[str, np.ndarray]) -> None:
    for name, table in tables.items():
        if bad := int((~np.isfinite(table)).any(axis=1).sum()):
            raise ValueError(
                f"{where}: {bad} of {len(table)} rows{f' of {name!r}' if name else ''} hold NaN or infinity; "
                f"heat_map shows which"
            )


def _checked_texts(where: str, texts: Sequence[Any] | None, count: int, of_what: str = "rows") -> list[str] | None:
    if texts is None:
        return None
    if len(texts) != count:
        raise ValueError(f"{where}: one text for each of the {count} {of_what}, got {len(texts)}")
    return [shown(text) for text in texts]


def shown(text: Any, limit: int = LETTERS) -> str:
    r"""A token's text as a label: a space at either end as "␣", a line end as "\n", what the font lacks as "\U0001fae0", and cut
    where it is longer than `limit` letters."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    text = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" "))
    text = "␣" * left + inner + "␣" * (len(text) - left - len(inner))
    return "".join(
        c if c.isprintable() and font.get_char_index(ord(c)) else c.encode("unicode_escape").decode() for c in text
    )


# -------------------------------------------------------------------------------------------------------------- drawing


def _label(axes: Axes, axis: Literal["x", "y"], what: str, texts: list[str] | None, count: int) -> None:
    """Texts, or whole numbers, along "x" or "y", and what they are; no more than fit."""
    if texts is None:
        axes.locator_params(axis=axis, integer=True)
    else:
        every = math.ceil(count / LABELS)
        ticks = range(0, count, every)
        ticks_of = axes.set_xticks if axis == "x" else axes.set_yticks
        ticks_of(ticks, [texts[i] for i in ticks], fontsize="small", parse_math=False)
        if axis == "x" and max(map(len, texts)) > 1:
            axes.tick_params(axis="x", labelrotation=90)
        if every > 1:
            what += f" ({len(ticks)} of {count} texts shown)"
    (axes.set_xlabel if axis == "x" else axes.set_ylabel)(what)


def _title(figure: Figure, axes: Axes, name: str, title: str) -> None:
    """The name above its panel, the title above all."""
    axes.set_title(shown(name, 40) if name else "", fontsize="medium", parse_math=False)
    figure.suptitle(title, parse_math=False)


def _legend(where: Any, handles: Sequence[Any], names: list[str], **how: Any) -> None:
    """Of a figure or axes. Names are set afterwards, since one may begin with "_", which matplotlib leaves out, or hold "$"."""
    legend = where.legend(handles, [f"entry {i}" for i in range(len(names))], **how)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set(text=name, parse_math=False)


def _images(
    figure: Figure, matrices: dict[str, np.ndarray], reach: float, unit: str, title: str, aspect: Any
) -> list[Axes]:
    """Matrices side by side in one scale of colours: blue below zero, white, red above; grey where there is no number."""
    panels = list(figure.subplots(1, len(matrices), squeeze=False)[0])
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        axes.set_facecolor(BLANK)
        image = axes.imshow(
            np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-reach, vmax=reach, aspect=aspect, interpolation="nearest"
        )
        _title(figure, axes, name, title)
    figure.colorbar(image, ax=panels, label=unit, shrink=0.8)
    return panels


def _first_rows(tables: dict[str, np.ndarray], texts: list[str] | None) -> tuple[int, str]:
    count = len(next(iter(tables.values())))
    return min(count, ROWS), f"\n(the first {ROWS:,} of {count:,} rows)" if count > ROWS else ""


def heat_map(
    tables: Any,
    texts: Sequence[Any] | None = None,
    *,
    rows: str = "row",
    unit: str = "value",
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """The numbers of a table (rows, columns) as colours: red above zero, blue below, grey what is not finite.

    Args:
        tables: one, or several by name: these are drawn in the same colours, so that what grew is seen.
        texts: of the rows, say the tokens.
        rows: what a row is, say "token" or "position".
        unit: of the numbers.

    Raises:
        ValueError: not (rows, columns), no rows, tables of different lengths, or not as many texts as rows.
        TypeError: no numbers.
        ImportError: there is no matplotlib.
    """
    named = _tables("heat_map", tables)
    figure = _figure(1.5 + 4 * len(named), 4.5)
    labels = _checked_texts("heat_map", texts, len(next(iter(named.values()))))
    count, cut = _first_rows(named, labels)
    named = {name: table[:count] for name, table in named.items()}
    finite = [np.abs(table[np.isfinite(table)]) for table in named.values()]
    reach = max((a.max() for a in finite if a.size), default=0.0) or 1.0
    figure.set_figheight(max(4.5, 1.2 + 0.17 * min(count, LABELS)) if labels else 4.5)
    title = f"Each line is the vector of one {rows}; white is zero" if title is None else title
    for axes in (panels := _images(figure, named, reach, unit, title + cut, "auto")):
        _label(axes, "x", "column", None, 0)
    for axes in panels[:1] if labels else panels:
        _label(axes, "y", rows, labels and labels[:count], count)
    for axes in panels[1:] if labels else []:
        axes.set_yticks([])
    return save(figure, path)


def cosine_similarities(table: np.ndarray) -> np.ndarray:
    """x · y / (|x| |y|) of every two rows of (T, D): (T, T), NaN where a row is zero."""
    norms = np.linalg.norm(table, axis=1, keepdims=True)
    unit = np.divide(table, norms, out=np.full_like(table, np.nan), where=norms > 0)
    return np.clip(unit @ unit.T, -1, 1)


def cosines(
    tables: Any,
    texts: Sequence[Any] | None = None,
    *,
    rows: str = "position",
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Which rows of a table (T, D) point the same way: cosines (T, T), 1 for the same, 0 at right angles, -1 opposite.

    Args:
        tables: one, or several by name.
        texts: of the rows; without, they are numbered.
        rows: what a row is.

    Raises:
        ValueError: not (rows, columns), tables of different lengths, not as many texts as rows, or NaN.
        TypeError: no numbers.
        ImportError: there is no matplotlib.
    """
    named = _tables("cosines", tables)
    _finite("cosines", named)
    figure = _figure(1.2 + 4 * len(named), 4.3)
    labels = _checked_texts("cosines", texts, len(next(iter(named.values()))))
    count, cut = _first_rows(named, labels)
    found = {name: cosine_similarities(table[:count]) for name, table in named.items()}
    title = f"Which {rows}s point the same way: red the same, white at right angles" if title is None else title
    if labels:
        figure.set_size_inches(1.2 + len(named) * (side := max(4, 0.6 + 0.17 * min(count, LABELS))), side + 0.3)
    for axes in _images(figure, found, 1.0, "cosine similarity", title + cut, "equal"):
        _label(axes, "x", rows, labels and labels[:count], count)
        _label(axes, "y", rows, labels and labels[:count], count)
    return save(figure, path)


def plane(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The plane in which the rows of (N, D) differ most: principal components, by a singular value decomposition.

    Returns:
        The centre (D,), the two directions (2, D), each with its largest number positive, and their shares of the variance (2,).
    """
    centre = table.mean(axis=0)
    _, sizes, directions = np.linalg.svd(table - centre, full_matrices=False)
    two = directions[:2]
    largest = np.take_along_axis(two, np.abs(two).argmax(axis=1)[:, None], axis=1)
    total = (sizes**2).sum()
    return centre, np.where(largest < 0, -two, two), sizes[:2] ** 2 / (total or 1.0)


def projection(
    tables: Any,
    texts: Sequence[Any] | None = None,
    *,
    groups: Sequence[str] | None = None,
    rows: str = "token",
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """The rows of a table (N, D) as points of the plane in which they differ most: rows that are alike lie together.

    Several tables by name, say before and after training, are drawn side by side. The plane is the last one's for all, and so are
    the axes, so that movement is seen; a grey line comes from where a row was in the panel before.

    Args:
        texts: of the rows; the first 40 are written.
        groups: of the rows, say "vowel": each has a colour and a shape.
        rows: what a row is.

    Raises:
        ValueError: not (rows, columns), less than 2 of either, tables of different shapes, not as many texts or groups as rows,
            or NaN.
        TypeError: no numbers.
        ImportError: there is no matplotlib.
    """
    named = _tables("projection", tables, least=(2, 2))
    _finite("projection", named)
    last = list(named)[-1]
    count = len(named[last])
    if len(shapes := {table.shape for table in named.values()}) > 1:
        raise ValueError(
            f"projection: tables in one plane have one shape, got {' and '.join(map(str, sorted(shapes)))}"
        )
    figure = _figure(max(6.0, 0.6 + 4.4 * len(named)), 4.7)
    labels = _checked_texts("projection", texts, count)
    if groups is not None and len(groups) != count:
        raise ValueError(f"projection: one group for each of the {count} rows, got {len(groups)}")
    centre, directions, shares = plane(named[last])
    points = {name: (table - centre) @ directions.T for name, table in named.items()}
    kinds = list(dict.fromkeys(groups or [""]))
    of_group = [kinds.index(g) for g in groups] if groups is not None else [0] * count
    panels = list(figure.subplots(1, len(named), sharex=True, sharey=True, squeeze=False)[0])
    before = None
    for axes, (name, xy) in zip(panels, points.items(), strict=True):
        if before is not None:
            axes.plot(*np.stack([before, xy]).transpose(2, 0, 1), color="0.8", linewidth=0.6, zorder=1)
        for i in range(len(kinds)):
            mine = [g == i for g in of_group]
            how = {"color": COLOURS[i % len(COLOURS)], "marker": SHAPES[i % len(SHAPES)], "s": 22, "zorder": 2}
            axes.scatter(*xy[mine].T, **how)
        for text, g, at in zip(labels[:LABELS] if labels else [], of_group, xy, strict=False):
            how = {"color": COLOURS[g % len(COLOURS)], "parse_math": False, "zorder": 3}
            axes.annotate(text, at, xytext=(3, 3), textcoords="offset points", **how)
        axes.axhline(0, color="0.9", linewidth=0.6, zorder=0)
        axes.axvline(0, color="0.9", linewidth=0.6, zorder=0)
        axes.set_xlabel(f"1st direction ({shares[0]:.0%} of the variance)")
        _title(figure, axes, name, "")
        before = xy
    panels[0].set_ylabel(f"2nd direction ({shares[1]:.0%})")
    for axes in panels:
        axes.margins(0.08)
    if groups is not None:
        handles = panels[-1].collections[: len(kinds)]
        names = [shown(kind) for kind in kinds]
        fit = int(10 * figure.get_figwidth() / (max(map(len, names)) + 6))
        _legend(figure, handles, names, loc="outside lower center", ncols=min(len(names), fit))
    if title is None:
        title = f"The plane where {rows}s differ most{f' {shown(last, 40)}' * (len(named) > 1)}: neighbours are alike"
    cut = f" ({LABELS} of {count} texts shown)" if labels and count > LABELS else ""
    figure.suptitle(title + cut, parse_math=False)
    return save(figure, path)


def loss_curve(
    losses: Any,
    *,
    unit: str = "nats a token",
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """How losses went down, in one pair of axes.

    Args:
        losses: of the steps 1, 2, ..., shape (N,), or (N, 2): at which step, and the loss then. Several by name, say
            {"training": ..., "held out": ...}, need not have the same length. What is not finite is left out.
        unit: of the losses.

    Raises:
        ValueError: another shape, or no losses.
        TypeError: no numbers.
        ImportError: there is no matplotlib.
    """
    named = dict(losses) if isinstance(losses, Mapping) else {"": losses}
    if not named:
        raise ValueError("loss_curve: there are no losses to draw")
    curves = {str(name): _numbers("loss_curve", curve) for name, curve in named.items()}
    for name, curve in curves.items():
        if not curve.size or not (curve.ndim == 1 or (curve.ndim == 2 and curve.shape[1] == 2)):
            raise ValueError(
                f"loss_curve: losses{f' {name!r}' if name else ''} must be (N,), or (N, 2) with the step first, got shape "
                f"{curve.shape}{'; to draw several, name them: {name: losses}' if curve.ndim == 2 else ''}"
            )
    figure = _figure(6.5, 4.2)
    axes = figure.add_subplot(xlabel="step", ylabel=f"loss ({unit})")
    names, lasts = [], []
    for i, (name, curve) in enumerate(curves.items()):
        steps, values = (np.arange(1, len(curve) + 1), curve) if curve.ndim == 1 else curve.T
        finite = np.isfinite(values)
        how: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
        axes.plot(steps, np.where(finite, values, np.nan), marker="." if len(values) <= LABELS else "", **how)
        left_out = f" ({(~finite).sum()} of {len(values)} not finite)" if not finite.all() else ""
        names.append(shown(name, 40) + left_out)
        lasts.append(f"{shown(name, 40)} {values[-1]:.3f}".strip())
    if list(curves) != [""]:
        _legend(axes, axes.lines, names)
    title = f"Loss at the end: {', '.join(lasts[:4])}{', …' * (len(lasts) > 4)}" if title is None else title
    axes.set_title(title, fontsize="medium", parse_math=False, wrap=True)
    return save(figure, path)


# ------------------------------------------------------------------------------------------------------------ attention


@no_grad()
def attention_weights(model: GPT, ids: Any) -> Tensor:
    """How much every token looks at every other, in each layer and head of a GPT: (layers, heads, T, T), each row a softmax.

    The model computes as ever, in eval mode; from what goes into its attention layers the weights are computed once more.

    Args:
        ids: of one text, (T,) or (1, T).

    Raises:
        ValueError: ids of another shape, or without a token.
        TypeError: model is not a minigrad.gpt.GPT.
    """
    if not isinstance(model, GPT):
        raise TypeError(
            f"attention_weights: a minigrad.gpt.GPT is expected, got {type(model).__name__}; of another model, pass the "
            f"weights themselves to attention()"
        )
    if not isinstance(ids, Tensor):
        ids = as_tensor(ids, device=next(model.parameters()).device)
    ids = ids[None] if ids.ndim == 1 else ids
    if ids.ndim != 2 or len(ids) != 1 or not ids.shape[1]:
        raise ValueError(f"attention_weights: ids of one text, (T,) or (1, T), are expected, got {tuple(ids.shape)}")
    found: list[Tensor] = []

    def look(layer: CausalSelfAttention, args: tuple[Any, ...]) -> None:
        q, k, _ = layer.queries_keys_values(args[0])
        values = eye(k.shape[-2], dtype=q.dtype, device=q.device)  # weights × identity are the weights
        found.append(Positions.attend(layer.positions, q, k, values)[0])  # without what some kinds add to values

    modes = [(module, module.training) for module in model.modules()]
    hooks = [m.register_forward_pre_hook(look) for m in model.modules() if isinstance(m, CausalSelfAttention)]
    try:
        model.eval()(ids)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return stack(found)


def attention(
    weights: Any,
    texts: Sequence[Any] | None = None,
    *,
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Attention maps: in the row of a token (the query), how much it looks at each token (the keys). A row sums to 1.

    Where no token looks at a later one (causal attention), that triangle is left blank.

    Args:
        weights: after the softmax: (T, T), (heads, T, T), or (layers, heads, T, T) as from `attention_weights`.
        texts: of the T tokens.

    Raises:
        ValueError: another shape, not as many texts as tokens, or numbers that are not attention weights, say scores.
        TypeError: no numbers.
        ImportError: there is no matplotlib.
    """
    array = _numbers("attention", weights)
    if not 2 <= array.ndim <= 4 or array.shape[-1] != array.shape[-2] or not array.size:
        raise ValueError(
            f"attention: weights must be (T, T), (heads, T, T) or (layers, heads, T, T), queries × keys, got {array.shape}"
        )
    if not ((array >= -1e-3) & (array <= 1 + 1e-2)).all() or not np.allclose(array.sum(axis=-1), 1, atol=2e-2):
        sums = array.sum(axis=-1)
        raise ValueError(
            f"attention: the weights of a query are from 0 to 1 and sum to 1, but these are from {array.min():.3g} to "
            f"{array.max():.3g} and sum to {sums.min():.3g} .. {sums.max():.3g}: pass them after the softmax and "
            f"without dropout"
        )
    array = array.reshape((1,) * (4 - array.ndim) + array.shape)
    layers, heads, length, _ = array.shape
    side = min(max(2.1, 0.14 * min(length, LABELS)), 5)
    side = max(side, 3) if layers * heads == 1 else side
    figure = _figure(1, 1)
    labels = _checked_texts("attention", texts, length, "tokens")
    margin = 1.4 + 0.08 * max(map(len, labels or [""]))
    figure.set_size_inches(margin + side * heads, margin - 0.2 + (side + 0.1) * layers)
    later = ~np.tri(length, dtype=bool)
    causal = not array[..., later].any()
    panels = figure.subplots(layers, heads, sharex=True, sharey=True, squeeze=False)
    for layer in range(layers):
        for head in range(heads):
            axes = panels[layer, head]
            axes.set_facecolor(BLANK)
            drawn = np.ma.masked_array(array[layer, head], mask=later & causal)
            image = axes.imshow(drawn, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            name = f"layer {layer + 1}, " * (layers > 1) + f"head {head + 1}" * (layers * heads > 1)
            axes.set_title(name, fontsize="medium")
    for axes in panels[:, 0]:
        _label(axes, "y", "query", labels, length)
    for axes in panels[-1]:
        _label(axes, "x", "key", labels, length)
    figure.colorbar(image, ax=panels, label="weight (a row sums to 1)", shrink=0.6, aspect=30)
    if title is None:
        title = "How much each token (row) looks at " + ("itself and those before it" if causal else "each token")
    figure.suptitle(title, parse_math=False, wrap=True)
    return save(figure, path)
