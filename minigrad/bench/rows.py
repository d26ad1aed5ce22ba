"""What is timed: each row one piece of work, who does it, and how fast minigrad wants to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Contestant:
    """A library, the environment it is started in, and what it does differently."""

    library: str
    how: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    work: str = ""


@dataclass(frozen=True)
class Row:
    """minigrad first, then its peers.

    Attributes:
        work: the function in contestant.py.
        limits: how much of a peer's time minigrad may take.
        at_most: seconds that minigrad may take.
        unit: by how many a step's time is divided, and what they are: 200 ops.
        memory: the peer whose peak memory minigrad's may not exceed.
        arrays: MB that the arrays of one step may take.
        compared: all compute the same numbers.
        growth: what the rows of that name are plotted over, and where.
        quick: part of --quick.
    """

    title: str
    work: str
    how: dict[str, Any]
    contestants: dict[str, Contestant]
    limits: dict[str, float]
    at_most: float | None = None
    unit: tuple[int, str] = (1, "")
    memory: str | None = None
    arrays: float | None = None
    compared: bool = True
    growth: tuple[str, int] | None = None
    quick: bool = False


# OpenBLAS lets its idle threads spin, on the cores that NumPy's other work could use; this lets them sleep soon
OURS = Contestant("minigrad", env={"OPENBLAS_THREAD_TIMEOUT": "8"})
# What minigrad asks of glibc when it is imported; few users of torch do
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": str(1 << 26)}
COPY = Contestant("numpy", work="copy_of")

VOCABULARY = 50257
SIZES = [(8, 4), (8, 256), (8, 1024), (32, 1024)]
NANO = {"layers": 6, "heads": 6, "dim": 384}
GPT2 = {"layers": 12, "heads": 12, "dim": 768}


def table(dim: int) -> float:
    """MB of a table of the vocabulary."""
    return VOCABULARY * dim * 4 / 1e6


def embedding_steps() -> list[Row]:
    rows = []
    for dim in (256, 768):
        for (batch, length), limit in zip(SIZES, (0.6, 0.7, 0.8, 0.4), strict=True):
            contestants = {
                "minigrad": OURS,
                "torch sparse": Contestant("torch", {"sparse": True}),
                "torch dense": Contestant("torch"),
                **{name: Contestant(name) for name in ("jax", "mygrad", "tinygrad")},
            }
            limits = {"torch sparse": limit, "torch dense": 0.02 if batch * length == 32 else 0.3}
            if (batch, length) == SIZES[-1]:
                contestants["torch sparse, memory kept"] = Contestant("torch", {"sparse": True}, KEPT)
                limits["torch sparse, memory kept"] = 1.0
            title = f"embedding step, SGD, D {dim}, {batch} x {length}"
            how = {"batch": batch, "length": length, "dim": dim, "optimizer": "SGD"}
            arrays = table(dim) if batch * length < VOCABULARY / 4 else None  # where a few arrays of rows are smaller
            quick = dim == 256 and batch == 8
            rows.append(Row(title, "embedding_step", how, contestants, limits, arrays=arrays, quick=quick))
    return rows


def adam_steps() -> list[Row]:
    rows = []
    for dim in (256, 768):
        for batch, length in SIZES:
            for optimizer, sparse in (("AdamW", False), ("SparseAdam", True)):
                how = {"batch": batch, "length": length, "dim": dim, "optimizer": optimizer, "sparse": sparse}
                contestants = {"minigrad": OURS, "torch": Contestant("torch")}
                title = f"embedding step, {optimizer}, D {dim}, {batch} x {length}"
                quick = (dim, batch, length) == (256, 8, 256)
                rows.append(Row(title, "embedding_step", how, contestants, {"torch": 0.8}, quick=quick))
    return rows


def rows_alone() -> list[Row]:
    rows = []
    for dim in (256, 768):
        for batch, length in SIZES:
            n, quick = batch * length, (dim, length) == (256, 256)
            copy = Contestant("numpy", {"rows": n, "dim": dim}, work="copy_of")
            contestants = {"minigrad": OURS, "torch": Contestant("torch"), "copy": copy}
            title, how = f"scatter-add, D {dim}, {n:,} rows", {"tokens": n, "dim": dim}
            limits = {"torch": 1.0, "copy": 6.0}
            rows.append(Row(title, "scatter_add", how, contestants, limits, quick=quick))
    for dim in (256, 768):
        for batch, length in SIZES:
            n, quick = batch * length, (dim, length) == (256, 256)
            copy = Contestant("numpy", {"rows": n, "dim": dim}, work="copy_of")
            contestants = {"minigrad": OURS, "torch": Contestant("torch"), "copy": copy}
            title, how = (
                f"gather + positions, D {dim}, {batch} x {length}",
                {"batch": batch, "length": length, "dim": dim},
            )
            rows.append(Row(title, "embedding_forward", how, contestants, {"copy": 2.5}, quick=quick))
    return rows


def loaders(file: str) -> list[Row]:
    pair = {"minigrad": OURS, "torch": Contestant("torch")}
    tokens, length = 200_000, 256
    mapped = 100_000_000
    return [
        Row(
            "loader, a shuffled pass, windows of 256",
            "windows",
            {"tokens": tokens, "length": length, "batch": 8, "stride": 16},
            pair,
            {"torch": 0.1},
            unit=(len(range(0, tokens - length, 16)), "window"),
            quick=True,
        ),
        Row(
            "loader, built at stride 1",
            "windows_built",
            {"tokens": 5145, "length": 256},
            pair,
            {"torch": 0.001},
            quick=True,
        ),
        Row(
            "loader, 100 M uint16 ids in a file",
            "windows_mapped",
            {"tokens": mapped, "length": length, "batch": 8, "file": file},
            {"minigrad": OURS},
            {},
            at_most=1 / 500_000,
            unit=((mapped - 1) // length, "window"),
            arrays=200,
        ),
    ]


def gpt_steps() -> list[Row]:
    rows = []
    for name, sizes, length, batch, limit in (
        ("6 layers, D 384", NANO, 256, 4, 0.9),
        ("GPT-2 124M", GPT2, 256, 2, 0.95),
    ):
        contestants = {
            "minigrad": OURS,
            "torch": Contestant("torch"),
            "torch.compile": Contestant("torch", {"compiled": True}),
            "torch, memory kept": Contestant("torch", env=KEPT),
        }
        limits = {"torch": limit, "torch, memory kept": 1.0}
        title = f"GPT step, {name}, {batch} x {length}"
        rows.append(
            Row(title, "gpt_step", {"batch": batch, "length": length, **sizes}, contestants, limits, memory="torch")
        )
    return rows


def generations() -> list[Row]:
    simple, cached = {"how": "simple"}, {"how": "cached"}
    ours = Contestant("minigrad", cached, OURS.env)
    contestants = {
        "minigrad": ours,
        "torch, the book's": Contestant("torch", simple),
        "torch, cached": Contestant("torch", cached),
    }
    how = {"new": 32, "prompt": 64, **GPT2}
    limits = {"torch, the book's": 1 / 1.5, "torch, cached": 1.0}
    return [Row("generation, 124M, 32 tokens after 64", "generation", how, contestants, limits, unit=(32, "token"))]


def overheads() -> list[Row]:
    pair = {"minigrad": OURS, "torch": Contestant("torch")}
    imports = {name: Contestant(name) for name in ("minigrad", "numpy", "torch")}
    title = "a tiny op, forward and backward"
    return [
        Row(title, "tiny_ops", {"ops": 200}, pair, {}, at_most=7e-6, unit=(200, "op"), quick=True),
        Row("import", "import", {}, imports, {"numpy": 1.6}, compared=False, quick=True),
    ]


def growths() -> list[Row]:
    rows = []
    base = {"dim": 256, "optimizer": "SGD"}
    for batch in (8, 16, 32, 64, 128):
        how = {"batch": batch, "length": 256, **base}
        half = Contestant("minigrad", {"batch": batch // 2}, OURS.env)
        title, grows = f"growth, {batch * 256:,} tokens", ("tokens", batch * 256)
        contestants = {"minigrad": OURS, "half the tokens": half}
        rows.append(
            Row(title, "embedding_step", how, contestants, {"half the tokens": 2.2}, compared=False, growth=grows)
        )
    for vocabulary in (50_000, 100_000, 200_000, 400_000):
        how = {"batch": 8, "length": 256, "rows": vocabulary, **base}
        half = Contestant("minigrad", {"rows": vocabulary // 2}, OURS.env)
        title, grows = f"growth, {vocabulary:,} rows of the table", ("rows of the table", vocabulary)
        contestants = {"minigrad": OURS, "half the rows": half}
        rows.append(
            Row(title, "embedding_step", how, contestants, {"half the rows": 1.1}, compared=False, growth=grows)
        )
    return rows


def all_rows(file: str) -> list[Row]:
    return [
        *embedding_steps(),
        *adam_steps(),
        *rows_alone(),
        *loaders(file),
        *gpt_steps(),
        *generations(),
        *overheads(),
        *growths(),
    ]
