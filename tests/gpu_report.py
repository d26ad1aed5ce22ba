"""What a GPU says of minigrad, as one section of Markdown for the README.

    pip install -e '.[cuda13,test]'
    python tests/gpu_report.py                # perhaps an hour: all tests, the determinism, the speed
    python tests/gpu_report.py --quick        # some minutes: a few tests, small sizes

It runs the tests on the real CuPy, trains the same model several times and compares the bits, and measures. Every figure is
the median of warm runs that wait for the GPU. The exit status is 0 if no test failed and all bits are as promised.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from cupy_without_gpu import emulator

import minigrad as mg
from minigrad import kernels
from minigrad.files import replacing
from minigrad.gpt import GPT, GPTConfig
from minigrad.nn import functional as F

ROOT = Path(__file__).resolve().parents[1]
A_FEW = ["test_ops.py", "test_kernels.py", "test_optim.py", "test_gpt.py"]


@dataclass(frozen=True)
class Sizes:
    table: tuple[int, int]  # V, D
    ids: tuple[int, int]  # B, T
    logits: tuple[int, int]  # N, V
    rows: tuple[int, int]  # N, D
    gpt: GPTConfig
    steps: int
    repeats: int


FULL = Sizes((50257, 768), (8, 1024), (2048, 50257), (8192, 768), GPTConfig(50257, 256, 384, 6, 6), 20, 20)
QUICK = Sizes((5000, 256), (4, 256), (256, 5000), (2048, 256), GPTConfig(5000, 64, 128, 4, 4), 5, 5)


# ------------------------------------------------------------------------------------------------------------------ the tests


def run_tests(backend: str, tests: list[str]) -> tuple[str, bool]:
    """Markdown about a run of the tests, and whether all went well."""
    names = [str(ROOT / "tests" / name) for name in tests] or [str(ROOT / "tests")]
    command = [sys.executable, "-m", "pytest", f"--backend={backend}", "--tb=line", *names]
    lines = []
    start = time.perf_counter()
    environment = os.environ | {"HYPOTHESIS_PROFILE": "device"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)  # an hour is long without a sign of life
            lines.append(line.rstrip())
    which = f"`pytest --backend={backend} {' '.join(tests)}".rstrip() + f"`, {time.perf_counter() - start:.0f} s"
    return outcome(lines, process.returncode, which)


def outcome(lines: list[str], status: int, which: str) -> tuple[str, bool]:
    """What pytest printed, as Markdown, and whether all went well."""
    last = next((line for line in reversed(lines) if re.search(r"\d+ \w+.* in [\d.]+s", line)), "")
    count = {what.rstrip("s"): int(n) for n, what in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", last)}
    if not count:
        return f"The tests did not run ({which}): {next(filter(None, reversed(lines)), 'no output')}", False
    text = ", ".join(f"{count.get(what, 0)} {what}" for what in ("passed", "failed", "skipped"))
    if errors := count.get("error", 0):
        text += f", {errors} could not run"
    wrong = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    more = [f"- ... and {len(wrong) - 20} more"] if len(wrong) > 20 else []
    listed = "\n".join(["", *(f"- {line}" for line in wrong[:20]), *more]) if wrong else ""
    return f"{text} ({which})\n{listed}".rstrip(), status == 0


# ------------------------------------------------------------------------------------------------------------------- the bits


def train(sizes: Sizes, device: str) -> tuple[dict[str, str], list[float]]:
    """A seeded training: a hash of every step's gradient and of the weight at the end, by name; and the losses."""
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    model = GPT(sizes.gpt).to(device)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)
    hashes: dict[str, Any] = {}

    def add(what: str, x: Any) -> None:
        hashes.setdefault(what, hashlib.sha256()).update(x.detach().cpu().numpy().tobytes())

    losses = []
    shape = (4, min(64, sizes.gpt.context_length) + 1)
    for _ in range(sizes.steps):
        ids = frequent_and_rare(rng, sizes.gpt.vocab_size, shape, device)
        optimizer.zero_grad()
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        for name, p in model.named_parameters():
            add(f"gradient of {name}", p.grad)
        optimizer.step()
        losses.append(loss.item())
    for name, p in model.named_parameters():
        add(name, p)
    return {what: h.hexdigest() for what, h in hashes.items()}, losses


def frequent_and_rare(rng: np.random.Generator, rows: int, shape: tuple[int, ...], device: str) -> mg.Tensor:
    """Ids of which some occur often, as in text: where additions into one row meet."""
    return mg.tensor((rng.random(shape) ** 4 * rows).astype(np.int64), device=device)


def embedding_gradient(sizes: Sizes, device: str) -> bytes:
    rng = np.random.default_rng(1)
    table = mg.nn.Embedding(*sizes.table).to(device)
    ids = frequent_and_rare(rng, sizes.table[0], sizes.ids, device)
    table(ids).backward(numbers(rng, (*sizes.ids, sizes.table[1]), device))
    return table.weight.grad.cpu().numpy().tobytes()


def numbers(rng: np.random.Generator, shape: tuple[int, ...], device: str, requires_grad: bool = False) -> mg.Tensor:
    return mg.tensor(rng.standard_normal(shape, dtype=np.float32), device=device, requires_grad=requires_grad)


@contextlib.contextmanager
def beside_other_work(sizes: Sizes, device: str) -> Iterator[None]:
    """In a stream of its own, while another stream keeps the GPU busy and memory has been used before."""
    xp = mg.backend.module_for(mg.device(device))
    if not hasattr(getattr(xp, "cuda", None), "Stream") or not isinstance(xp.cuda.Stream, type):
        yield  # the CPU, and the fake, have no streams
        return
    other = xp.cuda.Stream(non_blocking=True)
    with other:
        side = max(sizes.rows[0] // 8, 4)
        square = xp.full((side, side), 1 / side, dtype=np.float32)
        for _ in range(200):
            square = square @ square
    with xp.cuda.Stream(non_blocking=True):
        yield
    other.synchronize()


def bits(sizes: Sizes, device: str) -> tuple[str, bool]:
    """Markdown about what is equal bit for bit, and whether all of it is that should be."""
    first, losses = train(sizes, device)
    again, _ = train(sizes, device)
    with beside_other_work(sizes, device):
        busy, _ = train(sizes, device)
    with unordered():
        atomic, _ = train(sizes, device)
    on_cpu = train(sizes, "cpu")[1]
    apart = max(abs(a - b) / abs(b) for a, b in zip(losses, on_cpu, strict=True))
    gradient = embedding_gradient(sizes, device) == embedding_gradient(sizes, "cpu")

    def equal(other: dict[str, str]) -> str:
        differ = [what for what in first if first[what] != other[what]]
        return f"**{len(differ)} of {len(first)} differ**: {', '.join(differ[:3])}, ..." if differ else "equal"

    run = f"a GPT's {sizes.steps} steps: sha256 of {len(first)} gradients and weights"
    rows = [
        ("what is compared", "result"),
        ("---", "---"),
        (f"{run}, twice", equal(again)),
        ("the same in another stream, beside other work", equal(busy)),
        ("the embedding gradient and the CPU's", "equal" if gradient else "**differ**"),
        ("the losses and the CPU's: largest relative difference", f"{apart:.1e}"),
        ("for comparison, with unordered sums (no promise)", equal(atomic).replace("**", "")),
    ]
    return table(rows), first == again == busy and gradient and apart < 1e-3


# ------------------------------------------------------------------------------------------------------------------ the speed


@contextlib.contextmanager
def unordered() -> Iterator[None]:
    mg.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        mg.use_deterministic_algorithms(True)


@contextlib.contextmanager
def array_by_array() -> Iterator[None]:
    before, kernels.fused_kernels = kernels.fused_kernels, False
    try:
        yield
    finally:
        kernels.fused_kernels = before


Step = Callable[[], object]


def embedding(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    module = mg.nn.Embedding(*sizes.table).to(device)
    optimizer = mg.optim.SGD(module.parameters(), lr=0.1)
    ids = frequent_and_rare(rng, sizes.table[0], sizes.ids, device)
    g = numbers(rng, (*sizes.ids, sizes.table[1]), device)

    def step() -> None:
        optimizer.zero_grad()
        module(ids).backward(g)
        optimizer.step()

    return step


def scatter_add(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    ids = frequent_and_rare(rng, sizes.table[0], (sizes.ids[0] * sizes.ids[1],), device)
    y = numbers(rng, (*ids.shape, sizes.table[1]), device)
    return lambda: mg.backend.scatter_add(y.array, ids.array, sizes.table[0])


def there_and_back(f: Callable[..., mg.Tensor], *leaves: mg.Tensor, g: mg.Tensor | None = None) -> Step:
    def step() -> None:
        for leaf in leaves:
            leaf.grad = None
        f(*leaves).backward(g)

    return step


def cross_entropy(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    n, v = sizes.logits
    targets = frequent_and_rare(rng, v, (n,), device)
    return there_and_back(lambda x: F.cross_entropy(x, targets), numbers(rng, (n, v), device, True))


def layer_norm(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    d = sizes.rows[1]
    x, weight, bias = (numbers(rng, shape, device, True) for shape in (sizes.rows, (d,), (d,)))
    return there_and_back(
        lambda x, w, b: F.layer_norm(x, (d,), w, b), x, weight, bias, g=numbers(rng, sizes.rows, device)
    )


def gelu(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    return there_and_back(F.gelu, numbers(rng, sizes.rows, device, True), g=numbers(rng, sizes.rows, device))


def adamw(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    weight = mg.nn.Parameter(numbers(rng, sizes.rows, device))
    weight.grad = numbers(rng, sizes.rows, device)
    return mg.optim.AdamW([weight], lr=1e-3).step


def gpt(sizes: Sizes, device: str, rng: np.random.Generator) -> Step:
    model = GPT(sizes.gpt).to(device)
    optimizer = mg.optim.AdamW(model.parameters(), lr=1e-3)
    ids = frequent_and_rare(rng, sizes.gpt.vocab_size, (8, sizes.gpt.context_length + 1), device)

    def step() -> None:
        optimizer.zero_grad()
        model.loss(ids[:, :-1], ids[:, 1:]).backward()
        optimizer.step()

    return step


def milliseconds(step: Step, repeats: int) -> float:
    """The median of so many runs, each from an idle GPU to an idle GPU, after two that are not counted."""
    seconds = []
    for _ in range(repeats + 2):
        mg.cuda.synchronize()
        start = time.perf_counter()
        step()
        mg.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[2:])


def speed(sizes: Sizes, device: str) -> str:
    """Markdown: milliseconds on the CPU, on the GPU, and on the GPU in another way."""
    by = " x ".join
    v_d, b_t, logits, rows = (by(map(str, shape)) for shape in (sizes.table, sizes.ids, sizes.logits, sizes.rows))
    c = sizes.gpt
    model = f"{c.n_layers} layers of {c.emb_dim}, {c.vocab_size} tokens, 8 x {c.context_length} ids"
    cases: list[tuple[str, Callable[..., Step], Any, str]] = [
        (f"embedding step: a table {v_d}, {b_t} ids", embedding, unordered, "unordered"),
        ("scatter-add of its gradient", scatter_add, unordered, "unordered"),
        (f"cross-entropy of {logits}, with gradient", cross_entropy, array_by_array, "array by array"),
        (f"layer norm of {rows}, with gradient", layer_norm, array_by_array, "array by array"),
        (f"GELU of {rows}, with gradient", gelu, array_by_array, "array by array"),
        (f"AdamW of {rows}", adamw, array_by_array, "array by array"),
        (f"a GPT's training step: {model}", gpt, array_by_array, "array by array"),
    ]
    lines = [(f"ms, median of {sizes.repeats}", "CPU", "GPU", "GPU, otherwise"), ("---", "--:", "--:", "--:")]
    for what, make, other, name in cases:

        def measured(where: str, how: Any = contextlib.nullcontext, make: Any = make) -> str:
            try:
                with how():
                    return f"{milliseconds(make(sizes, where, np.random.default_rng(0)), sizes.repeats):.3g}"
            except MemoryError:
                return "too little memory"
            finally:
                mg.cuda.empty_cache()

        lines.append((what, measured("cpu"), measured(device), f"{measured(device, other)} ({name})"))
        print(*lines[-1], sep=" | ", flush=True)
    return table(lines)


# ----------------------------------------------------------------------------------------------------------------- the report


def table(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def output(*command: str) -> str:
    """What a command of the system prints; nothing if there is no such command."""
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True).stdout.strip()


def where(device: str) -> str:
    """Markdown: the machine and the versions."""
    runtime = mg.backend.module_for(mg.device(device)).cuda.runtime
    cuda, supported = (
        f"{v // 1000}.{v % 1000 // 10}" for v in (runtime.runtimeGetVersion(), runtime.driverGetVersion())
    )
    driver = output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").partition("\n")[0]
    changed = " with changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    rows = [
        ("GPU", "driver", "CUDA runtime", "CuPy", "NumPy", "minigrad", "date"),
        ("---",) * 7,
        (
            mg.cuda.get_device_name(),
            f"{driver or 'unknown'} (CUDA {supported})",
            cuda,
            mg.backend.module_for(mg.device(device)).__version__,
            np.__version__,
            (output("git", "rev-parse", "--short", "HEAD") or "unknown") + changed,
            str(date.today()),
        ),
    ]
    return table(rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", default="gpu_report.md", help="the file that is written (gpu_report.md)")
    parser.add_argument(
        "--backend", choices=["cupy", "cupysim"], default="cupy", help="cupysim: try the script, on no GPU"
    )
    options = parser.parse_args(arguments)
    if options.backend == "cupysim":
        emulator.install()
    if not mg.cuda.is_available():
        print(mg.cuda.status(), file=sys.stderr)
        return 1
    title = f"On a GPU: {mg.cuda.get_device_name()}"
    if options.backend == "cupysim":
        title = "On the emulator: no GPU, timings mean nothing"
    sizes = QUICK if options.quick else FULL
    tests, passed = run_tests(options.backend, A_FEW if options.quick else [])
    same, as_promised = bits(sizes, "cuda")
    print(same, flush=True)
    parts = [
        f"## {title}",
        where("cuda"),
        f"Tests: {tests}",
        f"Bit for bit:\n\n{same}",
        f"Speed:\n\n{speed(sizes, 'cuda')}",
    ]
    with replacing(options.out) as file:
        file.write(("\n\n".join(parts) + "\n").encode())
    print(f"{options.out} is written, to be pasted into the README")
    return 0 if passed and as_promised else 1


if __name__ == "__main__":
    sys.exit(main())
