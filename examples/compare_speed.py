"""Times minigrad against torch on the same work, side by side, and prints medians and ratios (needs the extra `test`).

    python examples/compare_speed.py [--rounds 9] [--device cuda]

Each row is timed in rounds, the libraries in turn, after checking that they compute the same numbers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad
from minigrad.data import DataLoader, WindowDataset

try:
    import torch
except ImportError:
    raise SystemExit("compare_speed.py needs torch: pip install -e '.[test]'") from None

ROWS, DIM = 50257, 256


def embedding_step(library: Any, batch: int, length: int, sparse: bool) -> Callable[[], float]:
    """One training step of token + position embeddings with plain SGD, and the loss it returns."""
    library.manual_seed(0)
    token = library.nn.Embedding(ROWS, DIM, sparse=sparse)
    position = library.nn.Embedding(length, DIM)
    optimizer = library.optim.SGD([*token.parameters(), *position.parameters()], lr=0.1)
    rng = np.random.default_rng(0)
    ids = library.tensor(np.minimum(rng.zipf(1.2, (batch, length)) - 1, ROWS - 1))

    def step() -> float:
        optimizer.zero_grad()
        hidden = token(ids) + position(library.arange(length))
        loss = (hidden * hidden).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def normals(library: Any) -> Callable[[], float]:
    """A GPT-2 token table's worth of normal numbers."""

    def draw() -> float:
        library.manual_seed(0)
        return library.randn(ROWS, 768)[-1, -1].item()

    return draw


def one_pass(library: Any, loader: Any) -> Callable[[], float]:
    """A shuffled pass over all windows of 256 tokens; the number of batches."""

    def run() -> float:
        library.manual_seed(0)
        return float(sum(1 for _ in loader))

    return run


class TorchWindows(torch.utils.data.Dataset):
    """The tutorials' dataset: two tensors a window, made beforehand."""

    def __init__(self, tokens: list[int], length: int, stride: int):
        starts = range(0, len(tokens) - length, stride)
        self.pairs = [
            (torch.tensor(tokens[i : i + length]), torch.tensor(tokens[i + 1 : i + length + 1])) for i in starts
        ]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> Any:
        return self.pairs[i]


def compare(what: str, rounds: int, contestants: dict[str, Callable[[], float]]) -> None:
    results = [run() for run in contestants.values()]  # also the warm-up
    if not np.allclose(results, results[0], rtol=1e-4):
        raise SystemExit(f"{what}: different results {results}")
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    ours = medians.pop("minigrad")
    others = "   ".join(f"{name} {1000 * m:9.2f} ms (ratio {ours / m:.2f})" for name, m in medians.items())
    print(f"{what:34s} minigrad {1000 * ours:8.2f} ms   {others}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    rounds = options.rounds
    try:
        minigrad.set_default_device(options.device)
    except minigrad.BackendUnavailable as error:
        parser.error(str(error))
    theirs = "cuda" if options.device == "cuda" and torch.cuda.is_available() else "cpu"
    if theirs == "cuda":  # a default device, even the CPU, makes torch slower
        torch.set_default_device(theirs)
    devices = "" if options.device == "cpu" else f"minigrad on cuda, torch on {theirs}: "
    print(
        f"{devices}NumPy {np.__version__}, torch {torch.__version__} on {torch.get_num_threads()} threads; medians of {rounds} rounds"
    )
    for length in (4, 256, 1024):
        contestants = {
            "minigrad": embedding_step(minigrad, 8, length, False),
            "torch": embedding_step(torch, 8, length, False),
            "torch sparse=True": embedding_step(torch, 8, length, True),
        }
        compare(f"embedding step, 8 x {length} tokens", rounds, contestants)
    tokens = np.random.default_rng(0).integers(0, ROWS, 200_000).tolist()
    ours = DataLoader(WindowDataset(tokens, 256, 16), batch_size=8, shuffle=True)
    torchs = torch.utils.data.DataLoader(TorchWindows(tokens, 256, 16), batch_size=8, shuffle=True)
    loaders = {"minigrad": one_pass(minigrad, ours), "torch": one_pass(torch, torchs)}
    compare(f"a pass over {len(ours.dataset):,} windows", rounds, loaders)
    compare(f"{ROWS * 768:,} normals", min(rounds, 3), {"minigrad": normals(minigrad), "torch": normals(torch)})


if __name__ == "__main__":
    main()
