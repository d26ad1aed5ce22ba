"""torch's names of arguments, and NumPy's where torch takes those."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from test_ops import assert_alike, listed

import minigrad as mg
from minigrad.ops import elementwise, reduction
from minigrad.spelling import as_torch_spells

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SPELLED = listed("""
x.sum(axis=1) ; x.sum(axis=1, keepdims=True) ; t.mean(x, axis=-1) ; t.softmax(input=x, dim=1) ; t.sum(input=x, axis=0)
t.cat(tensors=(x, x), dim=1) ; t.cat((x, x), axis=1) ; t.stack([x, x], axis=0) ; t.add(input=x, other=x, alpha=2)
t.allclose(input=x, other=x) ; x.add(other=2) ; x.max(axis=1) ; t.argmax(input=x, axis=1, keepdims=True) ; x.std(axis=0)
t.where(condition=x > 1, input=x, other=0.5) ; t.flip(x, dims=(0,)) ; t.flip(input=x, dims=[0, 1]) ; x.flip(dims=(1,))
t.multinomial(input=x[:, :1] + 1, num_samples=1) ; t.maximum(input=x, other=x * 2) ; t.eq(input=x, other=1) ; t.tile(x, dims=(2,))
t.topk(input=x, k=2, axis=0) ; t.gather(input=x, dim=0, index=t.zeros(1, 3).long()) ; t.cumsum(x, axis=1) ; x.amax(axis=(0, 1))
t.mm(input=x, mat2=x.T) ; t.masked_fill(input=x, mask=x > 1, value=0) ; x.unsqueeze(axis=0) ; t.squeeze(input=x[None], dim=0)
t.matmul(input=x, other=x.T) ; t.sub(x, other=1) ; x.logsumexp(axis=0) ; t.split(x, 1, dim=0) ; x.sum(1, keepdims=True)
t.take_along_dim(x, indices=x.argsort(1), dim=1) ; t.take_along_dim(x, t.tensor([5, 0])) ; t.sum(x, 0, out=None)
t.sort(x, axis=0) ; t.norm(x, dim=1) ; x.all(axis=0) ; t.round(x / 7, decimals=2) ; t.round(x * 77, decimals=-1)
""")
REFUSED = listed("""
x.sum(dim=1, axis=1) ; x.sum(1, axis=1) ; t.sum(x, input=x) ; x.sum(axes=1) ; t.flip(x, (0,), dims=(0,))
t.sum(dim=0) ; t.softmax(input=x, dim=1, axis=1)
""")


def names(t: Any) -> dict[str, Any]:
    t.manual_seed(0)
    return {"t": t, "x": t.arange(6.0).double().reshape(2, 3)}


@pytest.mark.parametrize("code", SPELLED)
def test_means_what_it_means_in_torch(code: str) -> None:
    assert_alike(*(eval(code, names(t)) for t in (mg, torch)))


@pytest.mark.parametrize("code", REFUSED)
def test_is_refused_as_in_torch(code: str) -> None:
    for t in (torch, mg):
        with pytest.raises(TypeError):
            eval(code, names(t))


def test_out_is_refused_with_what_to_do_instead() -> None:
    x = mg.ones(2)
    with pytest.raises(TypeError, match=r"sum: out= .*copy_"):
        mg.sum(x, out=x)


def documented(name: str) -> set[str]:
    """The arguments that torch's documentation shows in the function's first line, but for what concerns torch's memory."""
    text = (getattr(torch, name).__doc__ or "").replace("\n", " ")
    found = re.search(rf"{name}\((.*?)\) *->", text)
    shown = re.sub(r"[\[\]]|\(.*?\)", "", found[1]) if found else ""
    arguments = {re.split("[=:]", a)[0].split()[-1].strip("*") for a in shown.split(",") if a.strip(" *")}
    return {a for a in arguments if a.isidentifier()} - {"out", "layout", "pin_memory", "memory_format", "sparse_grad"}


def taken(f: Any) -> set[str]:
    own = set(inspect.signature(f).parameters)
    return own | {"input"} | ({"other"} if "y" in own else set()) | ({"axis"} if "dim" in own else set())


# With what reason: functions of bits take no names; what minigrad has not got; what torch itself spells in two ways.
NOT_TAKEN = {
    "logical_and": {"other"}, "logical_or": {"other"}, "logical_xor": {"other"},
    "bitwise_left_shift": {"other"}, "bitwise_right_shift": {"other"},
    "bitwise_and": {"other"}, "bitwise_or": {"other"}, "bitwise_xor": {"other"},
    "norm": {"dtype"}, "rand_like": {"generator"}, "randn_like": {"generator"}, "randperm": {"requires_grad"},
    "searchsorted": {"sorter"}, "split": {"tensor"}, "swapaxes": {"axis0", "axis1"}, "from_numpy": {"ndarray"}, "is_tensor": {"obj"},
    "einsum": {"args"}, "unique": {"args", "kwargs"}, "true_divide": {"dividend", "divisor"},
    "squeeze": {"Listint"}, "index_add": {"_complex"},  # types, where the documentation shows them
}  # fmt: skip


def test_every_name_that_torch_documents_is_taken() -> None:
    functions = [name for name in mg.__all__ if inspect.isfunction(getattr(mg, name)) and hasattr(torch, name)]
    assert len([name for name in functions if documented(name)]) > 120
    missing = {name: documented(name) - taken(getattr(mg, name)) for name in functions}
    assert {
        name: lacking - NOT_TAKEN.get(name, set())
        for name, lacking in missing.items()
        if lacking - NOT_TAKEN.get(name, set())
    } == {}


def test_only_who_gains_by_it_is_wrapped() -> None:
    assert mg.exp is elementwise.exp
    assert mg.Tensor.view is mg.ops.shape.view
    assert mg.Tensor.__add__ is elementwise.add
    assert mg.sum is mg.Tensor.sum is as_torch_spells(reduction.sum) is not reduction.sum
    assert inspect.signature(mg.sum) == inspect.signature(reduction.sum)
    assert mg.sum.__doc__ == reduction.sum.__doc__
