"""What a tensor prints after an op, its grad_fn included, against what torch prints for the same expression."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import without_device

import minigrad as mg

EXPRESSIONS = """
x | x + 1 | 1 + x | x - 1 | 1 - x | x * 2 | x / 2 | 2 / x | -x | x ** 2 | x ** 0.5 | 2 ** x | x + x | x * x | x / x
x % 2 | x + v | v * x | x @ w | w.T @ x[0] | x[0] @ x[0] | x @ x.T | b @ w | b @ b.transpose(1, 2) | b @ w[:, 0]
t.matmul(x, w) | t.mm(x, w) | t.bmm(b, b.mT) | t.dot(v, v) | t.outer(v, v) | x.sum() | x.sum(0)
x.sum(-1, keepdim=True) | x.sum((0, 1)) | x.mean() | x.mean(0) | x.mean(-1, keepdim=True) | x.var() | x.var(0)
x.std() | x.std(-1) | x.max() | x.min() | x.max(0) | x.max(1).values | x.min(-1) | x.amax(0) | x.amin(1)
t.max(x, x + 1) | t.maximum(x, x + 1) | t.minimum(x, x) | x.argmax() | x.argmax(-1) | x > 1 | x == x | (x > 1).sum()
x.long() | x.detach() | x.data | x.bool() | x.shape | x.isnan() | x.any() | x.nonzero() | x[0] | x[1:] | x[:, 0]
x[:, 1:] | x[..., 0] | x[None] | x[:, None] | x[0, 1] | x[-1, -1] | x[:, ::2] | x[:] | x[...] | x[i] | x[i, i]
x[:, i] | x[x > 1] | x[[0, 1]] | x[i][:, 0] | x[t.tensor(0)] | x[0][1] | x.gather(1, j) | t.gather(x, 0, j)
x.index_select(0, i) | t.take_along_dim(x, j, 1) | x.softmax(-1) | t.softmax(x, 0) | F.softmax(x, dim=1)
x.log_softmax(-1) | F.log_softmax(x, 1) | F.cross_entropy(x, i) | F.cross_entropy(x, i, reduction='none')
F.cross_entropy(x, i, reduction='sum') | F.cross_entropy(x, i, label_smoothing=0.1)
F.cross_entropy(x, x.softmax(1).detach()) | F.nll_loss(x, i) | F.mse_loss(x, x * 2)
F.cross_entropy(b.flatten(0, 1), t.tensor([0, 1, 2, 0])) | F.cross_entropy(b.mT, t.tensor([[0, 1], [2, 0]]))
F.mse_loss(x, x, reduction='none') | F.mse_loss(x, x * 2, reduction='sum') | x.view(3, 2) | x.view(-1)
x.reshape(3, 2) | x.reshape(-1) | x.T.reshape(-1) | x.T | x.t() | x.mT | x.transpose(0, 1) | x.permute(1, 0)
b.permute(2, 0, 1) | x.contiguous() | x.T.contiguous() | x.flatten() | b.flatten(1) | x.T.flatten() | x.unsqueeze(0)
x.unsqueeze(-1) | x[None].squeeze() | x[None].squeeze(0) | x.expand(2, 2, 3) | v.expand(2, 3) | v.broadcast_to((2, 3))
x.repeat(1, 2) | t.cat([x, x]) | t.cat([x, x], -1) | t.stack([x, x]) | t.stack([v, v], 1) | x.split(1)[0]
x.split([1, 2], 1)[1] | x.chunk(2)[1] | x.chunk(2, -1)[0] | x.unbind()[0] | x.narrow(1, 0, 2) | list(x)[1]
x.split(1) | x.chunk(2) | x.unbind() | t.split(x, 2, 1) | x.swapaxes(0, 1) | x.view_as(x) | x.expand_as(x)
b.view(2, 2, 1, 3).transpose(1, 2) | x.exp() | x.log() | x.tanh() | x.sqrt() | x.rsqrt() | x.sin() | x.cos()
x.sigmoid() | x.relu() | F.relu(x) | x.abs() | x.pow(3) | x.pow(x) | x.square() | x.sign() | x.floor() | x.ceil()
x.round() | x.trunc() | x.clamp(0, 2) | x.clamp(min=1) | x.clamp(max=1) | x.masked_fill(x > 1, 0)
x.masked_fill(x > 1, float('-inf')) | t.where(x > 1, x, 0.0) | t.where(x > 1, x, x * 2) | x.tril() | x.triu()
x.neg() | F.tanh(x) | F.embedding(i, w.T) | F.embedding(j, x) | t.nn.Embedding(3, 2).weight.shape | F.linear(x, x)
F.linear(x, x, v[:2]) | F.linear(b, x) | F.linear(b, x, v[:2]) | F.linear(v, x) | F.linear(v, x, v[:2]) | x.clone()
x.double() | x.float() | x.half() | x.to(t.float64) | x.double().float() | x.type(t.float64) | x.cpu()
x.scatter_add(1, j, x) | x.double().sum() | x.double() + 1 | x.mean().item() | x.sum() / 3 | x.requires_grad_(False)
x.grad | x.is_leaf | (x * 2).is_leaf | x.grad_fn | (x + 1).requires_grad | x[0].tolist() | x.size() | x.size(0)
x.numel() | x.ndim | x.dtype | x.device | len(x) | v[:0] | v[:0].sum() | x[:0] * 2 | x.expand(2, 2, 3) + 1
(x * 2).sum().sqrt() | (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True) | x.softmax(-1) @ w
t.erf(x) | F.gelu(x.sin()) | F.gelu(x, approximate='tanh') | F.silu(x) | F.leaky_relu(x) | F.elu(x) | F.softplus(x)
F.logsigmoid(x) | F.glu(x[:, :2]) | F.layer_norm(x, (3,)) | F.layer_norm(x, (2, 3)) | F.layer_norm(b, (3,), v, v)
F.rms_norm(x, (3,)) | F.rms_norm(x, (2, 3)) | F.rms_norm(x, (3,), v) | F.normalize(x) | F.cosine_similarity(x, x + 1)
F.pad(x, (1, 1)) | F.pad(x, (1, 0), value=2) | F.l1_loss(x, x * 2) | F.smooth_l1_loss(x, x * 2) | F.huber_loss(x, x * 2)
F.l1_loss(x, x * 2, reduction='none') | F.l1_loss(x, x * 2, reduction='sum')
F.binary_cross_entropy(x.sigmoid(), x.sin() ** 2) | F.binary_cross_entropy_with_logits(x, x.sin() ** 2)
F.kl_div(x, x.detach() ** 2, reduction='sum') | F.scaled_dot_product_attention(b, b, b)
F.scaled_dot_product_attention(b, b, b, is_causal=True) | F.scaled_dot_product_attention(x, x, x)
F.scaled_dot_product_attention(b[None], b[None], b[None]) | F.scaled_dot_product_attention(b[None], b[None], b[None], b @ b.mT)
x.exp().sum(-1).log().mean() | t.ones(2) | t.zeros(2, requires_grad=True) | t.arange(3)
x.cumsum(0) | x.cumprod(1) | x.prod() | x.prod(1) | x.logsumexp(1) | x.topk(2) | x.topk(1, 0, largest=False)
x.sort() | x.sort(0, True) | x.argsort() | x.median() | x.median(1) | t.flip(x, (0,)) | x.flip(1) | x.roll(1)
x.roll(1, 0) | x.repeat_interleave(2) | x.repeat_interleave(2, 1) | x.repeat_interleave(i + 1, 0)
t.einsum('ij,jk->ik', x, w) | t.einsum('ij->ji', x) | t.einsum('i,j->ij', v, v) | t.einsum('bij,kj->bik', b, x)
t.einsum('ii->i', x @ w) | t.einsum('ij,ij->', x, x) | t.einsum('ij->', x) | t.einsum('ij', x) | x.log1p()
x.expm1() | x.log2() | x.log10() | x.exp2() | t.erf(x) | x.tan() | (x / 9).asin() | (x / 9).acos() | x.atan()
x.sinh() | x.cosh() | t.atan2(x, x) | t.logaddexp(x, x) | x.fmod(2) | x.fmod(x) | t.lerp(x, v, 0.5)
t.lerp(x, x, x) | t.addcmul(x, x, v) | t.addcdiv(x, x, v, value=2) | x.nan_to_num() | x.clamp_min(1)
x.clamp_max(x) | x.diagonal() | t.diag(x) | t.diag(v) | t.diag_embed(x) | t.trace(x @ w) | x.movedim(0, 1)
x.unflatten(1, (3, 1)) | x.unfold(1, 2, 1) | t.hstack([x, x]) | t.vstack([x, v]) | x.tile(2)
t.meshgrid(v, v, indexing='ij') | t.meshgrid(v, v, indexing='xy') | t.broadcast_tensors(x, v) | i.bincount()
t.isin(i, 1) | t.searchsorted(v.detach(), x.detach()) | x.scatter(1, j[:, :2], x) | x.scatter(1, j, 2.0)
x.index_add(0, i, x) | x.index_copy(0, i, x) | x.index_fill(1, i, 0) | x.masked_select(x > 1)
x.masked_scatter(x > 1, x) | x.take(i) | t.mv(x, v) | t.vdot(v, v) | t.inner(x, x) | t.inner(v, v)
x.frac() | x.sinc() | x.deg2rad() | x.rad2deg() | t.hypot(x, x) | t.fmax(x, x) | t.fmin(x, v) | t.nansum(x) | t.nansum(x, 0)
x.nanmean() | t.quantile(x, 0.5) | x.kthvalue(1) | x.mode() | t.diff(x) | t.kron(x, v) | t.cdist(x, x + 1)
t.tensordot(x, w, 1) | t.block_diag(x, v) | t.combinations(v) | t.cartesian_prod(v, v) | t.column_stack([x, x]) | t.dstack([x, x])
x.scatter_reduce(1, j, x, 'sum') | x.scatter_reduce(1, j, x, 'amax') | x.scatter_reduce(1, j, x, 'mean') | t.var_mean(x) | t.std_mean(x, 0)
x.index_put((i,), x[0]) | x.index_put((i,), x[0], accumulate=True)
x.sum_to_size(1, 3) | (x * 2).squeeze_(0) | (x * 2).unsqueeze_(0) | (x * 2).t_()
(x * 2).squeeze_() | (x * 2).transpose_(0, 1) | (x * 3).expm1_() | (x * 2).sign_()
(x * 2).cumsum_(0)
x.type() | t.FloatTensor([1])
t.addmm(w[0], x, w) | x.isclose(x) | x.count_nonzero() | t.where(x > 1) | x.new_zeros(2) | t.tril_indices(2, 2)
x.round(decimals=1) | t.concat([x, x]) | x.short() | x.detach().unique(return_counts=True)
t.baddbmm(b @ b.mT, b, b.mT)
"""

IN_PLACE = """
y.add_(1) | y.mul_(2) | y.sub_(v) | y.div_(2) | y.exp_() | y.tanh_() | y.masked_fill_(x > 1, 0) | y.fill_(2)
y.zero_() | y.copy_(x) | y.clamp_(0, 1) | y.relu_() | y.neg_() | y.sqrt_() | y.pow_(2) | y += 1 | y -= v
y *= y.detach() | y /= 2 | y[0] = 1 | y[0] = v | y[:, 0] = 0.5 | y[i] = 2 | y[x > 1] = 0 | y.tril_() | y.sigmoid_()
y.abs_() | y.scatter_add_(1, j, x)
y.lerp_(x, 0.5) | y.addcmul_(x, x) | y.addcdiv_(x, x) | y.log_() | y.round_() | y.floor_() | y.scatter_(1, j, 2.0)
y.index_add_(0, i, x) | y.index_fill_(1, i, 0) | y.clamp_min_(1) | y.masked_scatter_(x > 1, x) | y.reciprocal_()
y.square_()
"""


def split(table: str) -> list[str]:
    """The expressions of a table, which stand between bars; `|` itself appears in none of them."""
    return [code.strip() for line in table.strip().splitlines() for code in line.split(" | ")]


def names(library: Any) -> dict[str, Any]:
    t = library
    x = t.tensor([[0.5, 1.25, 2.0], [3.0, 0.75, 1.0]], requires_grad=True)
    return {
        "t": t,
        "F": t.nn.functional,
        "x": x,
        "v": t.tensor([1.0, 2.0, 3.0], requires_grad=True),
        "w": t.tensor([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]], requires_grad=True),
        "b": t.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]], requires_grad=True),
        "i": t.tensor([1, 0]),
        "j": t.tensor([[0, 1, 1], [1, 0, 0]]),
        "y": x * 1,
    }


def printed(x: Any) -> str:
    return without_device(repr(x))


CPU_ONLY = pytest.mark.cpu_only("names the device that a tensor is on")
NAMES_THE_DEVICE = ["x.cpu()", "x.device", "x.type()"]


@pytest.mark.parametrize(
    "code", [pytest.param(c, marks=CPU_ONLY) if c in NAMES_THE_DEVICE else c for c in split(EXPRESSIONS)]
)
def test_expression(code: str) -> None:
    ours, theirs = (printed(eval(code, names(library))) for library in (mg, torch))
    assert ours == theirs


@pytest.mark.parametrize("code", split(IN_PLACE))
def test_in_place(code: str) -> None:
    found = []
    for library in (mg, torch):
        scope = names(library)
        exec(code, scope)
        found.append(printed(scope["y"]))
    assert found[0] == found[1]


def modules(t: Any) -> dict[str, Any]:
    """Layers with the same weights in both libraries."""
    made = {"linear": t.nn.Linear(3, 2), "plain": t.nn.Linear(3, 2, bias=False), "embedding": t.nn.Embedding(3, 2)}
    for layer in made.values():
        for p in layer.parameters():
            p.data = (t.arange(float(p.numel())) / 8 - 0.25).reshape(p.shape)
    return made


@pytest.mark.parametrize(
    "code",
    ["linear(x)", "linear(b)", "linear(v)", "plain(x)", "plain(b)", "plain(v)", "embedding(i)", "embedding(j)", "linear", "plain",
     "embedding", "linear.weight", "linear.bias", "embedding.weight", "linear(x).sum()", "linear(b)[:, -1]", "list(linear.parameters())",
     "linear(embedding(j)[..., :1].expand(2, 3, 3))", "linear(x.detach())", "embedding.weight[0]"],
)  # fmt: skip
def test_layer(code: str) -> None:
    ours, theirs = (printed(eval(code, {**names(library), **modules(library)})) for library in (mg, torch))
    assert ours == theirs
