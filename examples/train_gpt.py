"""Train a GPT on real text, from random numbers to sentences.

python examples/train_gpt.py                      # nano: about two minutes on two cores, on text that comes with Python
python examples/train_gpt.py --text FILE          # any UTF-8 text
python examples/train_gpt.py --size mini          # larger; --size 124M is GPT-2's own size
python examples/train_gpt.py --positions rope-halves   # any name of nn.positions.KINDS
python examples/train_gpt.py --resume             # go on from the last checkpoint, as if there had been no pause
python examples/train_gpt.py --data DIR           # text of any size, made by python -m minigrad.data.prepare
OMP_NUM_THREADS=1 mpiexec -n 4 python -m mpi4py examples/train_gpt.py --data-parallel    # on four processes; see README.md
python examples/generate.py                       # let it write

Stop it with Ctrl-C whenever you like: it finishes the step and saves. Even a power cut costs no more than the steps since
the last checkpoint.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import minigrad as torch
from minigrad.data import (
    CompactTokenizer,
    DataLoader,
    DistributedSampler,
    Shards,
    Subset,
    WindowDataset,
    gpt2_tokenizer,
    offline_text,
    read_text,
)
from minigrad.distributed import Exchange, World, init
from minigrad.explain import plots
from minigrad.gpt import GPT, GPTConfig
from minigrad.nn.positions import KINDS
from minigrad.optim.lr_scheduler import LambdaLR
from minigrad.stopping import Stop


@dataclass(frozen=True)
class Size:
    """A model (without its vocabulary, unless that is GPT-2's whole one) and how it is trained."""

    model: GPTConfig
    batch_size: int
    steps: int
    lr: float
    whole_vocabulary: bool = False


SIZES = {  # 0: as many tokens as the text has
    "nano": Size(GPTConfig(0, 64, 128, 4, 4, drop_rate=0.0), batch_size=16, steps=500, lr=3e-3),
    "mini": Size(GPTConfig(0, 256, 384, 6, 6, drop_rate=0.1), batch_size=16, steps=3000, lr=1e-3),
    "124M": Size(GPTConfig(), batch_size=8, steps=20000, lr=6e-4, whole_vocabulary=True),
}
PROMPT = "The"
SAME = (
    "steps",
    "device",
    "eval_every",
    "save_every",
    "resume",
)  # options that all ranks must share, as those in a checkpoint


class Batches:
    """Batch after batch, pass after pass, and of each this rank's part. Knows where it is, so that a resumed run, also one
    with another number of ranks, reads on where the last one stopped.

    Every pass has an order of its own, the same on all ranks; which part of a batch is whose changes nothing in the sum.
    """

    def __init__(self, windows: Any, batch_size: int, seed: int, world: World):
        self.order = DistributedSampler(windows, world.world_size, world.rank, seed=seed, drop_last=True)
        mine = batch_size // world.world_size
        self.loader = DataLoader(windows, mine, sampler=self.order, drop_last=True, generator=torch.Generator())
        self.passes, self.taken = 0, 0

    def __iter__(self) -> Iterator[Any]:
        while True:
            self.order.set_epoch(self.passes)
            skip, self.taken = self.taken, 0
            for batch in self.loader:
                self.taken += 1
                if self.taken > skip:
                    yield batch
            self.passes, self.taken = self.passes + 1, 0

    def state_dict(self) -> dict[str, int]:
        return {"passes": self.passes, "taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.passes, self.taken = state["passes"], state["taken"]


class Run:
    """A model in training, and everything that decides how it goes on: what a checkpoint holds."""

    def __init__(self, size: Size, options: argparse.Namespace, world: World):
        self.world, encoding = world, gpt2_tokenizer()
        torch.manual_seed(options.seed)
        self.tokenizer = encoding
        if options.data:
            ids = Shards(options.data)
            ids.verify()  # each rank its own copy, which may be on a disk of its own
            text = ids.checksum
        else:
            # Python's reference without its margins.
            content = read_text(options.text) if options.text else re.sub(r" {2,}", " ", offline_text())
            text = zlib.crc32(content.encode())
            ids = np.array(encoding.encode(content, allowed_special="all"), np.uint16)
            if not size.whole_vocabulary:
                self.tokenizer = CompactTokenizer(np.unique(ids))
                ids = np.searchsorted(self.tokenizer.kept, ids).astype(np.uint16)
        config = replace(size.model, vocab_size=self.tokenizer.n_vocab, positions=options.positions)
        length = config.context_length
        if len(ids) <= length:
            raise ValueError(f"the text is too short: {len(ids)} tokens, and a window takes {length + 1}")
        windows = WindowDataset(ids, length, length, self.tokenizer.eot_token if options.within_documents else None)
        last_of_ten = np.arange(len(windows)) % 10 == 9
        train, held_out = (Subset(windows, np.flatnonzero(which)) for which in (~last_of_ten, last_of_ten))
        if len(train) < options.batch_size or not len(held_out):
            raise ValueError(
                f"the text is too short: of {len(windows)} windows of {length} tokens {len(held_out)} are held out, and "
                f"{len(train)} are left for batches of {options.batch_size}"
            )
        self.batches = Batches(train, options.batch_size, options.seed, world)
        self.held_out = list(islice(DataLoader(held_out, options.batch_size, generator=torch.Generator()), 8))
        self.model = GPT(config).to(options.device)
        self.parameters = list(self.model.parameters())
        self.device, self.warmup, self.steps = options.device, min(options.steps // 10, 100) or 1, options.steps
        decayed = [p for p in self.parameters if p.ndim > 1]  # biases and norms are left alone
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.95), weight_decay=0.1)
        self.schedule = LambdaLR(self.optimizer, self.learning_rate)
        rows = options.batch_size // world.world_size
        torch.default_generator.share = world.rank, world.world_size, rows  # of dropout
        self.step = 0
        # step, mean loss since the entry before, held-out loss
        self.history: list[tuple[int, float, float]] = []
        self.recent: list[float] = []
        self.exchanged: Exchange | None = None
        self.about = {
            "text": text,
            "within_documents": options.within_documents,
            "batch_size": options.batch_size,
            "lr": options.lr,
            "seed": options.seed,
        }
        world.same({**self.about, **asdict(config), **{name: getattr(options, name) for name in SAME}})

    def learning_rate(self, step: int) -> float:
        """The share of the peak rate: up in a straight line, then down to a tenth along a cosine."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(progress, 1)))

    def train_one(self, inputs: torch.Tensor, targets: torch.Tensor) -> float:
        """One step on this rank's part of a batch; returns the mean loss of the whole batch."""
        self.model.train()
        self.optimizer.zero_grad()
        loss, count = self.model.loss(inputs.to(self.device), targets.to(self.device)), known(targets)
        loss.backward()
        self.exchanged = self.world.all_reduce(self.parameters, count)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.recent.append(self.world.mean(loss.item(), count))
        return self.recent[-1]

    def evaluate(self) -> None:
        """Held-out loss: each rank takes some of the batches."""
        self.model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for x, y in self.held_out[self.world.rank :: self.world.world_size]:
                total += self.model.loss(x.to(self.device), y.to(self.device)).item() * known(y)
                count += known(y)
        held_out = self.world.mean(total / max(count, 1), count)
        self.history.append((self.step, sum(self.recent) / len(self.recent), held_out))
        self.recent.clear()

    def sample(self, prompt: str, tokens: int) -> str:
        self.model.eval()
        ids = torch.tensor([self.tokenizer.encode(prompt)], device=self.device)
        dice = torch.Generator().manual_seed(self.step)  # its own, so that looking changes nothing
        return self.tokenizer.decode(
            self.model.generate(ids, tokens, temperature=0.8, top_k=40, generator=dice)[0].tolist()
        )

    def save(self, file: Path) -> None:
        kept = getattr(self.tokenizer, "kept", None)
        torch.save(
            {
                "model": self.model.state_dict(),
                "config": asdict(self.model.config),
                "tokens": None if kept is None else np.array(kept, dtype=np.uint16),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "batches": self.batches.state_dict(),
                "random": torch.get_rng_state(),  # the next dropout masks
                "step": self.step,
                "history": self.history,
                "recent": self.recent,
                "about": self.about,
            },
            file,
        )

    def load(self, file: Path) -> None:
        """Go on from a file that rank 0 reads; the other ranks, on other machines perhaps, need not see it."""
        if self.world.rank == 0 and not file.exists():
            raise ValueError(f"there is no checkpoint {file} to go on from: leave out --resume to start one")
        content = io.BytesIO(self.world.bytes_from_first(file.read_bytes() if self.world.rank == 0 else b""))
        content.name = str(file)
        try:
            kept = torch.load(content)
        except RuntimeError as error:
            raise ValueError(str(error).replace("the file object ", "")) from error
        if not isinstance(kept, dict) or "about" not in kept:
            raise ValueError(f"{file} is not a checkpoint of this program")
        differ = [
            "another text: name the same --text"
            if name == "text"
            else f"{name} {kept['about'].get(name)} then, {now} now"
            for name, now in self.about.items()
            if kept["about"].get(name) != now
        ]
        then, now = {**asdict(GPTConfig()), **kept["config"]}, asdict(self.model.config)  # older ones lack some sizes
        if then != now:
            differ.append(f"model {then} then, {now} now")
        if differ:
            raise ValueError(
                f"{file} is of another run ({'; '.join(differ)}): name the same options, or start anew without --resume"
            )
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.schedule.load_state_dict(kept["schedule"])
        self.batches.load_state_dict(kept["batches"])
        torch.set_rng_state(kept["random"])
        self.step, self.history, self.recent = kept["step"], kept["history"], kept["recent"]


def known(targets: torch.Tensor) -> int:
    """How many targets count for the loss: not those that only fill up a window."""
    return int((targets != -100).sum().item())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="nano")
    parser.add_argument("--text", metavar="FILE", help="train on this file (default: Python's language reference)")
    parser.add_argument(
        "--data", metavar="DIR", help="train on what python -m minigrad.data.prepare made (GPT-2's whole vocabulary)"
    )
    parser.add_argument(
        "--within-documents", action="store_true", help="windows end where a document does, and are filled up"
    )
    parser.add_argument("--data-parallel", action="store_true", help="one model on all processes that mpiexec started")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="for checkpoint and loss curve (default runs/SIZE, or runs/SIZE-POSITIONS)",
    )
    parser.add_argument(
        "--positions", choices=list(KINDS), default="learned", metavar="NAME",
        help=f"how the order of tokens is told: {', '.join(KINDS)} (default learned)",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--overwrite", action="store_true", help="start anew where there is a checkpoint already")
    parser.add_argument("--steps", type=int, help="optimizer steps")
    parser.add_argument("--batch-size", type=int, help="windows a step")
    parser.add_argument("--lr", type=float, help="peak learning rate")
    parser.add_argument(
        "--eval-every", type=int, default=50, metavar="STEPS", help="held-out loss and a sample (default 50)"
    )
    parser.add_argument(
        "--save-every", type=int, default=100, metavar="STEPS", help="write the checkpoint (default 100)"
    )
    parser.add_argument("--prompt", default=PROMPT, help=f"samples go on from it (default {PROMPT!r})")
    parser.add_argument(
        "--timeout", type=float, default=600, metavar="SECONDS", help="give up on a rank that is late (default 600)"
    )
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    size = SIZES[options.size]
    if options.resume and options.overwrite:
        parser.error("--resume goes on from the checkpoint and --overwrite throws it away: choose one")
    if options.data and options.text:
        parser.error("--text is a file and --data a folder of tokens: choose one")
    if not options.prompt:
        parser.error("--prompt is empty: there is nothing to go on from")
    for name in ("steps", "batch_size", "lr", "eval_every", "save_every", "timeout"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(size, name))
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be positive")
    options.out = options.out or Path("runs") / (
        options.size if options.positions == "learned" else f"{options.size}-{options.positions}"
    )
    world = World()
    try:
        world = init(options.timeout)
        if world.world_size > 1 and not options.data_parallel:
            raise ValueError(
                f"mpiexec has started {world.world_size} of these: add --data-parallel to train one model on all"
            )
        if options.batch_size % world.world_size:
            raise ValueError(f"--batch-size {options.batch_size} does not go evenly into {world.world_size} ranks")
        if options.out.exists() and not options.out.is_dir():
            raise ValueError(f"--out {options.out} is a file: name a folder")
        if options.device == "cuda":
            torch.cuda.set_device(world.local_rank % max(torch.cuda.device_count(), 1))
        train(Run(size, options, world), options)
    except (OSError, ValueError, RuntimeError) as error:
        world.let_speak(0)  # what went wrong on all ranks is told once
        parser.exit(2, f"{parser.prog}: {error}\n")
    finally:
        torch.default_generator.share = None


def train(run: Run, options: argparse.Namespace) -> None:
    file, world = options.out / "checkpoint.safetensors", run.world
    first_rank = world.rank == 0
    say = print if first_rank else lambda line: None
    if options.resume:
        run.load(file)
        say(f"going on from step {run.step} of {file}")
    elif first_rank and file.exists() and not options.overwrite:
        raise ValueError(
            f"{file} is there already: --resume goes on from it, --overwrite starts anew, --out DIR keeps both"
        )
    world.broadcast(run.model)
    if first_rank:
        options.out.mkdir(parents=True, exist_ok=True)
    tokens_a_step = options.batch_size * run.model.config.context_length
    parameters = sum(p.numel() for p in run.parameters)
    vocabulary = run.tokenizer.n_vocab
    say(
        f"{parameters:,} parameters, {vocabulary:,} tokens in the vocabulary, {options.steps} steps of {tokens_a_step:,} tokens"
        + (f" on {world.world_size} ranks" if world.world_size > 1 else "")
    )
    say(f"guessing evenly, the loss is {math.log(vocabulary):.3f}")
    began, first = time.perf_counter(), run.step
    with (
        Stop(
            lambda: first_rank and tqdm.write("finishing this step and saving; once more stops at once, without saving")
        ) as stop,
        tqdm(total=options.steps, initial=run.step, unit="step", disable=None if first_rank else True) as bar,
    ):  # only where one watches
        for inputs, targets in run.batches if run.step < options.steps else ():
            loss = run.train_one(inputs, targets)
            if not math.isfinite(loss):
                raise ValueError(
                    f"the loss is {loss} at step {run.step}: choose a smaller --lr. The last checkpoint is untouched"
                )
            speed = (run.step - first) * tokens_a_step / (time.perf_counter() - began)
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s", refresh=False)
            bar.update()
            last = run.step == options.steps
            stopped = world.any(bool(stop))
            look = run.step % options.eval_every == 0 or last
            if look:
                run.evaluate()
            if run.step % options.save_every == 0 or last or stopped:
                world.check(run.model)
                world.same({"random stream": zlib.crc32(torch.get_rng_state().numpy()), **run.batches.state_dict()})
                if first_rank:
                    try:
                        run.save(file)
                    except OSError as error:
                        raise OSError(
                            f"could not write {file} ({error}); what was there before is untouched"
                        ) from error
            if look and first_rank:
                step, train_loss, held_out = run.history[-1]
                tqdm.write(f"step {step:5d}: loss {train_loss:.3f}, held out {held_out:.3f}")
                tqdm.write(f"    {run.sample(options.prompt, 40)!r}")
            if last or stopped:
                break
    if world.world_size > 1 and run.exchanged:
        seconds = time.perf_counter() - began
        waited = world.gather([world.waited / seconds])[:, 0]
        say(
            f"{world.world_size} ranks exchanged {run.exchanged.bytes / 1e6:.1f} MB each a step, {run.exchanged.how.count('rows')} of "
            f"{len(run.exchanged.how)} gradients as rows; of the time they waited "
            + ", ".join(f"{w:.0%}" for w in waited)
        )
    if not first_rank:
        return
    if run.step < options.steps:
        print(f"stopped after step {run.step}; nothing is lost: the same command with --resume goes on")
    draw(run.history, options.out / "loss.png")
    print(f"saved {file}; let it write: python examples/generate.py {file}")


def draw(history: list[tuple[int, float, float]], file: Path) -> None:
    """The loss curve, as a picture if matplotlib is installed, else in letters."""
    if not history:
        return
    curves = np.array(history)
    try:
        plots.loss_curve({"training": curves[:, :2], "held out": curves[:, ::2]}, path=file)
    except ImportError:
        print(in_letters(*zip(*history, strict=True)))
        return
    print(f"drew {file}")


def in_letters(steps: Any, trained: Any, held_out: Any, rows: int = 12, columns: int = 60) -> str:
    """t for training, h for held out, * for both."""
    low, high = min(*trained, *held_out), max(*trained, *held_out)
    grid = [[" "] * columns for _ in range(rows)]
    for letter, losses in (("t", trained), ("h", held_out)):
        for step, loss in zip(steps, losses, strict=True):
            row = round((rows - 1) * (high - loss) / ((high - low) or 1))
            column = round((columns - 1) * step / steps[-1])
            grid[row][column] = letter if grid[row][column] in (" ", letter) else "*"
    labels = [f"{high:6.2f} |", *["       |"] * (rows - 2), f"{low:6.2f} |"]
    lines = [label + "".join(row) for label, row in zip(labels, grid, strict=True)]
    return "\n".join(["loss: t training, h held out", *lines, f"{'steps':>7} 0{steps[-1]:>{columns - 1}}"])


if __name__ == "__main__":
    main()
