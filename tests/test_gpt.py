"""The GPT against the same model written with torch's functions, its cache against none, and GPT-2's published names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
import torch.nn.functional as F

import minigrad as mg
from minigrad.gpt import GPT, GPTConfig, KVCache, load_gpt2

CONFIG = GPTConfig(vocab_size=50, context_length=12, emb_dim=32, n_heads=4, n_layers=3, drop_rate=0.2)


def model_of(seed: int, config: GPTConfig = CONFIG) -> GPT:
    mg.manual_seed(seed)
    model = GPT(config)
    with mg.no_grad():
        for p in model.parameters():  # large enough that predictions differ, biases and norms too
            p.add_(mg.randn(p.shape) * 0.2)
    return model


def torch_logits(w: dict[str, torch.Tensor], ids: torch.Tensor, config: GPTConfig, drop: float = 0.0) -> torch.Tensor:
    """GPT-2, by the letter, from its weights under our names."""

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (config.emb_dim,), w[f"{name}.weight"], w[f"{name}.bias"])

    table = w["embedding.token.weight"]
    x = F.dropout(table[ids] + w["embedding.position.weight"][: ids.shape[1]], drop)
    batch, length, dim = x.shape
    for i in range(config.n_layers):
        at = f"blocks.{i}"
        heads = linear(norm(x, f"{at}.norm1"), f"{at}.attention.qkv").view(batch, length, 3, config.n_heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / math.sqrt(dim // config.n_heads)
        future = torch.ones(length, length).triu(1).bool()
        weights = F.dropout(scores.masked_fill(future, -math.inf).softmax(-1), drop)
        y = (weights @ v).transpose(1, 2).reshape(batch, length, dim)
        x = x + F.dropout(linear(y, f"{at}.attention.projection"), drop)
        y = linear(F.gelu(linear(norm(x, f"{at}.norm2"), f"{at}.mlp.0"), approximate="tanh"), f"{at}.mlp.2")
        x = x + F.dropout(y, drop)
    return norm(x, "norm") @ table.T


def ids_of(seed: int, length: int, batch: int = 2, config: GPTConfig = CONFIG) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, config.vocab_size, (batch, length))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("length", [1, 7, 12])
def test_logits_and_gradients_are_torchs(length: int, training: bool) -> None:
    model = model_of(length).train(training)
    theirs = {name: torch.tensor(p.cpu().numpy(), requires_grad=True) for name, p in model.state_dict().items()}
    ids, targets = ids_of(1, length), ids_of(2, length)
    mg.manual_seed(5)
    torch.manual_seed(5)
    logits = model(mg.tensor(ids))
    expected = torch_logits(theirs, torch.tensor(ids), CONFIG, CONFIG.drop_rate if training else 0.0)
    np.testing.assert_allclose(logits.detach().cpu().numpy(), expected.detach().cpu().numpy(), rtol=1e-4, atol=1e-4)
    mg.manual_seed(5)
    torch.manual_seed(5)
    loss = model.loss(mg.tensor(ids), mg.tensor(targets))
    expected = F.cross_entropy(
        torch_logits(theirs, torch.tensor(ids), CONFIG, CONFIG.drop_rate if training else 0.0).flatten(0, 1),
        torch.tensor(targets).flatten(),
    )
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, p in model.named_parameters():
        np.testing.assert_allclose(
            p.grad.cpu().numpy(), theirs[name].grad.cpu().numpy(), rtol=2e-3, atol=2e-5, err_msg=name
        )


def test_the_table_is_tied() -> None:
    model = model_of(0)
    assert sum(p.numel() for p in model.parameters()) == 50 * 32 + 12 * 32 + 3 * (12 * 32 * 32 + 13 * 32) + 2 * 32
    assert not any("head" in name for name in model.state_dict())


def test_gpt2_has_124_million_parameters_and_begins_as_it_did() -> None:
    config = GPTConfig(vocab_size=1000, n_layers=1)
    mg.manual_seed(0)
    model = GPT(config)
    assert sum(p.numel() for p in model.blocks.parameters()) * 12 + (50257 + 1024) * 768 + 2 * 768 == 124_439_808
    stds = {name: float(p.detach().std()) for name, p in model.named_parameters()}
    assert stds["blocks.0.attention.qkv.weight"] == pytest.approx(0.02, rel=0.01)
    assert stds["blocks.0.attention.projection.weight"] == pytest.approx(0.02 / math.sqrt(2), rel=0.01)
    assert stds["blocks.0.mlp.2.weight"] == pytest.approx(0.02 / math.sqrt(2), rel=0.01)
    assert stds["blocks.0.mlp.0.bias"] == 0 and stds["embedding.position.weight"] == pytest.approx(0.02, rel=0.01)


def test_no_token_sees_a_later_one() -> None:
    model = model_of(3).eval()
    ids = ids_of(4, 10)
    changed = ids.copy()
    changed[:, 6:] = (changed[:, 6:] + 1) % CONFIG.vocab_size
    a, b = (model(mg.tensor(x)).detach().cpu().numpy() for x in (ids, changed))
    np.testing.assert_allclose(a[:, :6], b[:, :6], rtol=1e-5, atol=1e-5)
    assert (np.abs(a[:, 6:] - b[:, 6:]).max(-1) > 1e-2).all()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("prompt", [1, 5, 12, 15])
def test_the_cache_changes_no_token(prompt: int, temperature: float) -> None:
    said: set[int] = set()
    for seed in range(5):
        model = model_of(seed).eval()
        ids = mg.tensor(ids_of(seed, prompt, batch=3))
        texts = []
        for use_cache in (True, False):
            dice = mg.Generator().manual_seed(seed)
            texts.append(model.generate(ids, 18, temperature, top_k=7, use_cache=use_cache, generator=dice))
        assert texts[0].shape == (3, prompt + 18) and texts[0].dtype == mg.int64
        assert mg.equal(*texts)
        assert mg.equal(texts[0][:, :prompt], ids)
        said |= set(texts[0][:, prompt:].flatten().tolist())
    assert len(said) > 5


def test_the_cache_is_used() -> None:
    """With it, every pass after the first sees one token."""
    model, seen = model_of(0).eval(), []
    forward = model.forward
    model.forward = lambda ids, cache=None: (seen.append(ids.shape[1]), forward(ids, cache))[1]
    model.generate(mg.tensor(ids_of(0, 4)), 6)
    assert seen == [4, 1, 1, 1, 1, 1]
    seen.clear()
    model.generate(mg.tensor(ids_of(0, 4)), 3, use_cache=False)
    assert seen == [4, 5, 6]


def test_several_tokens_at_once_behind_a_cache() -> None:
    model, ids = model_of(1).eval(), mg.tensor(ids_of(1, 9))
    cache, parts = KVCache(CONFIG), []
    with mg.no_grad():
        for part in (ids[:, :2], ids[:, 2:3], ids[:, 3:9]):
            parts.append(model(part, cache))
        whole = model(ids)
    np.testing.assert_allclose(mg.cat(parts, 1).cpu().numpy(), whole.cpu().numpy(), rtol=1e-4, atol=1e-5)
    assert cache.length == 9


def test_greedy_is_the_most_likely_and_sampling_draws_torchs_tokens() -> None:
    model, ids = model_of(2).eval(), ids_of(2, 3)
    weights = {name: torch.tensor(p.cpu().numpy()) for name, p in model.state_dict().items()}
    for temperature, top_k in ((0.0, None), (0.7, None), (1.3, 5), (1.0, 500)):
        torch.manual_seed(9)
        mg.manual_seed(9)
        expected = torch.tensor(ids)
        for _ in range(8):
            logits = torch_logits(weights, expected, CONFIG)[:, -1]
            if temperature == 0:
                chosen = logits.argmax(-1, keepdim=True)
            else:
                if top_k is not None:
                    least = torch.topk(logits, min(top_k, 50)).values[:, -1:]
                    logits = logits.masked_fill(logits < least, -math.inf)
                chosen = torch.multinomial(torch.softmax(logits / temperature, -1), 1)
            expected = torch.cat([expected, chosen], 1)
        assert model.generate(mg.tensor(ids), 8, temperature, top_k).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("call", "kind", "facts"),
    [
        (lambda m: m.generate(mg.tensor([1, 2]), 3), ValueError, ["(B, T)", "(2,)"]),
        (lambda m: m.generate(mg.zeros(1, 0, dtype=mg.int64), 3), ValueError, ["at least one token", "(1, 0)"]),
        (lambda m: m.generate(mg.tensor([[1]]), 3, temperature=-1), ValueError, ["temperature", "-1"]),
        (lambda m: m.generate(mg.tensor([[1]]), 3, temperature=math.nan), ValueError, ["temperature", "nan"]),
        (lambda m: m.generate(mg.tensor([[1]]), 3, temperature=1, top_k=0), ValueError, ["top_k", "0"]),
        (lambda m: m(mg.zeros(1, 13, dtype=mg.int64)), ValueError, ["13", "context_length 12"]),
        (lambda m: m(mg.tensor([[50]])), IndexError, ["50", "0..49"]),
        (lambda m: m(mg.tensor([1, 2])), ValueError, ["(B, T)", "ids[None]"]),
        (lambda m: m(mg.tensor([[1, 2]]), KVCache(CONFIG)), RuntimeError, ["no_grad"]),
        (lambda m: m.stream(mg.tensor([[1]]), 1, temperature=-1), ValueError, ["temperature", "-1"]),  # at once
        (lambda m: GPTConfig(n_heads=0), ValueError, ["n_heads", "0"]),
        (lambda m: GPTConfig(emb_dim=-8, n_heads=1), ValueError, ["emb_dim", "-8"]),
        (lambda m: GPTConfig(emb_dim=10, n_heads=4), ValueError, ["emb_dim 10", "n_heads 4"]),
    ],
)
def test_errors(call: Any, kind: type[Exception], facts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        call(model_of(0).eval())
        mg.cuda.synchronize()  # where a GPU's errors show at the latest
    assert [fact for fact in facts if fact not in str(caught.value)] == []


# ------------------------------------------------------------------------------------------------- GPT-2's published names

OURS_TO_THEIRS = {
    "embedding.token": "wte", "embedding.position": "wpe", "norm1": "ln_1", "norm2": "ln_2", "norm": "ln_f", "blocks": "h",
    "attention.qkv": "attn.c_attn", "attention.projection": "attn.c_proj", "mlp.0": "mlp.c_fc", "mlp.2": "mlp.c_proj",
}  # fmt: skip
GPT2 = GPTConfig(vocab_size=30, context_length=9, emb_dim=128, n_heads=2, n_layers=2)


def published(model: GPT) -> dict[str, np.ndarray]:
    """The model's weights as GPT-2's are published: other names, matrices as (in, out), and masks among them."""
    weights = {}
    for name, p in model.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        for ours, theirs in OURS_TO_THEIRS.items():
            layer = (
                ".".join(theirs if part == ours else part for part in layer.split("."))
                if "." not in ours
                else layer.replace(ours, theirs)
            )
        matrix = p.ndim == 2 and "wte" not in layer and "wpe" not in layer
        weights[f"{layer}.{kind}"] = np.ascontiguousarray(p.cpu().numpy().T if matrix else p.cpu().numpy())
    weights["h.0.attn.bias"] = np.tril(np.ones((1, 1, 9, 9), np.float32))
    return weights


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("in_a_folder", [False, True])
def test_published_weights(tmp_path: Path, prefix: str, in_a_folder: bool) -> None:
    model = model_of(7, GPT2)
    weights = {prefix + name: w for name, w in published(model).items()}
    assert f"{prefix}h.1.attn.c_attn.weight" in weights and weights[f"{prefix}h.1.attn.c_attn.weight"].shape == (
        128,
        384,
    )
    if prefix:
        weights["lm_head.weight"] = weights["transformer.wte.weight"].copy()
    file = tmp_path / "model.safetensors"
    safetensors.numpy.save_file(weights, file)
    loaded = load_gpt2(tmp_path if in_a_folder else file)
    assert loaded.config == GPT2
    ids = mg.tensor(ids_of(1, 9, config=GPT2))
    assert mg.equal(loaded.eval()(ids), model.eval()(ids))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    good = published(model_of(7, GPT2))
    file = tmp_path / "model.safetensors"

    def refusal(weights: dict[str, np.ndarray]) -> str:
        safetensors.numpy.save_file(weights, file)
        with pytest.raises(ValueError, match="does not hold GPT-2's weights") as caught:
            load_gpt2(file)
        return str(caught.value)

    assert "'layers.0.w'" in refusal({**good, "layers.0.w": np.zeros(3)})
    assert "embedding.position" not in refusal({n: w for n, w in good.items() if n != "wpe.weight"}).split("found")[0]
    assert "'wte.weight" not in refusal({**good, "wte.weight": np.zeros(30, np.float32)})
    safetensors.numpy.save_file({**good, "lm_head.weight": good["wte.weight"] + 1}, file)
    with pytest.raises(ValueError, match=r"lm_head.weight is not wte.weight"):
        load_gpt2(file)
    assert "blocks.1.norm1.bias" in refusal({n: w for n, w in good.items() if n != "h.1.ln_1.bias"})
    assert "[7]" in refusal({**good, "h.1.ln_1.bias": np.zeros(7, np.float32)})
    with pytest.raises(FileNotFoundError):
        load_gpt2(tmp_path / "nowhere.safetensors")
    file.write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(RuntimeError, match="pickle"):
        load_gpt2(file)
