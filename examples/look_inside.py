"""Train a small GPT of letters, and look at what it learned: the tables before and after, and who looks at whom.

python examples/look_inside.py                   # half a minute on one core, on text that comes with Python
python examples/look_inside.py --text FILE       # any UTF-8 text
python examples/look_inside.py --steps 2000      # clearer, four times as long
python examples/look_inside.py --sentence "what is a class?"

Nobody tells the model what a vowel is, or a digit, or a capital. Draws pictures into --out, and prints what each shows in numbers.
Needs matplotlib: pip install -e '.[plot]'
"""

from __future__ import annotations

import argparse
import collections
import math
import re
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minigrad as torch
from minigrad.data import DataLoader, WindowDataset, offline_text, read_text
from minigrad.explain import plots
from minigrad.gpt import GPT, GPTConfig

LENGTH, BATCH = 32, 32
GROUPS = {"vowel": "aeiou", "consonant": "bcdfghjklmnpqrstvwxyz", "digit": "0123456789"}
SHOWN = {"vowel": 5, "consonant": 21, "digit": 4, "capital": 4, "other": 6}
"""Of each group so many letters, the most frequent ones, are in the pictures."""


def group(letter: str) -> str:
    """What people call such a letter."""
    found = [name for name, members in GROUPS.items() if letter in members]
    return found[0] if found else "capital" if letter.isupper() else "other"


class Letters:
    """A text as ids of its letters, the most frequent letter first."""

    def __init__(self, text: str) -> None:
        self.alphabet = [letter for letter, _ in collections.Counter(text).most_common()]
        self.id_of = {letter: i for i, letter in enumerate(self.alphabet)}
        self.ids = np.array(self.encode(text), dtype=np.uint16)
        if len(self.ids) <= BATCH * LENGTH:
            raise ValueError(f"the text is too short: {len(self.ids)} letters, one batch takes {BATCH * LENGTH + 1}")
        by_group = {name: [i for i, c in enumerate(self.alphabet) if group(c) == name] for name in SHOWN}
        self.shown = [i for name, count in SHOWN.items() for i in by_group[name][:count]]

    def encode(self, text: str) -> list[int]:
        """Its ids; a letter that is nowhere in the text has none."""
        if unknown := sorted(set(text) - set(self.id_of)):
            raise ValueError(f"the text has no letter {', '.join(map(repr, unknown))}, which is in {text!r}")
        return [self.id_of[letter] for letter in text]


def tables(model: GPT) -> tuple[torch.Tensor, torch.Tensor]:
    """Copies of the token table and the position table."""
    return model.embedding.token.weight.detach().clone(), model.embedding.position.weight.detach().clone()


def train(model: GPT, ids: np.ndarray, options: argparse.Namespace) -> list[float]:
    """The loss of every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    order = torch.Generator().manual_seed(options.seed)
    loader = DataLoader(WindowDataset(ids, LENGTH, LENGTH), BATCH, shuffle=True, drop_last=True, generator=order)
    losses: list[float] = []
    with tqdm(total=options.steps, disable=None) as bar:
        while len(losses) < options.steps:
            for inputs, targets in loader:
                optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (len(losses) + 1) / 50)
                optimizer.zero_grad()
                loss = model.loss(inputs.to(options.device), targets.to(options.device))
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                bar.update()
                if len(losses) == options.steps:
                    break
    return losses


def nearest(table: torch.Tensor) -> np.ndarray:
    """For every row of (N, D) the other row whose direction is nearest."""
    unit = torch.nn.functional.normalize(table.cpu(), dim=1)
    return (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1).numpy()


def neighbours(table: torch.Tensor) -> list[float]:
    """The mean cosine of positions 1, 2, 4, ... apart."""
    unit = torch.nn.functional.normalize(table.cpu(), dim=1)
    return [(unit[d:] * unit[: len(unit) - d]).sum(dim=1).mean().item() for d in (1, 2, 4, 8, 16) if d < len(unit)]


def look(model: GPT, letters: Letters, options: argparse.Namespace) -> None:
    """Train, draw and tell."""
    sentence = torch.tensor([letters.encode(options.sentence)], device=options.device)
    tokens, positions = tables(model)
    losses = train(model, letters.ids, options)
    trained_tokens, trained_positions = tables(model)
    both = {"before training": tokens[letters.shown], "after training": trained_tokens[letters.shown]}
    places = {"before training": positions, "after training": trained_positions}
    texts = [letters.alphabet[i] for i in letters.shown]
    groups = [group(text) for text in texts]

    def tell(picture: str, *lines: str) -> None:
        print("\n    ".join([f"{options.out / picture}", *lines]))

    span = min(20, len(losses))
    means = np.convolve(losses, np.ones(span) / span, "valid")
    middle = np.arange(len(means)) + (span + 1) / 2
    curves = {"each step": losses, f"mean of {span} steps": np.stack([middle, means], axis=1)}
    plots.loss_curve(curves, unit="nats a letter", path=options.out / "loss.png")
    tell(
        "loss.png",
        f"the loss fell from {losses[0]:.3f} to {means[-1]:.3f} nats a letter, the mean of the last {span} of {len(losses)} steps;",
        f"guessing evenly among {len(letters.alphabet)} letters costs {math.log(len(letters.alphabet)):.3f}",
    )

    plots.heat_map(both, texts, rows="letter", path=options.out / "tokens.png")
    lengths = [table.norm(dim=1).mean().item() for table in both.values()]
    tell("tokens.png", f"the mean length of a letter's vector went from {lengths[0]:.3f} to {lengths[1]:.3f}")

    figure = plots.projection(both, texts, groups=groups, rows="letter")
    plots.save(figure, options.out / "letters.png", dpi=80)  # small enough for the README
    found = [nearest(table) for table in both.values()]
    alike = [sum(groups[i] == groups[j] for i, j in enumerate(of)) for of in found]
    vowels = [f"{texts[i]}-{texts[found[1][i]]}" for i, name in enumerate(groups) if name == "vowel"]
    tell(
        "letters.png",
        f"the nearest other letter is of the same group for {alike[0]} of {len(texts)} before training, and "
        f"{alike[1]} after,",
        f"though nobody told the model of groups. Nearest to the vowels: {' '.join(vowels)}",
    )

    plots.heat_map(places, rows="position", path=options.out / "positions.png")
    tell("positions.png", "a vector for every position, added to the letter that stands there")

    plots.cosines(places, path=options.out / "cosines.png")
    tell(
        "cosines.png",
        "mean cosines of positions 1, 2, 4, 8 and 16 apart:",
        *(f"{name}: {', '.join(f'{x:.2f}' for x in neighbours(table))}" for name, table in places.items()),
    )

    weights = plots.attention_weights(model, sentence)
    plots.attention(weights, options.sentence, path=options.out / "attention.png")
    query, key = np.tril_indices(len(options.sentence))
    far = (weights.cpu().numpy()[..., query, key] * (query - key)).sum(axis=-1) / len(options.sentence)
    tell(
        "attention.png",
        f"how many letters back each head looks in {options.sentence!r}, on average:",
        *(f"layer {i}: {', '.join(f'{x:.1f}' for x in heads)}" for i, heads in enumerate(far, 1)),
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500, help="optimizer steps (default 500)")
    parser.add_argument("--text", metavar="FILE", help="train on this file (default: Python's language reference)")
    parser.add_argument(
        "--sentence", default="the type of an object", help=f"for the attention maps; at most {LENGTH} letters"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/look_inside"))
    parser.add_argument("--seed", type=int, default=123)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error("--steps must be positive")
    if not 1 <= len(options.sentence) <= LENGTH:
        parser.error(f"--sentence must have 1 to {LENGTH} letters, got {len(options.sentence)}")
    try:
        import matplotlib  # noqa: F401  # missed now, not after the training
    except ImportError:
        parser.exit(2, f"{parser.prog}: there are only pictures here: pip install -e '.[plot]'\n")
    try:
        torch.zeros(1, device=options.device)  # a missing GPU, too
        letters = Letters(read_text(options.text) if options.text else re.sub(r" {2,}", " ", offline_text()))
        torch.manual_seed(options.seed)
        config = GPTConfig(len(letters.alphabet), LENGTH, emb_dim=48, n_heads=4, n_layers=2, drop_rate=0.0)
        options.out.mkdir(parents=True, exist_ok=True)
        look(GPT(config).to(options.device), letters, options)
    except KeyboardInterrupt:
        parser.exit(130, "stopped before the pictures; fewer --steps are done sooner\n")
    except (OSError, ValueError, torch.BackendUnavailable) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
