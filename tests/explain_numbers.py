"""What the page of minigrad.explain must say, from the JSON that it carries, with NumPy alone."""

from __future__ import annotations

import json
import re
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
        return f"{digits}e{int(power):+d}"
    return f"{x:.4f}".replace("-", "−")
