"""MultiheadAttention and the layers around it: torch's names, first weights, results, gradients, dropout and printing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from helpers import same

import minigrad as mg

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")

N, L, S, E = 3, 4, 5, 6
NEAR = {"rtol": 1e-4, "atol": 1e-5}

Outcome = tuple[list[str], str, list[Any]]


def checked(run: Any, **options: Any) -> None:
    """run(library) gives names, what is printed, and tensors: all are torch's."""
    (names, text, ours), (other_names, other_text, theirs) = run(mg, **options), run(torch, **options)
    assert names == other_names
    assert text == other_text
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        same(a, b, what=str(i), **NEAR)


def trained(t: Any, m: Any, y: Any, *more: Any) -> Outcome:
    """The module's weights and gradients after backward of y under a random cotangent, and the next random number."""
    (y * t.randn(*y.shape)).sum().backward()
    return list(m.state_dict()), repr(m), [*m.parameters(), y, *(p.grad for p in m.parameters()), *more, t.rand(1)]


def attention(
    t: Any,
    mask: str = "",
    padded: bool = False,
    to_itself: bool = False,
    training: bool = True,
    call: Any = (),
    **options: Any,
) -> Outcome:
    t.manual_seed(3)
    m = t.nn.MultiheadAttention(E, 2, **options).train(training)
    first = [(N, n) if options.get("batch_first") else (n, N) for n in (L, S)]
    q = t.randn(*first[0], E).requires_grad_()
    k, v = (t.randn(*first[1], options.get(width) or E) for width in ("kdim", "vdim"))
    keys = S
    if to_itself:
        k, v, keys = q, q, L
    padding = t.tensor(np.arange(keys) > np.array([[keys], [1], [2]])) if padded else None
    masks = {
        "bool": lambda: t.ones(L, keys).triu(1) > 0,
        "float": lambda: t.randn(L, keys),
        "of every head": lambda: t.randn(2 * N, L, keys),
        "": lambda: None,
    }
    y, weights = m(q, k, v, attn_mask=masks[mask](), key_padding_mask=padding, **dict(call))
    return trained(t, m, y, q.grad, *([] if weights is None else [weights]))


WITHOUT_WEIGHTS = (("need_weights", False),)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"to_itself": True, "mask": "bool"},
        {"kdim": 4, "vdim": 7},
        {"kdim": 4, "bias": False},
        {"mask": "float"},
        {"mask": "of every head", "padded": True},
        {"padded": True, "call": WITHOUT_WEIGHTS},
        {"dropout": 0.4},
        {"dropout": 0.4, "call": WITHOUT_WEIGHTS},
        {"dropout": 0.4, "training": False},
        {"bias": False, "call": (("average_attn_weights", False),)},
        {"dropout": 0.3, "mask": "bool", "padded": True, "batch_first": True, "call": WITHOUT_WEIGHTS},
        {"mask": "bool", "call": (("is_causal", True),), "to_itself": True},
    ],
    ids=str,
)
def test_attention(options: dict[str, Any]) -> None:
    checked(attention, **options)


@pytest.mark.parametrize("weights", [True, False])
def test_attention_without_a_batch(weights: bool) -> None:
    def run(t: Any) -> Outcome:
        t.manual_seed(1)
        m = t.nn.MultiheadAttention(E, 3)
        y, w = m(t.randn(L, E), t.randn(S, E), t.randn(S, E), t.tensor([False] * 4 + [True]), weights)
        return trained(t, m, y, *([w] if weights else []))

    checked(run)


def stack(t: Any, kind: str, **options: Any) -> Outcome:
    t.manual_seed(3)
    x, memory = t.randn(N, L, E), t.randn(N, S, E)
    mask = t.ones(L, L).triu(1) > 0
    if not options.get("batch_first"):
        x, memory = x.transpose(0, 1), memory.transpose(0, 1)
    layer = getattr(t.nn, f"Transformer{kind}Layer")(E, 2, 8, **options)
    norm = t.nn.LayerNorm(E) if options.get("norm_first") else None
    m = getattr(t.nn, f"Transformer{kind}")(layer, 2, norm)
    y = m(x, mask) if kind == "Encoder" else m(x, memory, tgt_mask=mask)
    return trained(t, m, y)


@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"norm_first": True, "activation": "gelu", "dropout": 0.0},
        {"norm_first": True, "batch_first": True, "bias": False},
    ],
    ids=str,
)
def test_a_stack_of_layers(kind: str, options: dict[str, Any]) -> None:
    checked(stack, kind=kind, **options)


def test_attention_takes_no_extra_keys() -> None:
    for option in ("add_bias_kv", "add_zero_attn"):
        with pytest.raises(NotImplementedError, match="add_bias_kv and add_zero_attn"):
            mg.nn.MultiheadAttention(4, 2, **{option: True})


def test_a_mask_and_is_causal_are_one_too_many() -> None:
    """torch's kernel for the CPU takes both; elsewhere torch refuses them, and so do we."""
    x = mg.randn(2, 3)
    with pytest.raises(RuntimeError, match="not both"):
        mg.nn.functional.scaled_dot_product_attention(x, x, x, mg.ones(2, 2), is_causal=True)


def test_keys_and_values_of_different_lengths() -> None:
    """torch's kernel for the CPU reads beyond the shorter one."""
    x = mg.randn(2, 3)
    with pytest.raises(RuntimeError, match=r"key \(2, 3\), value \(1, 3\)"):
        mg.nn.functional.scaled_dot_product_attention(x, x, x[:1])
