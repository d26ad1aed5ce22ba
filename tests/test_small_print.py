"""The small print of tensors, ops, creation and random numbers: defaults, the rarer call forms, the edges of ranges.

A mutation run found these unwatched. A row is code, which runs once with `t` being minigrad and once with `t` being torch, from
the same seed, and gives the same tensors or Python values, or raises the same class. What torch has no counterpart for is below.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers import same
from test_ops import assert_alike, listed

import minigrad as mg
from minigrad import fused

pytestmark = [  # the engine divides by no zero on the way; torch comments on copies and on create_graph
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings(
        "ignore:(torch.searchsorted|The reduce argument|Creating a tensor|Converting a tensor|To copy construct|"
        "__array__ impl|__array_wrap__|Using backward.. with create)"
    ),
]


@pytest.fixture(autouse=True)
def default_settings() -> Iterator[None]:
    """Whatever a row sets is set back."""
    before = mg.get_default_device()
    yield
    for t in (mg, torch):
        t.set_default_dtype(t.float32)
        t.set_grad_enabled(True)
    mg.set_default_device(before)
    torch.set_default_device(None)


def names_for(t: Any) -> dict[str, Any]:
    """What the code of a row may use, new for every row."""

    def grad(f: Callable[..., Any], *numbers: Any) -> Any:
        """The gradients of the sum of squares of f by its arguments, which are made of numbers, and f's value."""
        xs = [t.tensor(x, dtype=t.float64, requires_grad=True) for x in numbers]
        y = f(*xs)
        return y.detach(), *t.autograd.grad((y**2).sum() + 3 * y.sum(), xs)

    def printed(y: Any) -> str:
        """The name in grad_fn=<...>."""
        return re.search(r"grad_fn=<(\w+)", repr(y))[1]

    def put(x: Any, key: Any, value: Any) -> Any:
        x[key] = value
        return x

    def entered(mode: Any, between: Callable[[], Any]) -> list[bool]:
        """Is gradient recorded before, in and after a mode that was made earlier?"""
        between()
        seen = [t.is_grad_enabled()]
        with mode:
            seen.append(t.is_grad_enabled())
        return [*seen, t.is_grad_enabled()]

    def refused(f: Callable[[], Any]) -> bool:
        with pytest.raises(RuntimeError):
            f()
        return True

    def with_dtype(d: Any, f: Callable[[], Any]) -> Any:
        """What f gives where d is the default."""
        t.set_default_dtype(d)
        return f()

    t.manual_seed(3)
    a = t.arange(6.0).reshape(3, 2)
    x3, x4 = t.arange(24.0).reshape(2, 3, 4), t.arange(120.0).reshape(2, 3, 4, 5)
    i, j, b = t.tensor([1, 0, 1]), t.tensor([2, 2, 0]), t.tensor([[1, 0], [1, 1]])
    m = t.tensor([[True, False], [False, True], [True, True]])
    w = t.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)
    like = [t.zeros_like, t.ones_like, t.empty_like, t.rand_like, t.randn_like]
    w3, e, s = t.ones(2, 2, 2, requires_grad=True), t.zeros(0), t.tensor(1.5)
    return {"F": t.nn.functional, "np": np, **locals()}


def run(t: Any, code: str) -> Any:
    return eval(code, names_for(t))


VALUES = listed(r"""
a[[0, -1]] ; a[[-3, 2, 0]] ; a[t.tensor([-1, 0], dtype=t.int32)] ; grad(lambda x: x[[0, -1, 0]], [1., 2., 3.]) ; a[[]]
a[-3] ; a[-1, -2] ; a[range(2)] ; a[range(0)] ; put(a, [0, -1], 9.) ; put(a, ([0, -1], [1, -2]), s) ; x4[:, :, i, j]
x4[:, i, j] ; x4[:, :, b] ; x4[..., i, j] ; x4[i, :, j] ; x4[:, i, :, j] ; x4[0, :, i] ; x4[:, 0, i]
x4[:, :, b, i[:2]] ; x4[:, None, i] ; x4[:, i, None] ; x4[0, 0, 3, 4] ; x4[:, 2, 3, 4] ; x4[i, 2, 3, 4]
x4[:, :, 3, i] ; a[None, None, [1, 0]] ; a[None, :, i] ; a[i, None] ; a[:, None, i] ; a[None, i, None]
x4[None, :, None, i, 3] ; x3.permute(1, 0, 2)[m] ; x3.permute(1, 0, 2)[m, 3] ; a[m] ; x3[0][m[:, 0], 3]
x4[t.tensor([True, False]), :, 3, 4] ; x4[None, t.tensor([True, True]), 2] ; x4[:, m[:, 0], [3, 0]] ; x4[m.T, 3, 4]
x4[m.T, :, i[:1]] ; x4[:, t.ones(3, 4) > 0, 4] ; put(x4, (slice(None), slice(None), i, j), 0.)[:, :, 0]
put(a, 0, t.ones(1, 2)) ; put(a, slice(1), t.ones(1, 1, 2)) ; put(a, (slice(None), 1), t.ones(1, 3)) ; put(i, 0, 2.7)
grad(lambda x: put(x * 1, 0, 5.), [1., 2.]) ; grad(lambda x, y: put(x * 1, [0, -1], y), [1., 2., 3.], [4., 5.])
grad(lambda x: put(x * 1, [-1, 0], 2) * x, [1., 2.]) ; grad(lambda x: x[[0, -1]][:, [1, 0]], [[1., 2.], [3., 4.]])
grad(lambda x: x[:, :, [0, 1], [1, 1]], [[[[1., 2.], [3., 4.]]]]) ; t.gather(s, 0, t.tensor([[0]])[0, 0])
t.gather(s, 0, t.tensor([0, 0])) ; t.gather(x3, 1, t.tensor([[[2, 0]], [[1, 1]]]))
t.scatter_add(a, 1, t.tensor([[0, 0], [1, 0]]), a) ; t.take_along_dim(x3, t.tensor([[[2]], [[0]]]), 1)
s[s > 1] ; s[s > 2] ; s[None, s > 1] ; s[True, False] ; a[True] ; a[False] ; a[:, True] ; a[..., True] ; a[True, 0]
a[None, s > 1] ; a[s > 1, None] ; a[s > 1, i] ; a[s > 2, i[:1]] ; a[i, s > 1] ; a[i, :, True] ; x4[:, i, True, 1]
x4[:, 1, True, i[:2], :2] ; put(s, s > 1, 3.) ; put(s, s > 2, 3.) ; put(a, False, 3.) ; put(a, (0, True), a[1])
grad(lambda x: x[x[0] > 0], [1., 2.]) ; grad(lambda x: x.sum()[x.sum() > 0], [1., 2.]) ; printed(w[True])
grad(lambda x, y: put(x * 1, (slice(None), y > 1), y), [1., 2.], 3.) ; a[np.array(True)]
t.tensor(5).nonzero() ; t.tensor(0).nonzero() ; s.nonzero(as_tuple=True) ; a.nonzero(as_tuple=True)
grad(lambda y: 0.0 ** y, [0., 1., 2.]) ; grad(lambda y: 1.0 ** y, [0., -1., 2.])
grad(lambda y: 2 ** y, [0., 1., -1.]) ; grad(lambda x, y: x ** y, [0., 0., 2., 0.], [0., 1., 0., 2.])
grad(lambda x: x ** 0, [0., 2.]) ; grad(lambda x: x ** 1, [0.])
grad(lambda x: x ** t.tensor([0., 1., 2.]), [0., 0., 0.]) ; grad(lambda x: x ** t.tensor([1., 0.]), [2., 3.]) ; i ** 0
grad(lambda y: t.tensor([0., 1., 2.], dtype=t.float64) ** y, [0., 0., 0.]) ; i ** t.tensor([0, 1, 2]) ; m ** 2 ; 2 ** i
t.add(a, a, alpha=2) ; t.sub(a, 1, alpha=3) ; t.div(a, 2, rounding_mode='floor') ; t.div(i, 2, rounding_mode='trunc')
t.div(-i, 2, rounding_mode='floor') ; grad(lambda x: t.div(x, 2, rounding_mode='trunc'), [5.]) ; t.sign(i - 1)
t.sign(m) ; t.floor(i) ; t.ceil(i) ; t.round(i) ; t.trunc(i) ; t.sign(-a) ; grad(lambda x: t.sign(x) * x, [2., 0.])
a + np.float32(2) ; np.float64(2) * a ; a - np.int64(1) ; i + np.int64(3) ; i * np.float64(0.5) ; a / np.int32(2)
i + 2**62 ; t.tensor([100], dtype=t.int8) + 27 ; t.tensor([3], dtype=t.int8) * -1 ; t.where(a > 2, a, 0.1)
t.where(a > 2, i[0], 7) ; t.where(a > 2, 1, a.double()) ; t.where(a > 2, i[0], 0.5)
grad(lambda x, y: t.maximum(x, y), [1., 2., 3.], [2., 2., 2.])
grad(lambda x, y: t.minimum(x, y), [1., 2., 3.], [2., 2., 2.]) ; grad(lambda x: x.clamp(0, 1), [-1., 0., 0.5, 1., 2.])
grad(lambda x: x.clamp(max=1), [0., 1., 2.]) ; i.clamp(max=0.5) ; a.masked_fill(a > 2, s) ; i.masked_fill(i > 0, 2.7)
a.masked_fill(a > 2, t.tensor(True)) ; a.std(correction=0) ; a.std(0, correction=0) ; a.var(unbiased=False)
a.var(0, unbiased=True) ; a.std(False) ; a.var(1, correction=0.5) ; grad(lambda x: x.std(), [2., 2., 2.])
grad(lambda x: x.std(0), [[2., 1.], [2., 5.]]) ; grad(lambda x: t.norm(x), [0., 0.]) ; a.argmax(keepdim=True)
a.argmin(keepdim=True) ; a.argmax(1, keepdim=True) ; s.argmax(keepdim=True) ; x3.sum(()) ; x3.sum((0,))
x3.sum((1,), keepdim=True) ; x3.mean((0, 2)) ; x3.amax((0,)) ; grad(lambda x: x.mean(), [1., 2.])
grad(lambda x: x.mean(0), [[1.]]) ; grad(lambda x: x.mean(1), [[1., 2.]]) ; grad(lambda x: x.reshape(0, 1).mean(1), [])
grad(lambda x: x.sum(), []) ; repr(a.max(0)) ; repr(a.min(1)) ; repr(s.max(0)) ; repr(s.min(0))
a.max(1, keepdim=True)[1] ; a.min(i[0].item()).values ; t.allclose(t.ones(2), t.ones(2) * 1.5) ; t.allclose(e, e)
t.allclose(t.zeros(1), t.tensor([0.5])) ; t.allclose(t.zeros(1), t.tensor([5e-9])) ; t.allclose(a, a * 1.05, rtol=0.1)
t.allclose(t.zeros(1), t.tensor([0.05]), atol=0.1) ; t.allclose(a, a * 1.05, atol=0.1)
t.allclose(t.ones(1), t.ones(1) + 5e-6) ; t.allclose(t.ones(1), t.ones(1) + 2e-5) ; t.allclose(a, a * 1.05, 0.1, 0.0)
t.allclose(s * float('nan'), s * float('nan'), equal_nan=True) ; e.split(0) ; t.zeros(2, 0).split(0, 1) ; e.split([])
e.split(2) ; t.ones(1).split(1) ; a.split([0, 3]) ; a.split([0, 1, 2]) ; s.transpose(0, -1) ; t.ones(3).transpose(0, 0)
t.ones(3).t() ; i.expand(2, -1) ; s.expand(2, 3) ; i[:1].expand(2, 3) ; e.reshape(-1) ; s.reshape(()) ; a.reshape(-1)
a.reshape(2, -1) ; a.view(-1, 1) ; i.unsqueeze(1) ; i.unsqueeze(-1) ; i.unsqueeze(-2) ; t.cat([e, a[0]])
t.cat([e, e]) ; t.cat([e, a], 1) ; t.cat([e]) ; a.narrow(0, 3, 0) ; a.repeat(2, 1, 3) ; a.chunk(5) ; x3 @ t.ones(4)
t.ones(3) @ x3 ; t.ones(3) @ x3[0] ; a @ t.ones(2) ; x3 @ t.ones(4, 0) ; t.ones(2, 0, 3) @ t.ones(3, 4)
t.ones(2, 1, 3, 4) @ t.ones(5, 4, 2) ; t.ones(0, 3) @ a ; t.ones(3, 0) @ t.ones(0, 2) ; t.ones(2, 3, 0) @ t.ones(0, 2)
grad(lambda x, y: x.T @ y, [[1., 2.], [3., 4.]], [[5., 6.], [7., 8.]])
grad(lambda x, y: x @ y.T, [[1., 2.], [3., 4.]], [[5., 6.]]) ; printed(w / 2) ; printed(w ** 2) ; printed(2 ** w)
printed(w ** w) ; printed(F.nll_loss(w3, t.zeros(2, 2).long())) ; printed(F.nll_loss(w, i[:2]))
printed(F.cross_entropy(w3, t.zeros(2, 2).long())) ; printed(F.cross_entropy(w, i[:2])) ; printed(w.max(0).values)
printed(w.min(1).values) ; printed(w.max()) ; printed(w.sum()) ; printed(w.sum(0)) ; printed(w.mean())
printed(w.mean(1)) ; printed(w.amax(0)) ; printed(w3 @ w) ; printed(w3 @ w3.mT) ; printed(w @ w[0])
printed(w[0] @ w[0]) ; printed(w3 @ w[0]) ; printed(w3[None] @ w3) ; printed(w3 @ (w3 * 1)) ; printed(w[0] @ w) ; printed(w[0] @ w3)
printed(w.detach() @ w3) ; printed(t.div(w, 2, rounding_mode='floor')) ; printed(t.div(w, w, rounding_mode='trunc'))
printed(t.bmm(w3, w3)) ; printed(w[0, None])
printed(w[None]) ; printed(w[:1]) ; printed(w[0]) ; printed(w[[0]]) ; printed(put(w * 1, [0], 1.))
printed(put(w * 1, 0, 1.)) ; printed(F.linear(w, w, w[0])) ; printed(F.linear(w3, w, w[0])) ; printed(F.linear(w, w))
printed(F.linear(w[0], w)) ; printed(F.linear(w[0], w, w[0])) ; printed(F.linear(w3.mT, w, w[0])) ; printed(w.clamp(0))
printed(t.round(w)) ; printed(w.std()) ; printed(w.T.reshape(-1)) ; printed(w.reshape(-1))
printed(w[:, :0].T.reshape(-1)) ; printed(w.view(4))
e.reshape(-1, 3) ; e.reshape(-1, 1) ; a.reshape(-1, 1, 2) ; a.reshape(3, -1, 1)
x4[:, :, i][:, 0, 1] ; x3[0, m[:, 0]] ; x3[:, m[:, 0], 1:] ; x4[:, i, 1:, 2] ; t.ones(3)[..., None]
t.pow(i, t.tensor(0)) ; t.pow(a[0], -2) ; t.pow(a[1], 3) ; grad(lambda x: x ** -2, [1., 3.])
t.sub(a, a, alpha=3) ; t.sub(i, i, alpha=2) ; t.sub(a.double(), a, alpha=3)
""")
MORE_OPS = listed(r"""
t.asarray(a) is a ; t.asarray(a, copy=True) ; t.asarray(3)
t.asarray([1, 2], dtype=t.float64, requires_grad=True) ; t.asarray(np.arange(2.0))
a + np.arange(2) ; a * np.ones(2, np.float32) ; a ** np.arange(2) ; a[0] @ np.ones(2, np.float32)
a / np.arange(1, 3) ; a - np.float64(2)
t.tensor([300., -300.]).half().std() ; t.tensor([300., 300.]).half() @ t.tensor([300., -300.]).half()
t.ones(70000).half().mean() ; t.full((4,), 300.).half().norm() ; t.ones(70000).half().sum() ; t.ones(3000, 40).half().mean(0)[:3]
a == None ; a != None ; a != 'a' ; a == [1] ; a in [None, 'a'] ; None in [a] ; a == () ; a != object
t.zeros(10).scatter_(0, t.tensor(3), value=1) ; t.zeros(4).scatter(0, t.tensor(1), t.tensor(2.0)) ; t.arange(4.0).gather(0, t.tensor(2))
t.randn(size=(2, 3)).shape ; t.rand(size=(2,)).shape ; str(t.device(type='cpu')) ; str(t.device(type='cuda', index=1))
t.einsum('i,i', x3[0, 0], x3[0, 0]) ; t.einsum(a, [0, 1], a, [0, 1]) ; t.einsum(x3, [..., 0], [0, ...])
t.einsum(' ij -> ji ', a) ; t.einsum('ij,kj->ki', [a, a]) ; t.einsum('ij,kj->ki', (a, a)) ; t.einsum('i,j->', i, j)
t.einsum('...j,...j', x3, x3) ; t.einsum('zA,z->A', a, a[:, 0])
grad(lambda x: t.einsum('ii,jj->ij', x, x), [[1.0, 2.0], [3.0, 4.0]])
grad(lambda x: t.einsum('i,i,i->i', x, x, x), [1.0, 2.0]) ; t.topk(a, 2, dim=0, sorted=True) ; a.topk(1).indices
t.topk(a, 1, -2, False).values ; t.topk(a, 0).values.shape ; a.topk(k=1)[0].shape ; t.sort(i, stable=True)
t.sort(b, dim=0, stable=True) ; t.sort(t.tensor(True)) ; a.sort(dim=0, descending=True)[0] ; t.argsort(a)
a.argsort(0, True) ; t.sort(t.tensor([float('nan'), 1.0, float('inf')]))
t.sort(t.tensor([float('nan'), 1.0, 2.0]), descending=True) ; t.topk(t.tensor([1.0, float('nan')]), 1)
t.median(t.tensor([])) ; t.median(t.tensor([3, 1, 2, 4])) ; t.median(t.tensor([1.0, float('nan'), 2.0]))
t.median(t.tensor([[1.0, float('nan'), 2.0]]), 1) ; t.median(t.tensor(5)) ; t.median(a, 0, keepdim=True).values
t.median(a, dim=1)[1] ; t.cumsum(i, 0) ; t.cumsum(b > 0, 0) ; t.cumsum(a, 0, dtype=t.int64) ; t.cumprod(i + 1, 0)
t.prod(i + 1) ; t.prod(b > 0) ; t.prod(a, 0, keepdim=True) ; t.prod(t.tensor([])) ; t.prod(t.ones(0, 2), 0)
t.prod(a, dim=0, dtype=t.float64) ; t.cumsum(t.tensor(3), 0) ; t.cumprod(t.tensor(2.5), -1)
grad(lambda x: t.prod(x), [0.0, 2.0, 3.0]) ; grad(lambda x: t.prod(x), [0.0, 0.0, 3.0])
grad(lambda x: t.cumprod(x, 0), [2.0, 0.0, 3.0]) ; t.logsumexp(i, 0) ; t.logsumexp(a * 1e4, 1)
t.logsumexp(a - float('inf'), 0) ; t.logsumexp(t.ones(0), 0) ; t.logsumexp(a, (0, 1), True) ; t.bincount(i)
t.bincount(i, minlength=5) ; t.bincount(i[:0], minlength=2) ; t.bincount(i[:0]) ; t.bincount(i, i.float() / 3)
t.bincount(i, i.double()) ; t.bincount(i, i) ; t.bincount(i.byte()) ; t.bincount(i[:0], weights=a[:0, 0])
t.repeat_interleave(i, 2) ; t.repeat_interleave(a, 2, dim=1) ; t.repeat_interleave(a, t.tensor([0, 1, 2]), dim=0)
t.repeat_interleave(t.tensor([1, 0, 2])) ; a.repeat_interleave(t.tensor(2), 0) ; a.repeat_interleave(0, 1)
t.repeat_interleave(t.tensor(3), 2) ; a.repeat_interleave(t.tensor([3]), 1) ; t.unique(i)
t.unique(b, return_inverse=True) ; t.unique(b, return_counts=True)
t.unique(b, return_inverse=True, return_counts=True) ; t.unique(b, dim=1)
b.unique(dim=0, return_inverse=True, return_counts=True) ; t.unique(i, sorted=False)
t.unique(t.tensor(3), return_inverse=True) ; t.isin(i, t.tensor([1, 7])) ; t.isin(i, 1) ; t.isin(1, i)
t.isin(a, a[:1], invert=True) ; t.isin(i, t.tensor([1]), assume_unique=True) ; t.searchsorted(a[:, 0], 2.0)
t.searchsorted(a[:, 0], a, right=True) ; t.searchsorted(a[:, 0], a, side='right') ; t.searchsorted(a, a)
t.bucketize(a, a[:, 0]) ; t.searchsorted(a, a[:, :1], out_int32=True) ; t.bucketize(2.5, a[:, 0])
t.bucketize(a, a[:, 0], right=True) ; t.scatter(a, 0, i[None, :2], 5) ; a.scatter(0, i[None, :2], 5.5)
a.scatter(1, i[:, None], t.ones(3, 1), reduce='add') ; a.scatter_(0, i[None, :2], True)
t.scatter(t.tensor(1.0), 0, t.tensor(0), 3.0) ; t.scatter(a, dim=0, index=i[:1, None], value=7)
i.scatter(0, t.tensor([2]), 2.9) ; a.index_add(0, i, a) ; a.index_add(0, i, a, alpha=2) ; a.index_add(1, i[:2], a)
a.index_fill(0, t.tensor(1), 2) ; a.index_fill(1, t.tensor([-1]), t.tensor(3.0))
a.index_copy(0, t.tensor([2, 0]), a[:2] + 1) ; a.index_fill(0, i[:0], 1) ; a.index_add(0, t.tensor(1), a[:1])
i.index_add(0, i, i) ; t.masked_select(a, a > 2) ; a.masked_select(t.tensor(True))
a.masked_scatter(a > 2, t.arange(9.0)) ; t.take(a, t.tensor([[0, -1]])) ; t.take(a, i) ; t.where(a > 2) ; t.where(i)
t.where(t.tensor(1)) ; t.argwhere(a > 3) ; t.argwhere(t.tensor(2)) ; t.nonzero(t.tensor(0)) ; t.flip(a, [0, 1])
a.flip(-1) ; a.flip(()) ; t.roll(a, 1) ; t.roll(a, -7, 0) ; t.roll(a, (1, 2), (0, 0)) ; t.roll(t.tensor(3), 1)
t.roll(a[:0], 1, 0) ; t.diag(i) ; t.diag(i, -1) ; t.diag(a, 5) ; t.diag(a, -1) ; t.diagonal(x3, 0, -1, 0)
t.diag_embed(i, 1) ; t.diag_embed(a, -1, 1, 0) ; t.trace(i.reshape(1, 3)) ; t.trace(a) ; a.diagonal(offset=-2)
a.diagonal(offset=9) ; x3.diagonal(1, dim1=1, dim2=2) ; t.diag_embed(a, 0, 2, 1) ; a.unfold(0, 2, 1)
a.unfold(0, 1, 2) ; a.unfold(1, 0, 1) ; t.tensor(3.0).unfold(0, 1, 1) ; x3.unfold(-1, 3, 1).shape
t.movedim(x4, 1, -1).shape ; t.movedim(x4, (0, -1), (1, 0)).shape ; x4.moveaxis(0, 3).shape
t.unflatten(x3, -1, (2, -1)).shape ; x3.unflatten(0, [1, 2]).shape ; t.hstack((a, a))
t.hstack([t.tensor(1), t.tensor(2)]) ; t.vstack([i, j]) ; t.vstack([t.tensor(1), t.tensor([2])]) ; t.hstack([i, j])
t.vstack((b, i[:2])) ; t.tile(a, (2,)) ; t.tile(a, (2, 1, 1)).shape ; a.tile(()) ; a.tile(1, 2)
t.meshgrid(i, j, indexing='ij') ; t.meshgrid([i, j[:2]], indexing='xy') ; t.meshgrid(t.tensor(1), i, indexing='ij')
t.broadcast_tensors(a, a[0], t.tensor(1)) ; t.tril_indices(3, 3) ; t.triu_indices(2, 4, -1)
t.tril_indices(2, 2, offset=1) ; t.log1p(i)
t.erf(t.tensor([0.0, -0.0, 0.3, 0.5, 1.0, 4.0, 7.0, -7.0], dtype=t.float64)) ; t.exp2(i) ; t.erf(i) ; t.atan2(a, -a)
t.logaddexp(a, a) ; t.fmod(i - 2, 2) ; t.fmod(-a, 2.5) ; a.fmod(t.tensor(2)) ; t.lerp(a, a * 2, 1)
t.lerp(a, a * 2, t.tensor(0.5)) ; t.addcmul(a, a, a, value=-1) ; t.addcmul(i, i, j) ; t.addcdiv(a, a, a + 1, value=2)
t.nan_to_num(t.tensor([float('nan'), float('inf'), -float('inf')])) ; t.nan_to_num(i)
t.nan_to_num(a / 0, nan=7.0, posinf=1.0, neginf=2.0) ; t.isclose(a, a + 1e-9) ; t.isclose(i, j)
t.isclose(a, a + 1, atol=2) ; t.count_nonzero(a) ; t.count_nonzero(b, 0) ; t.count_nonzero(a, (0, 1))
t.clamp_min(i, 1) ; t.clamp_max(i, 0.5) ; t.round(t.tensor([0.125, 2.675, -1.5]), decimals=2)
t.round(t.tensor([125.0, -35.0]), decimals=-1) ; t.addmm(a[0], a[:2], a[:2].T @ a[:2, :2])
t.addmm(a[:2], a[:2], a[:2], beta=0) ; t.baddbmm(t.zeros(2, 3, 3), x3, x3.mT, alpha=0.5) ; t.mv(a, a[0])
t.inner(a, a[0]) ; t.inner(t.tensor(2.0), a) ; t.norm(a, p='fro') ; t.norm(a, 3) ; t.norm(a, 0)
t.norm(a, float('inf'), 0) ; t.linalg.norm(a) ; t.linalg.norm(a, dim=0) ; t.linalg.vector_norm(a, 1)
t.linalg.norm(a[0], 3) ; t.linalg.norm(a, 'fro') ; a.new_zeros(2) ; a.new_zeros((2, 1)) ; i.new_ones(1, 2)
i.new_full((2,), 3.7) ; a.new_full((1,), 2) ; a.new_empty((0, 2)) ; i.new_tensor([1.7]) ; a.new_tensor(3)
a.new_ones(1, dtype=t.int32) ; a.short() ; a.char() ; a.byte() ; t.select(a, 1, -1) ; a.select(0, 1) ; t.ravel(a)
t.clip(a, 1, 2) ; t.tensor(t.pi) ; t.take_along_dim(a, t.tensor([[0], [1], [0]]), 1)
grad(lambda x: t.diag(x), [1.0, 2.0]) ; grad(lambda x: t.take(x, t.tensor([0, 0])), [1.0, 2.0])
grad(lambda x: x.unfold(0, 2, 1), [1.0, 2.0, 3.0]) ; grad(lambda x: t.sort(x)[0] * t.arange(3), [2.0, 2.0, 1.0])
grad(lambda x, y: x.index_add(0, t.tensor([1, 1]), y), [1.0, 2.0], [3.0, 4.0])
grad(lambda x, y: x.scatter(0, t.tensor([1]), y), [1.0, 2.0], [3.0]) ; grad(lambda x: t.atan2(x, x), [0.0, 1.0])
grad(lambda x: t.median(x), [2.0, 2.0, 1.0]) ; grad(lambda x: t.norm(x, 3), [0.0, 0.0])
grad(lambda x: t.logsumexp(x, 0), [1.0, 1.0]) ; grad(lambda x: t.lerp(x, 2 * x, 0.5), [1.0])
""")

CREATED = listed(r"""
t.ones(9).bernoulli(0.3) ; t.bernoulli(t.ones(3, 3).T, 0.5) ; (t.ones(9) / 3).bernoulli() ; t.ones(9).multinomial(3)
t.ones(9).multinomial(20, True)
t.tensor([[t.tensor(1.)], [2]]) ; t.tensor([[t.tensor(1)], [t.tensor(2)]]) ; t.tensor(((t.tensor(1.),),))
t.tensor([np.ones(2), [3., 4.]]) ; t.tensor([[3., 4.], np.ones(2)]) ; t.tensor([[w[0, 0]], [2]])
t.tensor([[[w[0, 0]]], [[2]]]) ; t.tensor([w[0, 0], 2]) ; t.tensor([np.float64(1), 2]) ; t.tensor([np.int32(1)])
t.tensor([np.int32(1), 2]) ; t.tensor([np.int32(1), 2.5]) ; t.tensor([np.uint8(1), True]) ; t.tensor([np.float16(1), 2])
t.tensor([s.double(), 2]) ; t.tensor([i[0].int()]) ; t.tensor([i[0], 2.5]) ; t.tensor([np.ones(2), np.ones(2)])
t.tensor([True, 2]) ; t.tensor([s, 1e9 + 1], dtype=t.float64) ; t.tensor([[0.1]], dtype=t.float64)
t.tensor([[], []]) ; t.tensor(np.float64(2)) ; t.tensor(np.int16(2)) ; t.tensor([np.float32(1)])
t.tensor(np.arange(3)) ; t.tensor(a, dtype=t.int32) ; t.tensor([1.5], dtype=int) ; t.tensor([1], dtype=float)
t.tensor([2], dtype=bool) ; t.tensor([1.5]).to(int) ; t.Tensor([1, 2]) ; t.Tensor([[True]]) ; t.Tensor(2, 0)
t.Tensor(np.ones(2)) ; t.Tensor(np.arange(3)) ; t.Tensor(i) ; t.Tensor(np.array(2.))
t.Tensor() ; t.Tensor(0) ; t.Tensor((3,)) ; t.as_tensor([1, 2]) ; t.as_tensor(2.5) ; t.as_tensor(np.ones(2))
t.as_tensor([1, 2], dtype=t.float64) ; t.as_tensor(a).data_ptr() == a.data_ptr() ; t.as_tensor(np.float32(3))
[f(a, requires_grad=True).requires_grad for f in like] ; [f(a, requires_grad=False).requires_grad for f in like]
[f(a).requires_grad for f in like] ; t.full_like(a, 2) ; t.full_like(a, 2., requires_grad=True) ; t.full_like(i, 2.5)
t.zeros_like(i) ; t.ones_like(i, dtype=t.float64) ; t.full((2,), True) ; t.arange(5) ; t.arange(1, 6, 2)
t.arange(1., 2., 0.25) ; t.arange(5, 0, -2) ; t.arange(0, 1, 0.1) ; t.arange(3, dtype=t.float64)
t.arange(2, 3, 0.1, dtype=t.float32) ; t.arange(0) ; t.arange(3.) ; t.arange(-3, 3, 2, dtype=t.float32)
t.arange(2, 9, dtype=t.int16) ; t.arange(16777210, 16777220, 3, dtype=t.float32) ; t.arange(0, 10, 3)
t.arange(t.tensor(1), t.tensor(4)) ; t.arange(5, 5) ; t.linspace(0, 1, 2) ; t.linspace(1, 2, 1)
t.linspace(0, 5, 4, dtype=t.int64) ; t.linspace(3, 3, 0) ; t.eye(2, 0) ; t.eye(0, 3) ; t.eye(2) ; t.zeros(size=(2, 3))
t.ones(size=(2,)) ; t.empty(size=(2, 0)) ; t.ones(()) ; t.empty(()).shape ; t.empty((2, 0)) ; t.ones([1, 2])
t.randint(10, (2, 3)) ; t.randint(0, 10, size=(2, 3)) ; t.randint(10, size=(3,)) ; t.randint(2, (100,))
t.randint(-5, 5, (4,)) ; t.randint(0, 5, (3,), dtype=t.int32) ; t.randint(5, (3,), dtype=t.float32)
t.randint(high=3, size=(2,), low=0) ; t.randint(0, 2, ()) ; t.randint(0, 2**28 - 1, (9,)) ; t.randint(0, 2**28, (9,))
t.randint(0, 2**28 + 1, (9,)) ; t.randint(-2**31, 2**31, (4,)) ; t.randint(-2**63, 2**63 - 1, (4,))
t.randint(0, 256, (9,), dtype=t.uint8) ; t.randint(0, 2, (9,), dtype=t.bool) ; t.normal(0., 1., (3,))
t.normal(0., 1., size=(20,)) ; t.normal(2., 3., (2, 2)) ; t.normal(mean=a, std=2.) ; t.normal(a, 0.5)
t.normal(1., a + 1) ; t.normal(a, a + 1) ; t.normal(a) ; t.normal(a[0], a + 1) ; t.normal(a.double(), 0.5)
t.normal(t.zeros(2, requires_grad=True).detach(), 1.) ; t.randn_like(a) ; t.randn_like(a, dtype=t.float64)
t.rand_like(i, dtype=t.float32) ; t.randn(3, requires_grad=True) ; t.rand(2, 2, dtype=t.float64) ; t.randn(())
t.rand((2, 3)) ; t.randn(16) ; t.randn(17) ; t.randperm(9) ; t.randperm(0) ; t.randperm(1)
t.randperm(6, dtype=t.int32) ; t.bernoulli(a / 5) ; t.bernoulli(a.double() / 5) ; t.bernoulli(t.rand(3)).requires_grad
t.multinomial(t.tensor([1., 2., 3.]), 2) ; t.multinomial(t.tensor([1., 2., 3.]), 3) ; t.multinomial(t.tensor([1.]), 1)
t.multinomial(t.tensor([1.]), 3, replacement=True) ; t.multinomial(t.tensor([1., 2., 3.]), 6, replacement=True)
t.multinomial(t.tensor([[1., 2.], [3., 1.]]), 2) ; t.multinomial(t.tensor([[1., 2.], [3., 1.]]), 1)
t.multinomial(a[1:], 5, True) ; t.multinomial(t.tensor([.1, .2, .3, .4], dtype=t.float64), 4)
t.multinomial(t.tensor([.1, .2, .3], dtype=t.float64), 5, True)
t.multinomial(t.tensor([.1, .2, .3, .4], dtype=t.float64), 1) ; t.multinomial(t.tensor([0., 1., 0., 2.]), 2)
t.rand(2) ; t.zeros(50).random_(0, 5) ; t.zeros(50).random_(5) ; t.zeros(50).random_(-5, 5) ; t.zeros(9).random_()
i.random_() ; i.random_(0, 5) ; t.zeros(9).double().random_() ; t.zeros(9, dtype=t.uint8).random_()
t.zeros(9, dtype=t.int8).random_() ; t.zeros(9).bool().random_() ; t.zeros(9, dtype=t.int16).random_(-300, 300)
t.zeros(9).bool().random_(0, 2) ; t.zeros(9, dtype=t.uint8).random_(0, 256)
t.zeros(9, dtype=t.int8).random_(-128, 128) ; t.zeros(9).random_(-2**24, 2**24) ; t.zeros(9, dtype=t.int32).random_(2)
t.zeros(3, 2).T.random_(0, 9) ; t.zeros(50).bernoulli_() ; t.zeros(50).bernoulli_(0.1) ; t.zeros(9).exponential_()
t.zeros(9).exponential_(2.) ; t.zeros(9).uniform_() ; t.zeros(9).normal_() ; t.zeros(9).uniform_(1, 2)
t.zeros(9).uniform_(2, 2) ; e.normal_() ; t.zeros(9).double().uniform_(-1, 3) ; t.zeros(9).uniform_(-1e38, 1e38)
t.zeros(20).normal_(1, 2) ; t.zeros(20).double().normal_(0.1, 0.2) ; t.zeros(3).double().normal_(0.1, 0.2)
t.zeros(20).double().normal_(1e300, 1e290) ; t.zeros(20).normal_(5, 0) ; t.zeros(3).uniform_(0, 3.4028234663852886e38)
(t.get_rng_state(), t.rand(2)) ; (lambda state: (t.rand(3), t.set_rng_state(state), t.rand(3)))(t.get_rng_state())
t.get_rng_state().sum() ; (t.randn(3), t.get_rng_state())
(lambda state: (t.randn(1), t.set_rng_state(state), t.randn(2)))((t.randn(1), t.get_rng_state())[1])
(t.manual_seed(2**64 - 1), t.rand(3))[1] ; (t.manual_seed(-2**63), t.rand(3))[1]
(t.manual_seed(-1), t.initial_seed(), t.rand(1))[1:] ; (t.manual_seed(0), t.initial_seed(), t.rand(1))[1:]
t.Generator().initial_seed() ; t.rand(3, generator=t.Generator()) ; t.normal(a, 1., generator=t.Generator())
t.zeros(20).double().normal_(5000.1, 300.3) ; t.zeros(3).uniform_(-3.4028234663852886e38, 0)
t.arange(0, 2**60 + 1, 2**58)
""")
SETTINGS = listed(r"""
with_dtype(t.float64, lambda: t.normal(0., 1., (3,))) ; with_dtype(t.float64, lambda: t.zeros(2))
with_dtype(t.float64, lambda: t.tensor([1.])) ; with_dtype(t.float64, lambda: t.ones(2, dtype=t.int64) / 2)
with_dtype(t.float64, lambda: t.arange(0, 1, .5)) ; with_dtype(t.float64, t.get_default_dtype) is t.float64
with_dtype(t.float64, lambda: repr(t.nn.Parameter(t.ones(2)))) ; with_dtype(t.float64, lambda: repr(t.ones(2)))
with_dtype(t.float64, lambda: repr(s)) ; with_dtype(t.float64, lambda: t.tensor([]))
with_dtype(t.float64, lambda: t.Tensor([1])) ; with_dtype(t.float64, lambda: t.rand(2))
with_dtype(t.float64, lambda: i * 0.5) ; (t.set_default_device('cpu'), str(t.get_default_device()), t.ones(2))[1:]
(t.set_default_device(t.device('cpu')), t.get_default_device().type)[1:] ; t.device('cpu') == t.device('cpu')
t.set_default_device(None) ; (t.set_default_device(None), t.ones(1).device.type)[1]
t.device('cpu') == t.device('cuda') ; t.device('cuda:1') == t.device('cuda', 1)
t.device('cuda') == t.device('cuda:0') ; t.device('cpu') != t.device('cpu', 0) ; t.device('cpu') == 3
hash(t.device('cuda:1')) == hash(t.device('cuda', 1)) ; str(a.device) ; {t.device('cpu'): 1}[t.ones(1).device]
t.device('cuda:1').index ; repr(t.device('cuda', 0)) ; repr(t.device('cpu')) ; t.device(t.device('cuda:1')).index
t.is_tensor(a) ; t.is_tensor(1.0) ; t.is_tensor(np.ones(2)) ; 2.0 in a ; 9 in a ; t.tensor(3.) in a
t.tensor([4., 5.]) in a ; True in (a > 99) ; np.asarray(a).dtype.name ; np.array(a).tolist()
np.asarray(a, dtype=np.float64).dtype.name ; np.asarray(i).sum().item() ; np.shares_memory(np.asarray(a), a.numpy())
np.shares_memory(np.array(a), a.numpy()) ; np.array(a, dtype=np.int64).dtype.name ; np.stack([a, a]).shape
np.array(i, copy=True).tolist() ; float(s) ; int(s) ; float(i[0]) ; int(t.tensor([[7]])) ; [1, 2, 3][t.tensor([1])]
[1, 2, 3][t.tensor(-1)] ; 'abc'[t.tensor([[2]])] ; bool(s) ; bool(t.tensor([0])) ; float(t.tensor([2.5]))
range(t.tensor(3))[-1] ; a.element_size() ; i.element_size() ; a.itemsize ; a.nbytes ; a.size() + (1,)
type(a.size() + (1,)).__name__ ; type(a.size()[:1]).__name__ ; a.size().numel() ; a.T.stride() ; a.stride(-1)
a.T.is_contiguous() ; a.data_ptr() == a[:1].data_ptr() ; a.data_ptr() == a[1:].data_ptr()
a.to(t.float64, copy=True).dtype is t.float64 ; a.to(t.float32).data_ptr() == a.data_ptr()
a.to(t.float32, copy=True).data_ptr() == a.data_ptr() ; a.to('cpu') is a ; a.to(a.dtype) is a ; a.to(i) is a
a.requires_grad_() is a ; a.requires_grad_().requires_grad ; a.fill_(2) is a ; a.zero_() is a ; a.copy_(s) is a
(a.normal_() is a, a.random_(3) is a) ; (lambda y: (y.detach_() is y, y.requires_grad))(w * 1) ; a.add_(1) is a
(w * 1).requires_grad_() is None ; (w * 1).requires_grad_(True).requires_grad
repr(t.tensor([100000000.5], dtype=t.float64)) ; repr(t.zeros(60))
""")
ENGINE = listed(r"""
hasattr((w * 2).grad_fn, 'nonsense') ; (lambda y: (y.sum().backward(), hasattr(y.grad_fn, 'nonsense'))[1])(w * w)
(t.autograd.backward([(w * w).sum(), w.sum()]), w.grad)[1]
(t.autograd.backward(w * w, t.ones(2, 2)), w.grad, w.grad.requires_grad)[1:]
(t.autograd.backward((w * w).sum()), w.grad.requires_grad)[1]
(t.autograd.backward([w * w, w.sum()], [w.detach(), None]), w.grad)[1]
(t.autograd.backward((w * w).sum(), create_graph=True), w.grad.requires_grad)[1]
(t.autograd.backward((w ** 2).sum(), None, True), w.grad)[1] ; ((w * w).sum().backward(), w.grad.requires_grad)[1]
t.autograd.grad((w * w).sum(), w)[0].requires_grad ; (w[0:1].sum().backward(), w.grad)[1]
(w[0:1].sum().backward(), w[1].sum().backward(), w.grad)[2]
(lambda y: (y.backward(retain_graph=True), y.backward(), w.grad)[2])((w * w).sum())
t.autograd.grad(w[0].sum(), [w])[0] ; t.autograd.grad((w * w).sum(), [w, w3], allow_unused=True)
t.autograd.grad(w[[0, 0]].sum(), w)[0] ; t.autograd.grad((w * w).sum().double(), w, t.tensor(2., dtype=t.float64))[0]
((w * w).backward(t.ones(2, 2)), w.grad)[1]
(lambda y: (y.retain_grad(), (y * y).sum().backward(), y.grad, w.grad)[2:])(w * 3)
(lambda y: (y.retain_grad(), put(y, 0, 1.), (y * y).sum().backward(), y.grad, w.grad)[3:])(w * 3)
(lambda y: (y.retain_grad(), y.mul_(2), (y * y).sum().backward(), y.grad, w.grad)[3:])(w * 3)
(lambda y: (y[0].mul_(3), y.grad_fn)[0])(w * 2)
(lambda y: (put(y, 0, y[0].mul_(2)), (y * y).sum().backward(), w.grad)[2])(w * 2)
(lambda y: (put(y, (slice(None), 0), y[:, 1]), (y * y).sum().backward(), w.grad)[2])(w * 2)
(lambda y: (put(y, 0, y[1]), (y * y).sum().backward(), w.grad)[2])(w * 2)
(t.set_grad_enabled(False), (w * 2).requires_grad)[1]
(t.set_grad_enabled(False).__enter__(), (w * 2).requires_grad)[1] ; (w.detach() + w).requires_grad
(t.set_grad_enabled(False), put(w, 0, 7.), w.requires_grad, w.grad_fn, w)[2:]
(t.set_grad_enabled(False), put(w, 0, w[1]), w.grad_fn)[2]
entered(t.set_grad_enabled(False), lambda: t.set_grad_enabled(True))
(lambda y: (y.mul_(2), y[0].sum().backward(), w.grad)[2])(w * 2)
(lambda v: (lambda z: (v.T.reshape(-1).zero_(), z.sum().backward(), w.grad)[2])(v * w))(t.ones(2, 2) * 3)
(lambda y: (lambda z: (y.add_(1), z.sum().backward(), w.grad)[2])(y * t.full((2, 2), 3.)))(w * 1)
(lambda y: (y.retain_grad(), (y * y).sum().backward(inputs=[w]), y.grad)[2])(w * 3)
(lambda y: (y.retain_grad(), y.backward(t.ones(2, 2).double()), y.grad)[2])(w * 3)
(refused(lambda: w.normal_()), t.rand(2))
(lambda n: (t.from_numpy(n).mul_(w), n.tolist())[1])(np.ones((2, 2), np.float32))
(lambda y: (y.mul_(w), y.stride())[1])(w.T + 0) ; (lambda y: (y[0], y.mul_(w), y.sum().backward(), w.grad)[3])(w * 2)
""")


ABOUT_THE_CPU = re.compile(r"np\.|repr\(|'cpu'|a\.device|set_rng_state|y\.stride\(\)")


def rows(codes: list[str]) -> Any:
    """Run the test for every code; those that NumPy, a device's name or the memory's layout is in, on the CPU alone."""
    on_cpu = pytest.mark.cpu_only(
        "NumPy's arrays, which meet no GPU's tensors; a device's name; strides, which CuPy chooses"
    )
    return pytest.mark.parametrize(
        "code", [pytest.param(c, id=c, marks=on_cpu if ABOUT_THE_CPU.search(c) else ()) for c in codes]
    )


@rows([*VALUES, *MORE_OPS, *CREATED, *SETTINGS, *ENGINE])
def test_gives_what_torch_gives(code: str) -> None:
    assert_alike(run(mg, code), run(torch, code))


ERRORS = listed(r"""
t.bmm(x3, a) ; t.bmm(a, x3) ; t.bmm(x3, x3[:1].mT) ; t.dot(a[0], a) ; t.dot(a, a[0]) ; t.minimum(a, 2)
t.minimum(2, a) ; t.maximum(2, a) ; t.maximum(a, 2) ; a.masked_fill(a > 2, t.tensor([1.]))
t.div(i, 0, rounding_mode='floor') ; t.div(i, i * 0, rounding_mode='trunc') ; i % t.tensor(0) ; t.ones(1).split(0)
a.split(-1) ; a.split([1, 1]) ; a.split([4, -1]) ; i.expand(-1, 3) ; s.narrow(0, 0, 1) ; t.zeros(2, -1) ; t.rand(-1)
a[3] ; a[-4] ; a[:, [0, 2]] ; a[:, [-3]] ; put(a, [0, 3], 1.) ; put(a, [-4], 1.) ; put(a, 0, t.ones(2, 2))
put(a, 0, t.ones(2, 1, 2)) ; a[[True, False]] ; a[m.T] ; x4[t.tensor([True, True]), 3] ; a[0, 0, 0]
a[s > 2, i] ; a[0, 0, True, 0] ; a[np.True_]
t.gather(x3, 1, t.full((2, 1, 2), 3)) ; t.gather(a, 0, t.full((1, 3), 0)) ; t.randint(0, 257, (2,), dtype=t.uint8)
t.randint(-1, 5, (2,), dtype=t.uint8) ; t.zeros(2, dtype=t.uint8).random_(0, 300)
t.zeros(2, dtype=t.uint8).random_(-1, 5) ; t.zeros(2).bool().random_(0, 3) ; t.zeros(2).bool().random_(-1, 1)
i.random_(5, 5) ; i.random_(5, 2) ; i.random_(-3) ; t.randint(0, 2**63 + 1, (2,))
t.multinomial(t.tensor([1., 2.]), 3) ; t.multinomial(t.tensor([1., 2.]), 0) ; t.multinomial(t.tensor([]), 1, True)
t.multinomial(t.tensor([0., 0.]), 1) ; t.zeros(2).uniform_(-3e38, 3e38) ; t.zeros(2).uniform_(0, float('inf'))
t.zeros(2).uniform_(float('-inf'), 0) ; t.zeros(2).exponential_(0.) ; t.zeros(2).bernoulli_(1.5)
t.zeros(2).normal_(0, -1) ; t.zeros(2).uniform_('0', 1) ; t.randint(1.5, (2,))
t.set_rng_state(t.zeros(3, dtype=t.uint8)) ; t.bernoulli(i) ; t.manual_seed(2**64) ; t.manual_seed(-2**63 - 1)
t.set_default_dtype(t.int64) ; t.set_default_device('nowhere') ; t.device('cuda:a') ; t.device(1.5)
t.device('cuda:1', 1) ; t.device('cpux') ; (w * 1).requires_grad_(False) ; t.tensor([[1., 2.], [3.]])
t.tensor([[1.], 2.]) ; t.tensor([1., [2.]]) ; t.tensor([[[1.]], [2.]]) ; t.tensor([[1.], [[2.]]]) ; t.tensor([1, [2], 'a'])
t.tensor([[1, [2]], [3]]) ; t.tensor([[w[0, 0]], 2]) ; t.tensor([np.ones(2), 3.]) ; t.tensor([3., np.ones(2)])
t.tensor([np.ones(2), [1.]]) ; t.tensor([1, 'a']) ; t.tensor(['a', 1]) ; t.tensor('a') ; t.tensor([[1], 'a'])
t.tensor(['a', [1]]) ; t.tensor([[1], None]) ; t.tensor([{}]) ; t.tensor([2**63]) ; t.tensor([1, 2**70])
t.tensor([np.ones(2), np.ones(3)]) ; (lambda y: (y.sum().backward(), y.sum().backward()))(w * w)
t.autograd.backward([w.sum(), w.sum()], [None]) ; t.autograd.backward(w.sum(), []) ; t.device('cpu', 'x')
t.device('cpu', True) ; t.device('cuda', 1.) ; t.autograd.backward(w * w) ; t.autograd.backward(a.sum()) ; t.autograd.grad(w.sum(), [w, w3])
t.autograd.grad(w.sum(), a) ; w.sum().backward(t.ones(2)) ; (t.set_grad_enabled(False), (w * 2).sum().backward())
a.retain_grad() ; F.one_hot(e.long(), 0) ; F.one_hot(e.long()) ; F.one_hot(i, 1) ; [1, 2, 3][t.tensor([1, 2])]
[1, 2, 3][s] ; float(a) ; int(e)
(lambda v: (lambda z: (v[1:].mul_(2), z.sum().backward()))(v * w[0]))(t.ones(4)[1:3])
(lambda z: (w.sum().backward(), z.sum().backward()))((w.sum().backward(), w.grad * w3[0])[1])
(lambda v: (lambda z: (v.add_(1), z.sum().backward()))(v.expand(2) * w[0]))(t.ones(1))
(lambda v: (lambda z: (v.add_(1), z.sum().backward()))(v.T * w))(t.ones(2, 2)) ; t.Generator().manual_seed('a')
a.sum(True + 1j) ; (lambda v: (lambda z: (v.add_(1), z.sum().backward()))(v * w))(t.ones(1, 2)) ; t.randint(3, 5)
a.reshape(-2, 3) ; a.reshape(-1, -1) ; a.reshape(-2, -3) ; a.reshape(-1, -1, 6) ; e.reshape(0, -1) ; a.reshape(0, -1)
a.reshape(-1, 4) ; a.reshape(-2, -1) ; t.ones(1).reshape(0, -1) ; t.randint(3) ; m.add_(1) ; m.mul_(i[0]) ; i.add_(s)
(lambda v: (lambda z: (v.add_(1), z.sum().backward()))(v.add_(1) * w))(t.ones(2, 2))
""")


@rows(ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    with pytest.raises(Exception) as theirs:
        run(torch, code)
    with pytest.raises(Exception) as ours:
        run(mg, code)
        mg.cuda.synchronize()  # where a GPU's errors show at the latest
    assert isinstance(ours.value, type(theirs.value)), f"{ours.value!r}, torch {theirs.value!r}"


KNOWN: dict[str, tuple[Any, Any, str]] = {  # what torch does, what minigrad does instead, and why
    "str(t.tensor([[np.int32(1)]]).dtype)": (
        "torch.int32", "torch.int64", "to look for NumPy's numbers in nested lists would take as long as to read the lists",
    ),
    "t.tensor([t.ones(1)]).shape": ((1,), (1, 1), "a tensor in a list keeps its dimensions, as an array does"),
    "t.bernoulli(w.sigmoid()).requires_grad": (True, False, "the gradient, which is zero, is not recorded"),
    "printed(w3[:1] @ w3)": (
        "CloneBackward0", "UnsafeViewBackward0", "torch folds if a smaller first operand needs a gradient, and prints its steps",
    ),
    "str(t.normal(0., 1., (2,), dtype=t.float64).dtype)": (
        "torch.float64", TypeError, "normal takes neither dtype nor requires_grad: randn does",
    ),
}  # fmt: skip


def outcome(t: Any, code: str) -> Any:
    try:
        return run(t, code)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("code", KNOWN)
def test_known_differences(code: str) -> None:
    theirs, ours, _ = KNOWN[code]
    assert outcome(torch, code) == theirs
    assert outcome(mg, code) == ours


# ------------------------------------------------------------------------------------------------------- statements


def test_tensors_inside_lists_may_have_dimensions() -> None:
    """torch takes tensors of one element there."""
    assert mg.tensor([mg.tensor([1.0, 2.0]), [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert mg.tensor([[mg.ones(2)], [[mg.tensor(3), 4]]]).shape == (2, 1, 2)


def test_a_retained_gradient_is_refused_once_a_view_has_rewritten_its_tensor() -> None:
    y = mg.ones(2, requires_grad=True) * 2
    y.retain_grad()
    view = y[:1]
    z = y.exp()
    view.mul_(3)  # y's history is no longer how y came about
    with pytest.raises(RuntimeError, match="retain_grad"):
        z.sum().backward()


@pytest.mark.parametrize("use", [lambda y: y.backward(mg.ones(2)), lambda y: y.add_(1)])
def test_a_tensor_that_a_view_has_rewritten_is_refused(use: Callable[[mg.Tensor], Any]) -> None:
    """torch computes its history anew; so does minigrad in `y[:1] *= 3`, but not behind the back of y."""
    y = mg.ones(2, requires_grad=True) * 2
    y[:1].mul_(3)
    with pytest.raises(RuntimeError, match="shares memory with one that was changed in place"):
        use(y)


def test_a_part_that_was_rewritten_may_be_put_back_only_where_it_was() -> None:
    y = mg.ones(2, 2, requires_grad=True) * 2
    part = y[1]
    part.mul_(3)
    with pytest.raises(RuntimeError, match="shares memory with one that was changed in place"):
        y[0] = part


def test_a_view_made_between_two_rewrites_is_refused() -> None:
    y = mg.ones(2, requires_grad=True) * 2
    y.mul_(2)
    view = y[:1]
    y.mul_(2)
    with pytest.raises(RuntimeError, match="shares memory with one that was changed in place"):
        view.backward()


def test_a_gradient_of_another_float_type_is_cast_to_its_inputs() -> None:
    class Twice(mg.Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

        def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
            return (2 * g.double(),)

    x = mg.ones(2, requires_grad=True)
    Twice.apply(x).sum().backward()
    assert x.grad.dtype is mg.float32


@pytest.mark.parametrize("t", [mg, torch])
def test_new_data_and_a_write_are_two_changes_not_none(t: Any) -> None:
    """Were `.data =` to count backwards, the write after it would bring the old number back."""
    x = t.ones(2)
    y = (t.ones(2, requires_grad=True) * x).sum()
    x.data = t.zeros(2)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_slices_gradient_is_kept_as_a_tensor() -> None:
    x = mg.ones(4, requires_grad=True)
    x[0:2].sum().backward()
    assert isinstance(x._grad, mg.Tensor)


@pytest.mark.parametrize("t", [mg, torch])
def test_a_generator_under_no_grad_hands_on_what_it_returns(t: Any) -> None:
    @t.no_grad()
    def inner() -> Iterator[bool]:
        yield t.is_grad_enabled()
        return "the end"

    def outer() -> Iterator[Any]:
        yield (yield from inner())

    assert list(outer()) == [False, "the end"]


@pytest.mark.parametrize("t", [mg, torch])
def test_asking_for_the_gradient_of_no_leaf_warns(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        assert y.grad is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y.retain_grad()
        assert y.grad is None and x.grad is None


@pytest.mark.parametrize("op", [fused.Softmax, fused.LogSoftmax])
def test_softmax_is_its_definition_on_three_axes(op: Any) -> None:
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, 3, 4)))
    same(op.definition(x), op.apply(x), rtol=1e-14)


def test_numpys_numbers_have_dtypes_here() -> None:
    """torch takes dtype=np.float32 nowhere."""
    assert mg.zeros(2, dtype=np.float32).dtype is mg.float32
    assert mg.zeros(2, dtype=np.dtype("int16")).dtype is mg.int16
    assert mg.tensor([1.5], dtype=np.float64).dtype is mg.float64


def test_an_unsigned_index_goes_with_a_signed_one_though_both_are_empty() -> None:
    """NumPy would add them up as float64; torch has no unsigned indices but bytes."""
    assert mg.ones(2, 3)[np.zeros(0, np.int64), np.zeros(0, np.uint64)].shape == (0,)
    assert mg.arange(6).reshape(2, 3)[np.array([-1]), np.array([1], np.uint64)].tolist() == [4]


def test_a_number_is_a_gpu_and_a_missing_one_is_refused_at_once() -> None:
    """torch says so later, or that there is no accelerator."""
    assert str(mg.device(1)) == "cuda:1"
    with pytest.raises(TypeError):
        mg.device(True)
    with pytest.raises(mg.BackendUnavailable):
        mg.set_default_device("cuda:99")


def test_bytes_in_the_other_order_are_the_same_numbers() -> None:
    """torch refuses them."""
    assert mg.tensor(np.arange(3, dtype=">f4")).dtype is mg.float32
    assert mg.tensor(np.arange(3, dtype=">i8")).tolist() == [0, 1, 2]


def test_a_device_is_not_its_name() -> None:
    assert mg.device("cpu") == mg.device(type="cpu") != mg.device("cuda") and mg.device("cuda", 1) == mg.device(
        "cuda:1"
    )
    assert mg.device("cpu") != "cpu" and torch.device("cpu") != "cpu"  # the text is no device


def test_normal_numbers_are_standard_ones_unless_told_otherwise() -> None:
    """torch.normal has no such default."""
    draws = [f().tolist() for f in (lambda: mg.normal(size=(3,)), lambda: mg.randn(3)) if mg.manual_seed(1)]
    assert draws[0] == draws[1]


def test_tensor_takes_the_dtype_that_it_is_given() -> None:
    assert mg.Tensor([1], dtype=mg.int64).dtype is mg.int64
    assert mg.Tensor(mg.tensor([1])).dtype is mg.int64
    assert mg.Tensor([1.5], dtype=mg.float64, requires_grad=True).requires_grad


def test_exponential_draws_have_mean_one_unless_told_otherwise() -> None:
    same(mg.from_numpy(mg.Generator().exponential((5,))), torch.zeros(5).exponential_(generator=torch.Generator()))


@pytest.mark.parametrize("n", [131_071, 131_072, 131_073, 2 * 131_072 + 16])
def test_normals_do_not_show_that_threads_drew_them(n: int) -> None:
    same(mg.randn(n, generator=mg.Generator()), torch.randn(n, generator=torch.Generator()), exact=True)


def test_ids_that_differ_beyond_sixteen_bits_are_two() -> None:
    index = np.array([1, 65537] * 50)
    touched, sums = mg.backend.coalesce(index, np.ones((100, 2)), 70_000)
    assert dict(zip(touched.tolist(), sums.tolist(), strict=True)) == {1: [50, 50], 65537: [50, 50]}


def test_a_long_sum_of_negative_zeros_starts_from_a_positive_one() -> None:
    _, sums = mg.backend.coalesce(np.zeros(100, np.int64), np.full((100, 2), -0.0), 3)
    assert not np.signbit(sums).any()


def test_what_an_operator_never_saved_was_not_freed() -> None:
    class Forgetful(mg.Op):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

        def backward(self, g: mg.Tensor) -> tuple[mg.Tensor]:
            return (g * self.saved[0],)

    with pytest.raises(AttributeError):
        Forgetful.apply(mg.ones(2, requires_grad=True)).sum().backward()
