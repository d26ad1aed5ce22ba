"""The pipeline that the page shows, run for real: text, tokens, windows, gather, positions, a loss, scatter-add, SGD.

`run` goes through it in the order of the page. What stands on the page is in the dictionary that it returns, or is a count,
a sum or a difference of what is.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .. import backend, nn
from ..data import WindowDataset, gpt2_tokenizer
from ..data.windows import _windows
from ..dtypes import float32
from ..fused.cross_entropy import CrossEntropy
from ..grad_mode import enable_grad
from ..nn.functional import Embedding, cross_entropy, one_hot
from ..nn.positions import LearnedPositions, add_positions
from ..ops.creation import get_rng_state, set_rng_state, tensor
from ..ops.indexing import Gather
from ..ops.linalg import MatMul
from ..ops.shape import BroadcastTo, SumTo
from ..optim import SGD
from ..random import manual_seed
from ..sparse import RowSparse
from ..tensor import Tensor

DEFAULT_TEXT = "the cat saw the cat and the dog saw the cat"
LENGTH, STRIDE = 4, 2  # where the text is long enough
LEARNING_RATE = 1.0  # so that a step is seen
MOST_LETTERS = 300  # of the text, above the panels
MOST_TOKENS, MOST_DIM, MOST_POSITIONS, MOST_NUMBERS = 1_000, 64, 32, 512  # in 300 KB: tokens, D, B * T, B * T * D


def run(
    text: str = DEFAULT_TEXT,
    dim: int = 3,
    length: int | None = None,
    stride: int | None = None,
    batch: int = 2,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything that happens to the first batch of a text, as lists and numbers; see minigrad.explain for the arguments."""
    ids, notes = _tokens(text)
    dim, batch, seed = _integer("dim", dim), _integer("batch", batch), _integer("seed", seed)
    length = None if length is None else _integer("length", length)
    stride = None if stride is None else _integer("stride", stride)
    length, stride = _window(len(ids), length, stride, batch, notes)
    if not 1 <= dim <= MOST_DIM or batch * length > MOST_POSITIONS or batch * length * dim > MOST_NUMBERS:
        raise ValueError(
            f"explain writes down every number: it takes a dim of 1 to {MOST_DIM}, batch * length up to {MOST_POSITIONS} "
            f"and batch * length * dim up to {MOST_NUMBERS}, got batch {batch}, length {length}, dim {dim}"
        )
    dataset = WindowDataset(ids, length, stride)
    if len(dataset) < batch:
        notes.append(f"A batch of {batch} windows was asked for; the text has only {len(dataset)}.")
        batch = len(dataset)
    inputs, targets = dataset[:batch]
    with _own_random_stream(seed), enable_grad():
        return {
            "settings": {
                **{"dim": dim, "length": length, "stride": stride, "batch": batch, "seed": seed},
                **{"vocabulary": gpt2_tokenizer().n_vocab, "lr": LEARNING_RATE},
            },
            "text": text[:MOST_LETTERS] + "…" * (len(text) > MOST_LETTERS),
            "notes": notes,
            "tokens": ids,
            "report": dict(dataset.report()),
            "inputs": inputs.tolist(),
            "targets": targets.tolist(),
            **_step(ids, inputs, targets, dim),
            "code": _code(),
        }


def _step(ids: list[int], inputs: Tensor, targets: Tensor, dim: int) -> dict[str, Any]:
    """Forward, backward and one SGD step, with everything that passed by."""
    vocabulary, (B, T) = gpt2_tokenizer().n_vocab, inputs.shape
    seen_ids = {*inputs.flatten().tolist(), *targets.flatten().tolist()}
    classes = sorted(seen_ids if len(seen_ids) > 1 else {*seen_ids, (ids[0] + 1) % vocabulary})  # one alone has no loss
    layer = nn.TokenAndPositionEmbedding(vocabulary, T, dim, device="cpu", dtype=float32)
    head = nn.Linear(dim, len(classes), bias=False, device="cpu", dtype=float32)
    where = tensor([[classes.index(i) for i in row] for row in targets.tolist()], device="cpu")
    assert isinstance(layer.position, LearnedPositions)
    table, places = layer.token.weight, layer.position.weight

    def forward() -> tuple[Tensor, ...]:
        gathered = layer.token(inputs)
        x = layer.position.embed(gathered)
        logits = head(x)
        losses = cross_entropy(logits.flatten(0, 1), where.flatten(), reduction="none")
        return gathered, x, logits, losses.reshape(B, T), losses.mean()

    gathered, x, logits, losses, loss = forward()
    x.retain_grad()
    loss.backward()
    used = inputs.flatten().tolist()
    beside = [i for i in dict.fromkeys([*classes, *ids, *(i + 1 for i in used)]) if i not in used and i < vocabulary]
    rows = sorted({*used, *beside[:4]})
    g = x.grad.numpy().reshape(-1, dim)
    X = one_hot(tensor([rows.index(i) for i in used], device="cpu"), len(rows)).to(float32)
    seen = {
        "classes": classes,
        "rows": rows,
        "spelling": {i: _spelling(i) for i in {*ids, *rows, *classes}},
        "table": table[rows],
        "gathered": gathered,
        "positions": places,
        "x": x,
        "wrong_axis": _wrong_axis(gathered, places),
        "head": head.weight,
        "logits": logits,
        "probabilities": logits.softmax(-1),
        "losses": losses,
        "loss": loss,
        "g": x.grad,
        "product": X @ table[rows],
        "product_grad": X.T @ tensor(g, device="cpu"),
    }
    seen = {name: _plain(value) for name, value in seen.items()}  # before the step changes the tables
    SGD(layer.parameters(), lr=LEARNING_RATE).step()
    after = {  # the table's gradient is rows until somebody looks at it, so the step came first
        "table_grad": table.grad[rows],
        "rows_with_gradient": int((table.grad != 0).any(dim=1).sum()),
        "position_grad": places.grad,
        "table_after": table[rows],
        "positions_after": places,
        "loss_after": forward()[-1],
    }
    return seen | {name: _plain(value) for name, value in after.items()}


def _wrong_axis(gathered: Tensor, places: Tensor) -> dict[str, Any]:
    """What positions (T, D) do when they are laid along the batch: as they are, and where B == T."""
    try:
        outcome = f"no error, and a result of shape {tuple((gathered + places.unsqueeze(1)).shape)}"
    except RuntimeError as error:
        outcome = f"RuntimeError: {error}"
    n = min(gathered.shape[:2])
    square = gathered[:n, :n]
    return {
        "outcome": outcome,
        "n": n,
        "right": _plain(square + places[:n]),
        "wrong": _plain(square + places[:n].unsqueeze(1)),
    }


def _tokens(text: str) -> tuple[list[int], list[str]]:
    """GPT-2's ids of a text, and what there is to say about them."""
    if not isinstance(text, str):
        raise TypeError(f"explain: text must be a str, got {type(text).__name__}")
    ids = gpt2_tokenizer().encode(text, allowed_special={"<|endoftext|>"})
    if len(ids) < 2:
        raise ValueError(f"explain needs 2 tokens, an input and a target; the text has {len(ids)}: write more")
    if len(ids) <= MOST_TOKENS:
        return ids, []
    return ids[:MOST_TOKENS], [f"The text has {len(ids):,} tokens; this page works with the first {MOST_TOKENS:,}."]


def _window(n: int, length: int | None, stride: int | None, batch: int, notes: list[str]) -> tuple[int, int]:
    """The length and stride: those asked for, else the usual ones, or shorter ones of which a short text fills a batch."""
    for name, value in (("batch", batch), ("length", length), ("stride", stride)):
        if value is not None and value < 1:
            raise ValueError(f"explain: {name} must be 1 or more, got {value}")
    if length is not None and length >= n:
        raise ValueError(
            f"explain: the text has {n:,} tokens, so length goes up to {n - 1:,} and leaves a target; got {length}: "
            f"shorten it or write more"
        )
    lengths = [length] if length else range(min(LENGTH, n - 1), 0, -1)
    strides = [stride] if stride else range(STRIDE, 0, -1)
    windows = {(t, s): min(batch, (n - t - 1) // s + 1) for t in lengths for s in strides}
    chosen = max(windows, key=lambda ts: windows[ts])  # the first of those that give most of the batch
    if chosen != (length or LENGTH, stride or STRIDE):
        notes.append(f"The text is short, so the windows have a length of {chosen[0]} and a stride of {chosen[1]}.")
    return chosen


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"explain: {name} must be an int, got {value!r} ({type(value).__name__})")
    return int(value)


@contextmanager
def _own_random_stream(seed: int) -> Iterator[None]:
    before = get_rng_state()
    manual_seed(seed)
    try:
        yield
    finally:
        set_rng_state(before)


def _spelling(i: int) -> list[Any]:
    """A token's text, with U+FFFD for what is not a whole character, and its bytes."""
    spelt = gpt2_tokenizer().decode_bytes([i])
    return [spelt.decode("utf-8", "replace"), spelt.hex(" ")]


def _plain(value: Any) -> Any:
    """Numbers and lists that JSON can hold: a float32 in the fewest digits that give it back."""
    array = value.detach().numpy() if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        return array
    return (array.astype(str).astype(float) if array.dtype == np.float32 else array).tolist()


LINES: dict[str, list[Any]] = {  # panel: whose source it shows
    "tape": [_windows, WindowDataset.__getitem__],
    "gather": [Gather.forward, backend.gather],
    "positions": [LearnedPositions.embed, add_positions, BroadcastTo],
    "loss": [CrossEntropy],
    "backward": [Embedding.backward, RowSparse.summed, backend.coalesce, SumTo],
    "product": [one_hot, MatMul],
    "sgd": [SGD.update],
}


def _code() -> dict[str, list[dict[str, Any]]]:
    """The engine's own lines, panel by panel, read from the files that this very run used."""
    package = Path(__file__).parents[1]
    found: dict[str, list[dict[str, Any]]] = {}
    for panel, parts in LINES.items():
        found[panel] = []
        for part in parts:
            part = inspect.unwrap(part)
            source, line = inspect.getsourcelines(part)
            file = Path(inspect.getsourcefile(part) or "").resolve().relative_to(package.parent.resolve())
            found[panel].append(
                {
                    "name": part.__qualname__,
                    "file": file.as_posix(),
                    "line": line,
                    "source": inspect.cleandoc("\n" + "".join(source)),
                }
            )
    return found
