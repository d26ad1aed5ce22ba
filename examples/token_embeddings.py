"""From raw text to embeddings and back: tokens, windows, gather, positions, a loss, scatter-add, SGD.

python examples/token_embeddings.py                  # text that comes with Python; no download
python examples/token_embeddings.py --verdict        # the tutorials' story, downloaded once and kept
python examples/token_embeddings.py --text FILE      # any UTF-8 text
python examples/token_embeddings.py --device cuda    # the same on a GPU, with CuPy
"""

from __future__ import annotations

import argparse
import itertools
import math

import minigrad as torch
from minigrad.data import create_dataloader, fetch_verdict_text, gpt2_tokenizer, offline_text, read_text
from minigrad.nn.functional import cross_entropy

BATCH, LENGTH, DIM = 8, 4, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--text", metavar="FILE", help="train on this file")
    source.add_argument("--verdict", action="store_true", help="train on Edith Wharton's The Verdict")
    parser.add_argument("--steps", type=int, default=40, help="SGD steps (default 40)")
    parser.add_argument("--lr", type=float, default=32.0, help="learning rate (default 32)")
    parser.add_argument("--seed", type=int, default=123, help="of the random stream (default 123)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    try:
        torch.zeros(1, device=options.device)  # a missing GPU shows here, before any work is done
        raw_text = (
            fetch_verdict_text()
            if options.verdict
            else read_text(options.text)
            if options.text is not None
            else offline_text()
        )
        run(raw_text, options)
    except (OSError, ValueError, torch.BackendUnavailable) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def run(raw_text: str, options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)

    title("Text and tokens")
    tokenizer = gpt2_tokenizer()
    token_ids = tokenizer.encode(raw_text, allowed_special={"<|endoftext|>"})
    print(f"{len(raw_text):,} characters are {len(token_ids):,} tokens of a vocabulary of {tokenizer.n_vocab:,}")
    print(" | ".join(tokenizer.decode([i]) for i in token_ids[:8]).replace("\n", "\\n"))
    print(token_ids[:8])

    title("Sliding windows and batches")
    dataloader = create_dataloader(raw_text, batch_size=BATCH, max_length=LENGTH, stride=LENGTH, shuffle=False)
    print(dataloader.report())
    if len(dataloader) == 0:
        raise ValueError(
            f"the text is too short for one batch of {BATCH} windows of {LENGTH} tokens: it needs {BATCH * LENGTH + 1} tokens"
        )
    inputs, targets = (x.to(options.device) for x in next(iter(dataloader)))
    print(f"Inputs:\n{inputs}\nTargets:\n{targets}\nInputs shape: {inputs.shape}")

    title("Token embedding: a gather of rows")
    token_embedding_layer = torch.nn.Embedding(tokenizer.n_vocab, DIM).to(options.device)
    token_embeddings = token_embedding_layer(inputs)
    print(token_embedding_layer, "of", token_embedding_layer.weight.shape)
    print(f"Token embeddings shape: {token_embeddings.shape}, made by {token_embeddings.grad_fn}")

    title("Positional embedding: added to every sequence of the batch")
    pos_embedding_layer = torch.nn.Embedding(LENGTH, DIM).to(options.device)
    pos_embeddings = pos_embedding_layer(torch.arange(LENGTH, device=options.device))
    print(f"Positional embeddings shape: {pos_embeddings.shape}")
    input_embeddings = token_embeddings + pos_embeddings
    print(f"Input embeddings shape: {input_embeddings.shape}, made by {input_embeddings.grad_fn}")

    title("A next-token loss, with the same table at the output")

    def next_token_loss(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        hidden = token_embedding_layer(inputs) + pos_embedding_layer(torch.arange(LENGTH, device=inputs.device))
        logits = hidden @ token_embedding_layer.weight.T / DIM**0.5  # the scale keeps logits of random rows near 1
        return cross_entropy(logits.flatten(0, 1), targets.flatten())

    loss = next_token_loss(inputs, targets)
    print(f"logits: {BATCH * LENGTH} x {tokenizer.n_vocab:,}; loss: {loss}")

    title("Backward: a scatter-add into the rows that were used")
    (token_gradient,) = torch.autograd.grad(token_embeddings.sum(), token_embedding_layer.weight)
    used = (token_gradient != 0).any(dim=1).nonzero().flatten()
    print(
        f"the lookup alone: {inputs.numel()} ids, {used.numel()} distinct rows receive gradient, the other rows none:"
    )
    print(used)
    top = max(used.tolist(), key=lambda i: int((inputs == i).sum()))
    times = int((inputs == top).sum())
    print(
        f"row {top} {tokenizer.decode([top])!r} was read {times} times, and adds up {times} contributions:",
        token_gradient[top, :4],
    )
    loss.backward()
    print(f"with the loss, whose softmax reaches every row: {token_embedding_layer.weight.grad.shape}, in one buffer")
    print(f"positional table: {pos_embedding_layer.weight.grad.shape}, each row a sum over the batch of {BATCH}")

    title("SGD")
    parameters = [*token_embedding_layer.parameters(), *pos_embedding_layer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=options.lr)
    loader = create_dataloader(raw_text, batch_size=16, max_length=LENGTH, stride=LENGTH, shuffle=True, drop_last=False)
    batches = (batch for _ in itertools.count() for batch in loader)  # one shuffled pass after another
    print(
        f"guessing evenly among {tokenizer.n_vocab:,} tokens: {math.log(tokenizer.n_vocab):.4f}; the first batch: {loss.item():.4f}"
    )
    recent = []
    for step, (x, y) in zip(range(1, options.steps + 1), batches, strict=False):
        optimizer.zero_grad()
        loss = next_token_loss(x.to(options.device), y.to(options.device))
        loss.backward()
        optimizer.step()
        recent.append(loss.item())
        if step % 20 == 0 or step == options.steps:
            print(f"step {step:3d}: mean loss of {len(recent)} shuffled batches {sum(recent) / len(recent):.4f}")
            recent.clear()
    print(f"the first batch again: {next_token_loss(inputs, targets).item():.4f}")


def title(text: str) -> None:
    print(f"\n== {text} ==")


if __name__ == "__main__":
    main()
