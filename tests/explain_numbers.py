"""What the page of minigrad.explain must say, from the JSON that it carries, with NumPy alone."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

BACK = Path(__file__).parents[1]
"""The folder in which the package stands."""


def embedded(page: str) -> dict[str, Any]:
    """The run as the page's own script reads it."""
    return json.loads(re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.S)[1])


class Numbers:
    """A run's arrays as float32, and what follows from them.

    Attributes:
        run: the JSON.
        B, T, D: sequences, tokens a sequence, numbers a row.
    """

    def __init__(self, run: dict[str, Any]):
        self.run = run
        self.B, self.T, self.D = np.shape(run["gathered"])
        settings = run["settings"]
        assert tuple(settings[name] for name in ("batch", "length", "dim")) == (self.B, self.T, self.D)
        self.stride, self.vocabulary = settings["stride"], settings["vocabulary"]
        self.tokens, self.rows, self.classes, self.report = (
            run[name] for name in ("tokens", "rows", "classes", "report")
        )
        self.inputs, self.targets = np.array(run["inputs"]), np.array(run["targets"])
        self.spelling = {int(i): spelt for i, spelt in run["spelling"].items()}

    def __getattr__(self, name: str) -> np.ndarray:
        return np.array(self.run[name], dtype=np.float32)

    def at(self, ids: np.ndarray) -> np.ndarray:
        """Where those ids stand among the rows in play."""
        return np.searchsorted(self.rows, ids)

    def classes_of(self, ids: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.classes, ids)

    def backward(self, steps: int, lossy: bool = False) -> dict[str, np.ndarray]:
        """The gradients after so many contributions, one after the other in float32; lossy: by grad[ids] += g."""
        flat, ids = self.g.reshape(-1, self.D)[:steps], self.at(self.inputs).ravel()[:steps]
        whole, table = np.zeros_like(self.table), np.zeros_like(self.table)
        np.add.at(whole, ids, flat)
        if lossy:
            table[ids] += flat
        else:
            table = whole
        positions = np.zeros_like(self.positions)
        np.add.at(positions, np.arange(steps) % self.T, flat)
        return {"table_grad": table, "position_grad": positions, "lost": whole - table}


def shown(x: float) -> str:
    """A number as the page writes it: four decimals, an exact zero as 0, a tiny one with its exponent."""
    x = float(x)
    if x == 0:
        return "0"
    if abs(x) < 5e-5:
        digits, power = f"{x:.1e}".split("e")
        return f"{digits}e{int(power):+d}".replace("-", "−", int(x < 0))
    return f"{x:.4f}".replace("-", "−")


def spelt(text: str) -> str:
    """A token's text as the page writes it: what would not show is written out."""
    signs = {" ": "␣", "\n": "⏎", "\t": "⇥"}
    hidden = ("Cc", "Cf", "Zl", "Zp", "Zs")
    return "".join(signs.get(c) or (f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in hidden else c) for c in text)


def size(count: int) -> str:
    """A number of bytes in three digits."""
    if count < 1000:
        return f"{count} bytes"
    digits, power = f"{count:.2e}".split("e")
    unit, before = divmod(int(power), 3)
    return f"{float(digits) * 10**before:.{2 - before}f} {['kB', 'MB', 'GB'][unit - 1]}"


def cells(name: str, array: Any, keys: list[Any], columns: int) -> dict[str, str]:
    """What stands in the cells of a matrix, of which the page draws the first columns."""
    rows = np.asarray(array)
    assert len(rows) == len(keys)
    return {
        f"{name}/{key}.{j}": shown(x) for key, row in zip(keys, rows, strict=True) for j, x in enumerate(row[:columns])
    }


def expected_cells(
    run: dict[str, Any], columns: int, step: int = 0, lossy: bool = False, wrong: bool = False
) -> dict[str, str]:
    """Every cell of the page but the tape's, by the name that it has in the page."""
    n = Numbers(run)
    B, T, D, rows = n.B, n.T, n.D, n.rows
    N, R = B * T, len(rows)
    ids = n.inputs.ravel()
    pairs = [f"{b}.{t}" for b in range(B) for t in range(T)]
    X = np.equal.outer(ids, rows).astype(int)

    def raw(name: str, *shape: int) -> np.ndarray:
        return np.array(run[name], dtype=np.float64).reshape(*shape or (-1, D))

    found = cells("gather/table", raw("table"), rows, columns)
    found |= {f"gather/ids/{pair}": f"{i} {spelt(n.spelling[i][0])}" for pair, i in zip(pairs, ids, strict=True)}
    found |= cells("gather/output", raw("gathered"), pairs, columns)

    found |= cells("positions/table", raw("positions"), range(T), columns)
    b, t = (min(B, T),) * 2 if wrong else (B, T)
    kept = [f"{i}.{j}" for i in range(b) for j in range(t)]
    found |= cells("positions/tokens", raw("gathered", B, T, D)[:b, :t].reshape(-1, D), kept, columns)
    places = raw("positions")
    ghost = np.repeat(places[:b], t, 0) if wrong else np.tile(places, (b, 1))
    found |= cells("positions/ghost", ghost, kept, columns)
    sums = np.array(run["wrong_axis"]["wrong"] if wrong else run["x"], dtype=np.float64).reshape(-1, D)
    found |= cells("positions/x", sums, kept, columns)

    K = len(n.classes)
    found |= cells("loss/probabilities", raw("probabilities", N, K), range(N), K)
    found |= {f"loss/losses/{pair}": shown(x) for pair, x in zip(pairs, raw("losses", N), strict=True)}
    found |= {"loss/loss/": shown(run["loss"])}
    found |= cells("loss/g", raw("g"), range(N), columns)
    found |= cells("loss/logits", raw("logits", N, K), range(N), K)
    found |= cells("loss/head", raw("head"), range(K), columns)

    found |= cells("backward/g", raw("g"), pairs, columns)
    back = n.backward(step, lossy)
    found |= cells("backward/table_grad", back["table_grad"], rows, columns)
    found |= cells("backward/position_grad", back["position_grad"], range(T), columns)
    shared = [i for i, row in enumerate(rows) if (ids == row).sum() > 1]  # rows that have something to lose
    if lossy and shared:
        found |= cells("backward/lost", back["lost"][shared], [rows[i] for i in shared], columns)

    found |= {f"product/X/{k}.{j}": str(X[k, j]) for k in range(N) for j in range(R)}
    found |= {f"product/XT/{j}.{k}": str(X[k, j]) for k in range(N) for j in range(R)}
    found |= cells("product/table", raw("table"), rows, columns)
    found |= cells("product/output", raw("product"), range(N), columns)
    found |= cells("product/g", raw("g"), range(N), columns)
    found |= cells("product/grad", raw("product_grad"), range(R), columns)
    for where, V in (("here", R), ("full", n.vocabulary)):
        moved = {  # float32 numbers and int64 ids, each read or written once
            "gather": 8 * N + 2 * 4 * N * D,
            "product": 4 * (N * V + V * D + N * D),
            "scatter_add": 8 * N + 4 * N * D + 4 * len(set(ids)) * D,
            "product_grad": 4 * (V * N + N * D + V * D),
        }
        found |= {f"product/bytes/{where}.{name}": size(count) for name, count in moved.items()}

    for name, array in (("before", "table"), ("grad", "table_grad"), ("after", "table_after")):
        found |= cells(f"sgd/{name}", raw(array), rows, columns)
    for name in ("positions", "position_grad", "positions_after"):
        found |= cells(f"sgd/{name}", raw(name), range(T), columns)
    return found | {"sgd/loss/before": shown(run["loss"]), "sgd/loss/after": shown(run["loss_after"])}
