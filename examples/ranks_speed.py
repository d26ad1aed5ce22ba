"""What a second process brings: steps of a GPT on one process with one and with all threads, and on ranks with one thread each.

python examples/ranks_speed.py                    # pip install -e '.[mpi]' first
python examples/ranks_speed.py --ranks 4 --rounds 5

The same model, the same batch of the whole, in turn, several rounds; printed are medians of a step's seconds and of what is in
them. Then the bytes that a rank contributes to a step: of a GPT, whose table is used twice and so has a dense gradient, and of
a table that is only looked up, whose gradient is rows.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as torch
from minigrad.distributed import World, init
from minigrad.gpt import GPT, GPTConfig

MODELS = {  # and windows in the whole batch
    "nano": (GPTConfig(5332, 64, 128, 4, 4, drop_rate=0.0), 16),
    "mini": (GPTConfig(5332, 256, 384, 6, 6, drop_rate=0.0), 4),
}
PARTS = "step", "forward and backward", "exchange", "optimizer", "waiting"


def steps(world: World, name: str, n: int) -> dict[str, float]:
    """Medians of the seconds of n steps, on rank 0."""
    config, batch = MODELS[name]
    torch.manual_seed(123)
    model = GPT(config)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters)
    ids = torch.randint(0, config.vocab_size, (batch, config.context_length + 1))[world.rank :: world.world_size]
    x, y = ids[:, :-1], ids[:, 1:]
    seconds: list[list[float]] = []
    for _ in range(n + 1):
        world.gather()
        times, waited = [time.perf_counter()], world.waited
        optimizer.zero_grad()
        model.loss(x, y).backward()
        times.append(time.perf_counter())
        world.gather()  # so that waiting for a slower rank is not counted as exchange
        waited, between = world.waited - waited, time.perf_counter()
        world.all_reduce(parameters, y.numel())
        times.append(time.perf_counter())
        optimizer.step()
        world.gather()
        times.append(time.perf_counter())
        seconds.append([times[3] - times[0], times[1] - times[0], times[2] - between, times[3] - times[2], waited])
    return dict(zip(PARTS, (statistics.median(part) for part in zip(*seconds[1:], strict=True)), strict=True))


def traffic(world: World) -> dict[str, str]:
    """What a rank contributes to a step, in bytes."""
    config, batch = MODELS["mini"]
    told = {}
    model, table = GPT(config), torch.nn.Embedding(50257, config.emb_dim)
    ids = torch.randint(0, config.vocab_size, (batch, config.context_length + 1))
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    table(ids).sum().backward()
    for name, module in (("mini GPT", model), ("table of 50,257 rows", table)):
        gradient = sum(p.array.nbytes for p in module.parameters())
        exchanged = world.all_reduce(module.parameters())
        rows = exchanged.how.count("rows")
        told[name] = (
            f"{exchanged.bytes / 1e6:.2f} MB of {gradient / 1e6:.2f} MB, {rows} of {len(exchanged.how)} gradients as rows"
        )
    return told


def run(command: list[str], threads: int) -> dict[str, Any]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="in each, every way is timed once (default 3)")
    parser.add_argument("--steps", type=int, default=10, help="steps in each of them (default 10)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        world = init()
        found: Any = traffic(world) if options.worker == "traffic" else steps(world, options.worker, options.steps)
        if world.rank == 0:
            print(json.dumps(found))
        return
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit("there is no mpiexec: pip install -e '.[mpi]'")
    alone = [sys.executable, __file__, "--steps", str(options.steps), "--worker"]
    ranks = [mpiexec, "-n", str(options.ranks), sys.executable, "-m", "mpi4py", *alone[1:]]
    ways = {
        "1 process, 1 thread": (alone, 1),
        f"1 process, {options.ranks} threads": (alone, options.ranks),
        f"{options.ranks} ranks, 1 thread each": (ranks, 1),
    }
    print(
        f"NumPy {np.__version__} on {os.cpu_count()} cores; medians of {options.rounds} rounds of {options.steps} steps, in ms"
    )
    print(f"{'':36}" + "".join(f"{part:>21}" for part in PARTS))
    for name in MODELS:
        timed: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(options.rounds):
            for way, (command, threads) in ways.items():
                timed[way].append(run([*command, name], threads))
        median = {way: {p: statistics.median(t[p] for t in rounds) for p in PARTS} for way, rounds in timed.items()}
        first, second, last = (found["step"] for found in median.values())
        for way, found in median.items():
            print(f"{name + ', ' + way:36}" + "".join(f"{1e3 * found[part]:>21.1f}" for part in PARTS))
        print(
            f"{name}: {first / last:.2f} times as fast as one thread, {first / last / options.ranks:.0%} of what {options.ranks} "
            f"could be; {second / last:.2f} times as fast as one process with {options.ranks} threads"
        )
    for name, said in run([*ranks, "traffic"], 1).items():
        print(f"a rank contributes, each step, {name}: {said}")


if __name__ == "__main__":
    main()
