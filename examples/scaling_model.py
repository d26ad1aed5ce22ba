"""How far data-parallel training would go on 8, 64 and 512 machines like this one: on paper, from a few seconds of measuring.

python examples/scaling_model.py                  # the sizes of train_gpt.py; a table, and a picture where matplotlib is
python examples/scaling_model.py --sizes nano,mini --windows 4

Measured here, with as many threads as NumPy takes: the seconds of forward and backward for one and for two windows, and of the
optimizer; the bytes of a gradient. Assumed: machines like this one, all equally fast; links as listed, each machine with one to
a switch that does not get in the way; a ring, in which each machine sends and receives 2 (N - 1) / N times the gradient
(Patarasuk and Yuan, 2009), in pieces of 4 MB that each cost 2 log2 N latencies (Thakur et al., 2005); and four times N small
messages, since train_gpt.py calls gather four times a step. With w windows a machine, a step of N machines takes

    fixed + w per window + exchange(N) + optimizer

and the efficiency is that without exchange by that with it. "overlapped" is what would be left if the exchange could hide
behind the backward pass, two thirds of the computing. Nothing here knows whether so large a batch still learns faster: beyond
a critical size (McCandlish et al., 2018) it does not, and one that fits 512 machines is beyond it for models as small as these.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from train_gpt import SIZES

import minigrad as torch
from minigrad.distributed.gradients import BUCKET
from minigrad.gpt import GPT, GPTConfig

MACHINES = 8, 64, 512
LINKS = {  # bytes a second, seconds of latency
    "1 Gb/s": (0.125e9, 50e-6),
    "10 Gb/s": (1.25e9, 20e-6),
    "100 Gb/s": (12.5e9, 2e-6),
}
VOCABULARY = 5332  # of the text that train_gpt.py takes by default; 124M has GPT-2's


@dataclass
class Measured:
    """Seconds, on this machine."""

    fixed: float
    per_window: float
    optimizer: float
    gradient: int  # bytes

    def compute(self, windows: int) -> float:
        """Forward and backward."""
        return self.fixed + windows * self.per_window

    def exchange(self, machines: int, link: str) -> float:
        """The sum of all gradients."""
        bandwidth, latency = LINKS[link]
        pieces = math.ceil(self.gradient / (4 * BUCKET))
        ring = 2 * (machines - 1) / machines * self.gradient / bandwidth
        return ring + latency * (2 * pieces * math.log2(machines) + 4 * machines)

    def efficiency(self, machines: int, link: str, windows: int, overlapped: bool = False) -> float:
        """The share of the time in which a machine does what it would do alone."""
        alone = self.compute(windows) + self.optimizer
        exchange = self.exchange(machines, link)
        if overlapped:
            exchange = max(exchange - self.compute(windows) * 2 / 3, 0)
        return alone / (alone + exchange)


def measure(config: GPTConfig, repeats: int = 3) -> Measured:
    """A few steps of a model: forward and backward of one and two windows, the optimizer."""
    torch.manual_seed(123)
    model = GPT(config)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters)
    seconds: dict[object, list[float]] = {1: [], 2: [], "optimizer": []}
    for _ in range(repeats):
        for windows in (1, 2):
            ids = torch.randint(0, config.vocab_size, (windows, config.context_length + 1))
            optimizer.zero_grad()
            seconds[windows].append(timed(lambda ids=ids: model.loss(ids[:, :-1], ids[:, 1:]).backward()))
        seconds["optimizer"].append(timed(optimizer.step))
    one, two, step = (min(s) for s in seconds.values())
    per_window = max(two - one, two / 4)  # noise must not make the second window free
    gradient = sum(p.array.nbytes for p in parameters)
    return Measured(max(two - 2 * per_window, 0.0), per_window, step, gradient)


def timed(call: object) -> float:
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began


def table(name: str, m: Measured, windows: int) -> str:
    lines = [
        f"{name}: {m.gradient / 4e6:,.1f} million parameters, a gradient of {m.gradient / 1e6:,.0f} MB. {windows} windows a machine: "
        f"computing {m.compute(windows):.2f} s, optimizer {m.optimizer:.2f} s",
        f"{'':12}{'efficiency on':>14}"
        + "".join(f"{n:>7,}" for n in MACHINES)
        + "   overlapped"
        + "".join(f"{n:>7,}" for n in MACHINES)
        + "   half is lost from",
    ]
    for link in LINKS:
        plain, hidden = (
            "".join(f"{m.efficiency(n, link, windows, overlapped):>7.0%}" for n in MACHINES)
            for overlapped in (False, True)
        )
        stop = next((2**k for k in range(1, 21) if m.efficiency(2**k, link, windows) < 0.5), None)
        lines.append(
            f"{'':12}{link:>14}{plain}{'':13}{hidden}   "
            + (f"{stop:,} machines" if stop else "beyond a million machines")
        )
    return "\n".join(lines)


def draw(measured: dict[str, Measured], windows: int, file: Path) -> None:
    """Efficiency against the number of machines, a curve for each link, a panel for each size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(measured), 3.2), layout="constrained")
    machines = 2 ** np.arange(0, 13)
    for axes, (name, m) in zip(
        np.atleast_1d(figure.subplots(1, len(measured), sharey=True)), measured.items(), strict=True
    ):
        for link in LINKS:
            axes.plot(machines, [100 * m.efficiency(int(n), link, windows) for n in machines], label=link)
        axes.set(title=f"{name}, {windows} windows a machine", xscale="log", xlabel="machines", ylim=(0, 105))
        axes.set_xticks([1, *MACHINES, 4096], ["1", *map(str, MACHINES), "4096"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("efficiency, %")
    figure.axes[0].legend(title="link")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(SIZES), help="of train_gpt.py, with commas (default all)")
    parser.add_argument("--windows", type=int, default=8, help="windows a machine and step (default 8)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/scaling.png"), help="the picture (default runs/scaling.png)"
    )
    options = parser.parse_args()
    if unknown := set(options.sizes.split(",")) - set(SIZES):
        parser.error(f"--sizes: no {', '.join(sorted(unknown))}; there are {', '.join(SIZES)}")
    if options.windows < 1:
        parser.error("--windows must be positive")
    measured = {}
    for name in options.sizes.split(","):
        config = SIZES[name].model
        measured[name] = measure(config if config.vocab_size else replace(config, vocab_size=VOCABULARY))
        print(table(name, measured[name], options.windows), flush=True)
    try:
        draw(measured, options.windows, options.out)
    except ImportError:
        return
    print(f"drew {options.out}")


if __name__ == "__main__":
    main()
