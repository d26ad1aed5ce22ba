"""Draws examples/gather_scatter.svg, the picture in the README: a lookup and its gradient, in the numbers of a real run.

python examples/draw_gather.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigrad as torch

CELL_W, CELL_H = 52, 26
COLORS = {1: "#0072b2", 3: "#d55e00", 4: "#009e73"}  # told apart by the colour-blind; each id is also written out


def matrix(x: float, y: float, rows: list[list[float]], ids: list[int], title: str, label: str) -> str:
    """A matrix as SVG: rows coloured by id, their ids at the left."""
    parts = [f'<text x="{x}" y="{y - 16}" font-weight="bold">{title}</text>']
    for r, (row, i) in enumerate(zip(rows, ids, strict=True)):
        top = y + r * CELL_H
        color = COLORS.get(i, "#8a8a8a")
        parts.append(
            f'<text x="{x - 8}" y="{top + 18}" text-anchor="end" fill="{color}">{label.format(r=r, i=i)}</text>'
        )
        for c, value in enumerate(row):
            box = f'x="{x + c * CELL_W}" y="{top}" width="{CELL_W}" height="{CELL_H}"'
            opacity = 0.16 if i in COLORS and any(row) else 0.03
            parts.append(f'<rect {box} fill="{color}" fill-opacity="{opacity}" stroke="{color}" stroke-width="0.8"/>')
            parts.append(
                f'<text x="{x + c * CELL_W + CELL_W / 2}" y="{top + 18}" text-anchor="middle">{value:g}</text>'
            )
    return "".join(parts)


def arrow(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    bend = (x2 - x1) / 2
    path = f"M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2 - 7},{y2}"
    head = f"M{x2},{y2} l-9,-4 v8 z"
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.6"/><path d="{head}" fill="{color}"/>'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    try:
        torch.set_default_device(parser.parse_args().device)
    except torch.BackendUnavailable as error:
        parser.error(str(error))
    table = torch.nn.Parameter(torch.arange(18.0).reshape(6, 3) / 2)
    ids = torch.tensor([3, 1, 3, 4])
    rows = table[ids]
    cotangent = torch.tensor([[1.0, 2, 0], [5, 1, 1], [2, 2, 3], [0, 1, 4]])
    rows.backward(cotangent)

    left, middle, right, top = 50, 400, 680, 60
    used = ids.tolist()
    parts = [
        matrix(left, top, table.tolist(), list(range(6)), "table (6, 3)", "{r}"),
        matrix(middle, top + CELL_H, rows.tolist(), used, "y = table[ids]", "ids[{r}] = {i}"),
        matrix(middle, top + 7 * CELL_H + 50, cotangent.tolist(), used, "g: what reaches y", "ids[{r}] = {i}"),
        matrix(right, top + 6 * CELL_H + 50, table.grad.tolist(), list(range(6)), "table.grad (6, 3)", "{r}"),
    ]
    for r, i in enumerate(used):
        color, y = COLORS[i], top + (r + 1.5) * CELL_H
        parts.append(arrow(left + 3 * CELL_W + 4, top + (i + 0.5) * CELL_H, middle - 98, y, color))
        g = top + 50 + (7 + r + 0.5) * CELL_H
        parts.append(arrow(middle + 3 * CELL_W + 4, g, right - 20, top + 50 + (6 + i + 0.5) * CELL_H, color))
    say = '<text x="{}" y="{}" font-size="13" fill="#444">{}</text>'
    parts += [
        say.format(right - 90, top + 2.2 * CELL_H, "forward: gather copies rows."),
        say.format(right - 90, top + 3.0 * CELL_H, "Row 3 is read twice."),
        say.format(left - 40, top + 9.2 * CELL_H, "backward: scatter-add."),
        say.format(left - 40, top + 10 * CELL_H, "Row 3 adds up both its g;"),
        say.format(left - 40, top + 10.8 * CELL_H, "rows nobody read get none."),
    ]
    style = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#222"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 430" width="860" height="430" {style} role="img" '
        f'aria-label="Embedding lookup as a gather of rows, and its gradient as a scatter-add">'
        f'<rect width="860" height="430" fill="white"/>{"".join(parts)}</svg>\n'
    )
    target = Path(__file__).with_name("gather_scatter.svg")
    target.write_text(svg, encoding="utf-8")
    print(f"wrote {target.name}: table.grad is\n{table.grad}")


if __name__ == "__main__":
    main()
