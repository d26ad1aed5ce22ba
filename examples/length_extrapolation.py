"""Train a small GPT on short windows, once for every kind of positions, and see how it does on longer ones.

python examples/length_extrapolation.py                 # twelve models of letters, about thirteen minutes on one core
python examples/length_extrapolation.py --steps 100 --out runs/quick     # less trained
python examples/length_extrapolation.py --kinds learned rope-halves alibi

Prints the table of losses, and draws two pictures where matplotlib is installed: the loss at every position, and what each
kind of positions looks like. Models that are done are kept: a run that was stopped goes on with the next one.
"""

from __future__ import annotations

import argparse
import math
import re
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minigrad as torch
from minigrad.data import DataLoader, WindowDataset, offline_text, read_text
from minigrad.explain import plots
from minigrad.gpt import GPT, GPTConfig
from minigrad.nn import functional as F
from minigrad.nn import positions

TRAINED = 64  # letters in a window
LENGTHS = [64, 128, 256, 512]
BATCH = 16
SCALINGS = ["linear", "ntk"]
MODEL = GPTConfig(0, TRAINED, emb_dim=96, n_heads=4, n_layers=3, drop_rate=0.0)


class Letters:
    """A text as ids of its letters; from the last tenth, 32 of the longest windows are held out."""

    def __init__(self, text: str) -> None:
        alphabet, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), np.uint32), return_inverse=True)
        self.n_vocab, self.crc = len(alphabet), zlib.crc32(text.encode())
        ids = ids.astype(np.uint16)
        self.train, self.held_out = ids[: -len(ids) // 10], ids[-len(ids) // 10 :][: 32 * max(LENGTHS) + 1]
        if len(self.held_out) <= max(LENGTHS):  # then there are enough to train on, too
            raise ValueError(
                f"the text is too short: {len(ids):,} letters, at least {10 * max(LENGTHS) + 10:,} are needed"
            )


def trained(kind: str, letters: Letters, options: argparse.Namespace) -> GPT:
    """The model with these positions: from its file, or trained now and kept there.

    Raises:
        ValueError: the file is damaged, or of other options.
    """
    file = options.out / f"{kind}.safetensors"
    config = replace(MODEL, vocab_size=letters.n_vocab, positions=kind)
    about = {"config": asdict(config), "text": letters.crc, "steps": options.steps, "seed": options.seed}
    torch.manual_seed(options.seed)  # the same batches for all
    model = GPT(config).to(options.device)
    if file.exists():
        try:
            kept = torch.load(file)
        except RuntimeError as error:
            raise ValueError(f"{error}. Delete it, or name another --out") from error
        if not isinstance(kept, dict) or kept.get("about") != about:
            raise ValueError(f"{file} is of another run: name another --out, or delete it")
        model.load_state_dict(kept["model"])
        return model
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
    warmup = min(50, options.steps)
    order = torch.Generator().manual_seed(options.seed)
    loader = DataLoader(
        WindowDataset(letters.train, TRAINED, TRAINED), BATCH, shuffle=True, drop_last=True, generator=order
    )
    with tqdm(total=options.steps, desc=kind, disable=None) as bar:
        step = 0
        while step < options.steps:
            for inputs, targets in loader:
                share = min(1, (step + 1) / warmup) * (0.55 + 0.45 * math.cos(math.pi * step / options.steps))
                optimizer.param_groups[0]["lr"] = 3e-3 * share
                optimizer.zero_grad()
                model.loss(inputs.to(options.device), targets.to(options.device)).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                bar.update()
                step += 1
                if step == options.steps:
                    break
    torch.save({"model": model.state_dict(), "about": about}, file)
    return model


@torch.no_grad()
def losses(model: GPT, letters: Letters, length: int) -> np.ndarray | None:
    """The mean loss at each position of held-out windows of this length; None where a learned table has no such position."""
    if length > TRAINED and isinstance(model.embedding.position, positions.LearnedPositions):
        return None
    model.eval()
    device = next(model.parameters()).device
    found = []
    for inputs, targets in DataLoader(WindowDataset(letters.held_out, length, length), 4096 // length):
        logits = model(inputs.to(device))
        found.append(F.cross_entropy(logits.transpose(1, 2), targets.to(device), reduction="none").cpu().numpy())
    return np.concatenate(found).mean(axis=0)


def stretched(model: GPT, scaling: str, factor: float) -> GPT:
    """The same weights, with rotations that make room for sequences factor times as long."""
    options = {"scaling": scaling, "factor": factor}
    longer = GPT(replace(model.config, position_options=options)).to(next(model.parameters()).device)
    longer.load_state_dict(model.state_dict())
    return longer


def evaluate(models: dict[str, GPT], letters: Letters) -> dict[str, list[np.ndarray | None]]:
    """For every kind and every length, the loss at each position."""
    rows: dict[str, list[np.ndarray | None]] = {}
    for kind, model in models.items():
        rows[kind] = [losses(model, letters, length) for length in LENGTHS]
        if kind == "rope-halves":
            for scaling in SCALINGS:
                rows[f"{kind}, {scaling}"] = [
                    losses(stretched(model, scaling, length / TRAINED), letters, length) for length in LENGTHS
                ]
    return rows


def table(rows: dict[str, list[np.ndarray | None]]) -> str:
    """One line for every kind: nats a letter, and a dash where there is no such position."""
    lines = [f"{'mean loss in windows of':28}" + "".join(f"{length:>8}" for length in LENGTHS) + "  letters"]
    for name, row in rows.items():
        lines.append(f"{name:28}" + "".join(f"{'-':>8}" if x is None else f"{x.mean():8.3f}" for x in row))
    lines.append(f"(nats a letter, one seed; linear and ntk are stretched by length / {TRAINED})")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------- pictures


def draw_losses(rows: dict[str, list[np.ndarray | None]], file: Path) -> None:
    """The loss at each position of the longest windows, as means over a few: absolute positions left, relative ones right."""
    from matplotlib.figure import Figure

    few = TRAINED // 4
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    left.set(title="nothing, or added to the embeddings", ylabel="loss (nats a letter)")
    right.set(title="in attention")
    for name, row in rows.items():
        axes = left if name.startswith(("none", "learned", "sinusoidal")) else right
        means = next(x for x in reversed(row) if x is not None).reshape(-1, few).mean(axis=1)
        line = "--" if "," in name else "-"
        axes.plot(few * np.arange(len(means)) + few / 2, means, line, label=name)
    for axes in (left, right):
        axes.set_xlabel("position in the window")
        axes.axvline(TRAINED, color="grey", linewidth=0.8, label="trained up to here")
        axes.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    plots.save(figure, file, dpi=90)


@torch.no_grad()
def pattern(kind: str, model: GPT, ids: torch.Tensor) -> tuple[str, np.ndarray]:
    """What the positions add or do, as a matrix, and what that is."""
    added, used, length = model.embedding.position, model.blocks[0].attention.positions, ids.shape[1]
    if added.acts_on_embeddings:
        return "position × column", added.embed(torch.zeros(length, MODEL.emb_dim, device=ids.device)).cpu().numpy()
    if isinstance(used, positions.RoPE):
        ones = torch.ones(1, 1, length, MODEL.emb_dim // MODEL.n_heads, device=ids.device)
        return "position × column\nof a rotated row of ones", used.rotate(ones)[0, 0].cpu().numpy()
    first = model.blocks[0]
    q, k, _ = first.attention.queries_keys_values(first.norm1(model.embedding(ids)))
    bias = used.bias(q, k).cpu().numpy()
    matrix = np.broadcast_to(bias, (1, MODEL.n_heads, length, length))[0, 0]
    what = "query × key, added to scores\n(first layer and head"
    what += ", for one text)" if bias.ndim == 4 else ")"
    return what, np.where(np.tri(length, dtype=bool), matrix, np.nan)


def draw_patterns(models: dict[str, GPT], letters: Letters, file: Path) -> None:
    """A heat map for every kind that has a pattern: of biases that depend on the text, for the beginning of what is held out."""
    from matplotlib.figure import Figure

    shown = {kind: model for kind, model in models.items() if kind != "none"}
    if not shown:
        return
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    ids = torch.tensor(letters.held_out[None, :TRAINED].astype(np.int64))
    for i, (kind, model) in enumerate(shown.items()):
        what, matrix = pattern(kind, model, ids.to(next(model.parameters()).device))
        axes = figure.add_subplot(math.ceil(len(shown) / 4), min(len(shown), 4), i + 1, title=kind)
        axes.set_xlabel(what, fontsize="small")
        axes.set_facecolor("0.85")  # where nobody looks
        reach = np.nanmax(np.abs(matrix)) or 1.0
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        figure.colorbar(image, ax=axes, shrink=0.8)
    plots.save(figure, file, dpi=75)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kinds", nargs="+", choices=list(positions.KINDS), default=list(positions.KINDS), metavar="NAME"
    )
    parser.add_argument("--steps", type=int, default=500, help="optimizer steps for each model (default 500)")
    parser.add_argument("--text", metavar="FILE", help="train on this file (default: Python's language reference)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/length_extrapolation"))
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error("--steps must be positive")
    try:
        letters = Letters(read_text(options.text) if options.text else re.sub(r" {2,}", " ", offline_text()))
        options.out.mkdir(parents=True, exist_ok=True)
        print(
            f"{len(letters.train):,} letters of {letters.n_vocab} kinds, {options.steps} steps of {BATCH} windows of {TRAINED}"
        )
        models = {kind: trained(kind, letters, options) for kind in options.kinds}
        rows = evaluate(models, letters)
    except KeyboardInterrupt:
        parser.exit(130, f"stopped; what is done is kept in {options.out}, and the same command goes on\n")
    except (OSError, ValueError, RuntimeError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(table(rows))
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print("no pictures: pip install -e '.[plot]' and run it again; the models are kept")
        return
    draw_losses(rows, options.out / "losses.png")
    draw_patterns(models, letters, options.out / "patterns.png")
    print(f"drew losses.png and patterns.png in {options.out}")


if __name__ == "__main__":
    main()
