"""One contestant: a process that computes with one library, when it is told to, and says how long it took.

Started as a file, not as a module of minigrad, which would set its memory up for the other libraries too. Reads a line of JSON
that says what to prepare, then a line for each round, and answers each with a line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

Step = Callable[[], float]
"""One piece of work, which returns a number that must be the same for all contestants."""

VOCABULARY = 50257


def zipf(*shape: int, vocabulary: int = VOCABULARY) -> np.ndarray:
    """Ids that are distributed as words are: the k-th as often as 1/k."""
    chance = 1 / np.arange(1, vocabulary + 1)
    return np.random.default_rng(0).choice(vocabulary, shape, p=chance / chance.sum())


def weights(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# ---------------------------------------------------------------------------------------------------- minigrad and torch alike


def adam_of(library: Any, parameters: Any) -> Any:
    fused = {"fused": True} if library.__name__ == "torch" else {}
    return library.optim.AdamW(parameters, lr=1e-4, **fused)


def torchs_embedding(library: Any, rows: int, length: int, dim: int, sparse: bool) -> Any:
    """What a user of torch writes for TokenAndPositionEmbedding; for SparseAdam, one of minigrad too."""

    class TokenAndPosition(library.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = library.nn.Embedding(rows, dim, sparse=sparse)
            self.position = library.nn.Embedding(length, dim)

        def forward(self, ids: Any) -> Any:
            return self.token(ids) + self.position.weight[: ids.shape[1]]

    return TokenAndPosition()


def embedding(
    library: Any, batch: int, length: int, dim: int, optimizer: str, sparse: bool = False, rows: int = VOCABULARY
) -> tuple[Any, Step]:
    """A model of two tables, and a training step of it: gather, add, mean of squares, backward, update."""
    if library.__name__ == "minigrad" and optimizer != "SparseAdam":
        model = library.nn.TokenAndPositionEmbedding(rows, length, dim)
    else:
        model = torchs_embedding(library, rows, length, dim, sparse)
    with library.no_grad():
        model.token.weight.copy_(library.from_numpy(weights(1, rows, dim)))
        model.position.weight.copy_(library.from_numpy(weights(2, length, dim)))
    tables = [model.token.weight, model.position.weight]
    if optimizer == "SparseAdam":  # which takes no dense gradients
        optimizers = [library.optim.SparseAdam(tables[:1], lr=1e-3), adam_of(library, tables[1:])]
    else:
        optimizers = [library.optim.SGD(tables, lr=0.1) if optimizer == "SGD" else adam_of(library, tables)]
    ids = library.from_numpy(zipf(batch, length, vocabulary=rows))

    def step() -> float:
        for each in optimizers:
            each.zero_grad()
        h = model(ids)
        loss = (h * h).mean()
        loss.backward()
        for each in optimizers:
            each.step()
        return loss.item()

    return model, step


def embedding_step(library: Any, **how: Any) -> Step:
    return embedding(library, **how)[1]


def embedding_forward(library: Any, batch: int, length: int, dim: int) -> Step:
    model, _ = embedding(library, batch, length, dim, "SGD")
    ids = library.from_numpy(zipf(batch, length))

    def step() -> float:
        with library.no_grad():
            return model(ids)[-1, -1, -1].item()

    return step


def scatter_add(library: Any, tokens: int, dim: int) -> Step:
    """The rows of a gradient, summed by id."""
    ids, rows = zipf(tokens), weights(3, tokens, dim)
    if library.__name__ == "torch":
        index, values = library.from_numpy(ids)[None], library.from_numpy(rows)
        return lambda: library.sparse_coo_tensor(index, values, (VOCABULARY, dim)).coalesce().values()[0, 0].item()
    return lambda: library.RowSparse(ids, rows, (VOCABULARY, dim)).coalesce().values()[0, 0].item()


def gpt(library: Any, layers: int, heads: int, dim: int, length: int) -> Any:
    """A GPT with tied weights, the same numbers in every library."""
    if library.__name__ == "minigrad":
        from minigrad.gpt import GPT, GPTConfig

        model: Any = GPT(GPTConfig(VOCABULARY, length, dim, heads, layers, drop_rate=0.0))
    else:
        model = torchs_gpt(library, layers, heads, dim, length)
    with library.no_grad():
        for i, (_, p) in enumerate(sorted(model.named_parameters())):
            if p.ndim == 2:
                p.copy_(library.from_numpy(0.02 * weights(i, *p.shape)))
    return model.eval()


def torchs_gpt(torch: Any, layers: int, heads: int, dim: int, length: int) -> Any:
    """minigrad.gpt.GPT as one writes it for torch, at its best: with its fused attention."""
    nn: Any = torch.nn
    F = nn.functional

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv, self.projection = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

        def forward(self, x: Any, cache: list[Any] | None) -> Any:
            batch, length, _ = x.shape
            q, k, v = self.qkv(x).view(batch, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4).unbind()
            if cache is not None:
                if cache:
                    k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
                cache[:] = k, v
            y = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            return self.projection(y.transpose(1, 2).reshape(x.shape))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2, self.attention = nn.LayerNorm(dim), nn.LayerNorm(dim), Attention()
            gelu = nn.GELU(approximate="tanh")
            self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), gelu, nn.Linear(4 * dim, dim))

        def forward(self, x: Any, cache: list[Any] | None) -> Any:
            x = x + self.attention(self.norm1(x), cache)
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torchs_embedding(torch, VOCABULARY, length, dim, False)
            self.blocks, self.norm = nn.ModuleList(Block() for _ in range(layers)), nn.LayerNorm(dim)
            for p in self.parameters():
                if p.ndim == 1 and p is not self.norm.weight:
                    nn.init.zeros_(p)
            for module in self.modules():
                if isinstance(module, nn.LayerNorm):
                    nn.init.ones_(module.weight)

        def forward(self, ids: Any, caches: list[list[Any]] | None = None) -> Any:
            start = caches[0][0].shape[2] if caches and caches[0] else 0
            x = self.embedding.token(ids) + self.embedding.position.weight[start : start + ids.shape[1]]
            for i, block in enumerate(self.blocks):
                x = block(x, caches[i] if caches else None)
            return F.linear(self.norm(x), self.embedding.token.weight)

    return GPT()


def gpt_step(library: Any, batch: int, length: int, compiled: bool = False, **sizes: int) -> Step:
    """A training step of a GPT with AdamW."""
    model = gpt(library, length=length, **sizes)
    optimizer = adam_of(library, model.parameters())
    tokens = library.from_numpy(zipf(batch, length + 1))
    ids, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def loss_of(ids: Any, targets: Any) -> Any:
        if library.__name__ == "minigrad":
            return model.loss(ids, targets)
        return library.nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())

    loss_of = library.compile(loss_of) if compiled else loss_of

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(ids, targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def generation(library: Any, new: int, prompt: int, how: str, **sizes: int) -> Step:
    """Tokens that follow a prompt, each the most likely; the sum of their ids."""
    model = gpt(library, length=1024, **sizes)
    ids = library.from_numpy(zipf(1, prompt))

    def simple() -> Any:
        """generate_text_simple of S. Raschka's book: every token takes a whole pass."""
        idx = ids
        for _ in range(new):
            with library.no_grad():
                logits = model(idx[:, -1024:])[:, -1, :]
            idx = library.cat((idx, library.argmax(library.softmax(logits, dim=-1), dim=-1, keepdim=True)), dim=1)
        return idx

    def cached() -> Any:
        if library.__name__ == "minigrad":
            return model.generate(ids, new)
        caches: list[list[Any]] = [[] for _ in model.blocks]
        idx, following = ids, ids
        with library.no_grad():
            for _ in range(new):
                following = library.argmax(model(following, caches)[:, -1], dim=-1, keepdim=True)
                idx = library.cat((idx, following), dim=1)
        return idx

    run = simple if how == "simple" else cached
    return lambda: float(run()[0, prompt:].sum().item())


def tiny_ops(library: Any, ops: int) -> Step:
    """A chain of multiplications and additions of four numbers, forward and backward."""
    if library.__name__ == "torch":
        library.set_num_threads(1)
    x, w, b = (library.tensor(list(map(float, weights(i, 4))), requires_grad=True) for i in range(3))
    w = (w * 0.01 + 0.9).detach().requires_grad_()

    def step() -> float:
        x.grad = w.grad = b.grad = None
        y = x
        for _ in range(ops // 2):
            y = y * w + b
        y.sum().backward()
        return x.grad.sum().item()

    return step


def windows(library: Any, tokens: int, length: int, batch: int, stride: int) -> Step:
    """A shuffled pass over all windows of a sequence; how many ids came."""
    ids = zipf(tokens).tolist()
    if library.__name__ == "torch":
        loader = library.utils.data.DataLoader(books_dataset(library, ids, length, stride), batch, shuffle=True)
    else:
        loader = library.data.DataLoader(library.data.WindowDataset(ids, length, stride), batch, shuffle=True)
    return lambda: float(sum(inputs.numel() + targets.numel() for inputs, targets in loader))


def books_dataset(torch: Any, ids: list[int], length: int, stride: int) -> Any:
    """GPTDatasetV1 of S. Raschka's book, from token ids on: two tensors a window, made beforehand."""

    class GPTDatasetV1(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.pairs = [
                (torch.tensor(ids[i : i + length]), torch.tensor(ids[i + 1 : i + length + 1]))
                for i in range(0, len(ids) - length, stride)
            ]

        def __len__(self) -> int:
            return len(self.pairs)

        def __getitem__(self, i: int) -> Any:
            return self.pairs[i]

    return GPTDatasetV1()


def windows_built(library: Any, tokens: int, length: int) -> Step:
    """A dataset of all windows at stride 1, from an array of ids."""
    ids = zipf(tokens)
    if library.__name__ == "torch":
        return lambda: float(len(books_dataset(library, ids.tolist(), length, 1)))
    return lambda: float(len(library.data.WindowDataset(ids, length, 1)))


def windows_mapped(library: Any, tokens: int, length: int, batch: int, file: str) -> Step:
    """A shuffled pass over windows that lie one behind another in a file of uint16 ids."""
    ids = np.memmap(file, np.uint16, "r", shape=(tokens,))
    loader = library.data.DataLoader(library.data.WindowDataset(ids, length, length), batch, shuffle=True)
    return lambda: float(sum(len(inputs) for inputs, _ in loader))


# -------------------------------------------------------------------------------------------------------------- other peers


def copy_of(_: Any, rows: int, dim: int) -> Step:
    """A plain copy of as many rows."""
    source = weights(3, rows, dim)
    target = source.copy()

    def step() -> float:
        np.copyto(target, source)
        return float("nan")  # nothing to compare

    return step


def jax_embedding(jax: Any, batch: int, length: int, dim: int, **_: Any) -> Step:
    """The step as JAX compiles it best: the gradient of the looked-up rows, scattered into the table, which is given away."""
    jnp = import_module("jax.numpy")
    tables = jnp.asarray(weights(1, VOCABULARY, dim)), jnp.asarray(weights(2, length, dim))
    ids = jnp.asarray(zipf(batch, length))

    def loss_of(rows: Any, position: Any) -> Any:
        return ((rows + position) ** 2).mean()

    def update(token: Any, position: Any) -> Any:
        loss, (grad_rows, grad_position) = jax.value_and_grad(loss_of, (0, 1))(token[ids], position)
        return loss, (token.at[ids].add(-0.1 * grad_rows), position - 0.1 * grad_position)

    compiled = jax.jit(update, donate_argnums=(0, 1))

    def step() -> float:
        nonlocal tables
        loss, tables = compiled(*tables)
        return float(loss)

    return step


def mygrad_embedding(mygrad: Any, batch: int, length: int, dim: int, **_: Any) -> Step:
    token, position = mygrad.tensor(weights(1, VOCABULARY, dim)), mygrad.tensor(weights(2, length, dim))
    ids = zipf(batch, length)

    def step() -> float:
        loss = ((token[ids] + position) ** 2).mean()
        loss.backward()
        for table in (token, position):
            table.data[...] -= 0.1 * table.grad
            table.null_grad()
        return float(loss)

    return step


def tinygrad_embedding(tinygrad: Any, batch: int, length: int, dim: int, **_: Any) -> Step:
    Tensor = tinygrad.Tensor
    tables = [Tensor(weights(1, VOCABULARY, dim)).realize(), Tensor(weights(2, length, dim)).realize()]
    ids = Tensor(zipf(batch, length).astype(np.int32)).realize()

    @tinygrad.TinyJit
    def update() -> Any:
        token, position = tables
        loss = ((token[ids] + position) ** 2).mean()
        for table, grad in zip(tables, loss.gradient(*tables), strict=True):
            table.assign(table - 0.1 * grad)
        return loss.realize(*tables)

    return lambda: float(update().item())


OTHERS: dict[tuple[str, str], Callable[..., Step]] = {
    ("jax", "embedding_step"): jax_embedding,
    ("mygrad", "embedding_step"): mygrad_embedding,
    ("tinygrad", "embedding_step"): tinygrad_embedding,
}


# ------------------------------------------------------------------------------------------------------------- the process


def peak_memory() -> float:
    """Of this process so far, in MB; nan where the system does not say."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)


def arrays_of(step: Step) -> float:
    """The most memory, in MB, that arrays made during one step took: NumPy reports its arrays to tracemalloc."""
    import tracemalloc

    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    def told() -> Any:
        return json.loads(sys.stdin.readline() or "null")

    def say(**answer: Any) -> None:
        print(json.dumps(answer), flush=True)

    asked = told()
    name, work = asked["library"], asked["work"]
    library = import_module(name) if name != "numpy" else np
    step = OTHERS.get((name, work), globals()[work])(library, **asked["how"])
    say(results=[step() for _ in range(asked["warm_up"])], version=getattr(library, "__version__", "?"))
    while (repeats := told()) is not None:
        if repeats == "memory":
            say(peak=peak_memory(), arrays=arrays_of(step) if name == "minigrad" else float("nan"))
            continue
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        say(seconds=(time.perf_counter() - start) / repeats)


if __name__ == "__main__":
    main()
