"""Layers of all kinds as torch's: names, first weights, what is printed, results, gradients, buffers, the random stream."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from helpers import same

import minigrad as mg

pytestmark = pytest.mark.filterwarnings("ignore:(enable_nested|dropout option adds dropout|non-zero dropout)")

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def listed(table: str) -> list[str]:
    """The rows of a table in text: a layer, and the shapes or codes of its inputs."""
    return [line for line in map(str.strip, table.strip().splitlines()) if line]


def outcome(t: Any, row: str) -> tuple[Any, list[Any]]:
    """What is said of a layer, and its numbers: after two steps of training, and when it is used."""
    layer, _, codes = row.partition(" : ")
    t.manual_seed(5)
    scope = {"t": t, "nn": t.nn, "F": t.nn.functional}
    m = eval(layer, scope)
    numbers = [p.detach().clone() for p in m.state_dict().values()]
    inputs: list[Any] = []

    def of(*shape: int) -> Any:
        inputs.append(t.randn(*shape).requires_grad_())
        return inputs[-1]

    for training in (True, True, False):
        m.train(training)
        arguments = eval(
            f"({codes},)",
            {
                **scope,
                "of": of,
                "ids": lambda *shape: t.randint(0, 5, shape),
                "causal": t.nn.Transformer.generate_square_subsequent_mask,
            },
        )
        results = flattened(m(*arguments))
        sum(((y * t.randn(tuple(y.shape))).sum() for y in results), t.zeros((), requires_grad=True)).backward()
        numbers += results
    numbers += [x.grad for x in inputs] + [p.grad for p in m.parameters()] + list(m.state_dict().values()) + [t.rand(1)]
    said = [repr(m), list(m.state_dict()), [n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()]]
    return said, [x.to_dense() if x is not None and x.is_sparse else x for x in numbers]


def flattened(y: Any) -> list[Any]:
    return [x for part in y for x in flattened(part)] if isinstance(y, tuple) else [y]


def check(row: str) -> None:
    (ours_said, ours), (theirs_said, theirs) = outcome(mg, row), outcome(torch, row)
    assert ours_said == theirs_said
    assert [x is None for x in ours] == [x is None for x in theirs]
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if b is not None:
            same(a, b, what=str(i), **NEAR)


NORMS = listed("""
nn.BatchNorm1d(3) : of(4, 3)
nn.BatchNorm1d(3) : of(2, 3, 5)
nn.BatchNorm1d(3, momentum=None, eps=0.1) : of(4, 3)
nn.BatchNorm1d(3, momentum=0.7, bias=False) : of(1, 3, 2)
nn.BatchNorm1d(3, affine=False) : of(4, 3)
nn.BatchNorm1d(3, track_running_stats=False) : of(4, 3)
nn.BatchNorm1d(2, dtype=t.float64) : of(4, 2).double()
nn.BatchNorm2d(3) : of(2, 3, 4, 5)
nn.GroupNorm(2, 4) : of(2, 4)
nn.GroupNorm(2, 6, eps=0.1) : of(2, 6, 3)
nn.GroupNorm(1, 3, bias=False) : of(2, 3, 2, 2)
nn.GroupNorm(3, 3, affine=False) : of(2, 3, 4)
nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 2)) : of(5, 3)
""")


BAGS = listed("""
nn.EmbeddingBag(5, 3) : ids(4, 6)
nn.EmbeddingBag(5, 3, mode='sum', sparse=True) : ids(4, 6)
nn.EmbeddingBag(5, 3, mode='max', padding_idx=-2) : ids(4, 6)
nn.EmbeddingBag(5, 3, padding_idx=0, scale_grad_by_freq=False, dtype=t.float64) : ids(7), t.tensor([0, 2, 2, 6])
nn.EmbeddingBag(5, 3, include_last_offset=True, max_norm=1.0, norm_type=1.) : ids(7), t.tensor([0, 2, 2, 7])
nn.EmbeddingBag(5, 3, 1.5) : ids(7), t.tensor([0, 2, 2, 7])
nn.EmbeddingBag(5, 3, mode='sum') : ids(3, 2), None, of(3, 2)
nn.EmbeddingBag(5, 3, scale_grad_by_freq=True) : t.tensor([[1, 2], [2, 1], [3, 3]])
nn.EmbeddingBag.from_pretrained(t.randn(5, 3), freeze=False, mode='max') : ids(3, 2)
nn.EmbeddingBag.from_pretrained(t.randn(5, 3)) : ids(3, 2)
nn.Sequential(nn.EmbeddingBag(5, 4), nn.Linear(4, 2)) : ids(3, 2)
""")


RECURRENT = listed("""
nn.RNN(3, 4) : of(5, 2, 3)
nn.RNN(3, 4, 2, 'relu', True, True) : of(2, 5, 3), of(2, 2, 4)
nn.RNN(3, 4, nonlinearity='relu', bias=False, bidirectional=True) : of(5, 3), of(2, 4)
nn.LSTM(3, 4) : of(5, 2, 3)
nn.LSTM(3, 4) : of(5, 3)
nn.LSTM(3, 4, batch_first=True) : of(5, 3), (of(1, 4), of(1, 4))
nn.LSTM(3, 4, 2, batch_first=True, dropout=0.3) : of(2, 5, 3), (of(2, 2, 4), of(2, 2, 4))
nn.LSTM(3, 4, 3, False, bidirectional=True, dropout=0.5) : of(1, 2, 3)
nn.LSTM(3, 4, 2, dtype=t.float64) : of(2, 1, 3).double()
nn.GRU(3, 4) : of(5, 2, 3)
nn.GRU(3, 4, 2, dropout=0.4, bidirectional=True, batch_first=True) : of(2, 5, 3), of(4, 2, 4)
nn.GRU(3, 4, bias=False) : of(5, 3)
nn.GRU(3, 4, 1) : of(5, 0, 3)
nn.RNNCell(3, 4) : of(2, 3)
nn.RNNCell(3, 4, False, 'relu') : of(2, 3), of(2, 4)
nn.LSTMCell(3, 4) : of(2, 3), (of(2, 4), of(2, 4))
nn.LSTMCell(3, 4, bias=False) : of(3)
nn.GRUCell(3, 4) : of(3), of(4)
nn.GRUCell(3, 4) : of(2, 3)
""")


ACTIVATIONS = listed("""
nn.Sequential(nn.ReLU6(), nn.Hardtanh(-0.5, 2.0), nn.Hardsigmoid(), nn.Hardswish(), nn.SELU()) : of(2, 3)
nn.Sequential(nn.CELU(0.5), nn.Mish(), nn.Softsign(), nn.Tanhshrink(), nn.Softshrink(0.1)) : of(2, 3)
nn.Sequential(nn.Hardshrink(), nn.Threshold(0.1, 2), nn.Softmin(dim=1), nn.PReLU()) : of(2, 3)
nn.Sequential(nn.Identity(), nn.ReLU6(True), nn.SELU(True)) : of(2, 3) * 2
nn.Sequential(nn.Hardtanh(inplace=True), nn.Hardswish(True), nn.Mish(True), nn.CELU(inplace=True)) : of(2, 3) * 2
nn.Sequential(nn.Threshold(0, 1, True), nn.Hardsigmoid(True)) : of(2, 3) * 2
nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU(0.2, True), nn.Linear(2, 3), nn.SiLU(True), nn.ELU(1.0, True)) : of(2, 3)
nn.PReLU(3, init=0.1) : of(2, 3, 4)
nn.Dropout1d(0.4) : of(3, 4, 5)
nn.Dropout1d(0.4) : of(4, 5)
nn.Dropout1d(0.4, inplace=True) : of(4, 5) * 1
nn.Dropout2d() : of(3, 4, 5, 2)
nn.Dropout2d(1.0) : of(3, 4, 5, 2)
nn.Dropout3d(0.2) : of(4, 5, 2, 2)
nn.Dropout3d(0.2) : of(3, 4, 5, 2, 2)
""")


OTHERS = listed("""
nn.Bilinear(3, 4, 2) : of(5, 3), of(5, 4)
nn.Bilinear(3, 4, 2, bias=False) : of(5, 2, 3), of(5, 2, 4)
nn.PairwiseDistance(keepdim=True) : of(5, 3), of(5, 3)
nn.TripletMarginLoss(2.0, swap=True) : of(5, 3), of(5, 3), of(5, 3)
nn.MarginRankingLoss(0.5) : of(5), of(5), ids(5) % 2 * 2 - 1
nn.CosineEmbeddingLoss(0.1, reduction='sum') : of(5, 3), of(5, 3), ids(5) % 2 * 2 - 1
nn.HingeEmbeddingLoss() : of(5), ids(5) % 2 * 2 - 1
nn.SoftMarginLoss(reduction='none') : of(5), ids(5) % 2 * 2 - 1
nn.MultiLabelSoftMarginLoss(weight=t.tensor([1.0, 2, 3])) : of(5, 3), ids(5, 3) % 2
nn.MultiMarginLoss(2, 0.5, weight=t.arange(5.)) : of(4, 5), ids(4)
nn.PoissonNLLLoss(full=True) : of(4, 5), ids(4, 5)
nn.GaussianNLLLoss(full=True) : of(4, 5), of(4, 5), t.ones(4, 1)
nn.GaussianNLLLoss(eps=0.5) : of(4, 5), of(4, 5), of(1, 5) ** 2
nn.Transformer(6, 2, 2, 1, 8) : of(4, 2, 6), of(3, 2, 6)
nn.Transformer(6, 3, 1, 2, 8, 0.2, 'gelu', batch_first=True, norm_first=True, bias=False) : of(2, 4, 6), of(2, 3, 6), None, causal(3)
""")


CONVOLUTIONS = listed("""
nn.Conv1d(3, 4, 3) : of(2, 3, 7)
nn.Conv1d(4, 6, 2, 2, 1, 2, 2, False) : of(2, 4, 7)
nn.Conv1d(3, 4, 3, padding='same', dilation=2) : of(3, 7)
nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=1) : of(2, 3, 5, 6)
nn.Conv2d(4, 4, 3, groups=4, padding='valid') : of(4, 5, 6)
nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16, 2)) : of(2, 1, 6, 6)
nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Dropout(0.3)) : of(2, 4, 2, 3)
nn.MaxPool1d(3, 2, 1) : of(2, 3, 7)
nn.MaxPool2d((2, 3), padding=(1, 0)) : of(2, 3, 5, 7)
nn.AvgPool1d(2) : of(2, 3, 7)
nn.AvgPool2d(3, 2, 1) : of(2, 3, 7, 6)
nn.AdaptiveAvgPool1d(3) : of(2, 3, 7)
nn.AdaptiveAvgPool2d((None, 2)) : of(2, 3, 4, 7)
nn.AdaptiveAvgPool2d(1) : of(3, 4, 7)
""")


@pytest.mark.parametrize("row", [*CONVOLUTIONS, *NORMS, *BAGS, *RECURRENT, *ACTIVATIONS, *OTHERS])
def test_a_layer_is_torchs(row: str) -> None:
    check(row)


def test_the_gradient_of_a_bag_is_divided_by_how_often_its_own_ids_occur() -> None:
    """torch 2.13 divides by how often the id occurs that stands at another place of the sorted ids."""
    ids, w = mg.tensor([[1, 1, 2], [1, 0, 2]]), mg.randn(3, 2, dtype=mg.float64, requires_grad=True)
    g = mg.randn(2, 2, dtype=mg.float64)
    one = mg.nn.functional.embedding_bag(ids, w, mode="sum", scale_grad_by_freq=True)
    other = mg.nn.functional.embedding(ids, w, scale_grad_by_freq=True).sum(1)
    same(one, other.detach())
    same(*(mg.autograd.grad(y, w, g)[0] for y in (one, other)))


@pytest.mark.parametrize("offsets", [[], [0, 2], [0, 3, 1, 3]])
def test_offsets_that_leave_ids_out(offsets: list[int]) -> None:
    """torch 2.13 gives numbers for these, which depend on the mode and the dtype."""
    ids, offsets_ = mg.tensor([0, 1, 1]), mg.tensor(offsets, dtype=mg.int64)
    with pytest.raises(RuntimeError, match="offsets have to start with 0 and rise"):
        mg.nn.functional.embedding_bag(ids, mg.ones(2, 2), offsets_, include_last_offset=True)


ERRORS = listed("""
nn.BatchNorm1d(3)(x[:1])
nn.BatchNorm1d(4)(x)
nn.BatchNorm1d(3)(x[0])
nn.BatchNorm1d(3)(x[None, None])
nn.BatchNorm1d(3)(x.double())
nn.BatchNorm1d(3)(x.long())
nn.BatchNorm2d(3)(x)
F.batch_norm(x, None, None)
F.batch_norm(x, None, None, t.ones(2), training=True)
F.batch_norm(x[0], None, None, training=True)
nn.GroupNorm(2, 3)
F.group_norm(x[0], 1)
F.group_norm(x, 2)
F.group_norm(x, 1, t.ones(2))
F.group_norm(x.long(), 1)
F.group_norm(x[:1], 3)
nn.EmbeddingBag(3, 2, padding_idx=3)
nn.EmbeddingBag(3, 2, _weight=x)
nn.EmbeddingBag.from_pretrained(x[0])
F.embedding_bag(i, x.T)
F.embedding_bag(i[None], x.T, i)
F.embedding_bag(i, x.T, i[None])
F.embedding_bag(i, x.T, i + 1)
F.embedding_bag(i, x.T, t.tensor([0, 9]))
F.embedding_bag(i[None, None], x)
F.embedding_bag(i[None], x[0])
F.embedding_bag(x, x)
F.embedding_bag(i[None] + 9, x)
F.embedding_bag(i[None] - 1, x)
F.embedding_bag(i[None], x, mode='median')
F.embedding_bag(i[None], x, mode='max', sparse=True)
F.embedding_bag(i[None], x, mode='max', scale_grad_by_freq=True)
F.embedding_bag(i[None], x, per_sample_weights=t.ones(1, 3))
F.embedding_bag(i[None], x, mode='sum', per_sample_weights=t.ones(3))
F.embedding_bag(i[None], x, mode='sum', per_sample_weights=t.ones(1, 3).double())
F.embedding_bag(i[None], x, padding_idx=2)
F.conv1d(x[0], t.ones(2, 2, 3))
F.conv1d(x, t.ones(2, 3, 3))
F.conv1d(x[:, :2], t.ones(2, 2, 3))
F.conv1d(x, t.ones(2, 2, 2), stride=0)
F.conv1d(x, t.ones(2, 2, 2), padding=-1)
F.conv1d(x, t.ones(2, 2, 2), groups=2)
F.conv1d(x, t.ones(2, 2, 2), t.ones(3))
F.conv1d(x.double(), t.ones(2, 2, 2))
F.conv1d(x, t.ones(2, 2, 2), padding='odd')
F.conv1d(x, t.ones(2, 2, 2), padding='same', stride=2)
nn.Conv1d(2, 3, 3, groups=2)
nn.Conv2d(3, 2, 3, groups=2)
F.max_pool1d(x, 5)
F.max_pool2d(x, 2)
F.max_pool2d(x[None], 2, padding=2)
F.fold(x[None], 3, 2)
nn.Bilinear(0, 1, 1)
nn.Bilinear(3, 2, 1)(x, x)
F.bilinear(x, x[:1], t.ones(1, 3, 3))
nn.TripletMarginLoss(0)
F.triplet_margin_loss(x, x, x, -1)
F.margin_ranking_loss(x, x[0], x)
nn.MultiMarginLoss(3)
F.multi_margin_loss(x, t.tensor([0, 1]), weight=x)
F.multi_margin_loss(x, t.tensor([0, 3]))
F.gaussian_nll_loss(x, x, -x)
F.gaussian_nll_loss(x, x, x[:1, :1])
F.hinge_embedding_loss(x, x, reduction='a')
F.pad(x, (4, 0), 'circular')
nn.Transformer(6, 2, 1, 1)(t.ones(4, 2, 6), t.ones(4, 3, 6))
nn.Transformer(6, 2, 1, 1)(t.ones(4, 2, 5), t.ones(4, 2, 5))
F.hardswish(i)
F.hardsigmoid(i)
F.selu(i)
F.mish(i)
F.softshrink(i)
F.hardshrink(i)
F.celu(x, 0)
F.hardtanh(x, 2, 1)
nn.Hardtanh(1, 1)
F.softshrink(x, -1)
F.prelu(x, t.ones(2))
F.prelu(x[0], t.ones(3))
F.prelu(x, t.ones(1, 1))
F.prelu(x, t.ones(1).double())
F.dropout1d(x[0])
F.dropout1d(x, 1.5)
nn.Dropout2d(-1)
nn.RNN(3, 0)
nn.GRU(3, 2, 0)
nn.LSTM(3, 2, 2, dropout=1.5)
nn.RNN(3, 2, nonlinearity='gelu')
nn.LSTM(3, 2)(x[0])
nn.LSTM(3, 2)(x[None, None])
nn.LSTM(2, 2)(x)
nn.LSTM(3, 2)(x.double())
nn.LSTM(3, 2)(x[:0])
nn.LSTM(3, 2)(x, (x, x[None]))
nn.LSTM(3, 2)(x, (x, x))
nn.GRU(3, 2)(x, x[None])
nn.GRU(3, 2)(x[None], x)
nn.GRU(3, 2)(x[None], x[None])
nn.GRUCell(3, 2)(x[None])
nn.GRUCell(2, 2)(x)
nn.GRUCell(3, 2)(x, x)
nn.GRUCell(3, 2)(x, x[None])
nn.LSTMCell(3, 2)(x, (x, x))
""")


@pytest.mark.parametrize("code", ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    raised = []
    for t in (mg, torch):
        x = t.arange(6.0).reshape(2, 3)
        with pytest.raises(Exception) as caught:
            eval(code, {"t": t, "nn": t.nn, "F": t.nn.functional, "x": x, "i": t.tensor([0, 1, 1])})
            mg.cuda.synchronize()  # where a GPU's errors show at the latest
        raised.append(caught.value)
    ours, theirs = raised
    assert isinstance(ours, type(theirs)), f"{ours!r}, torch {theirs!r}"
    assert re.search(r"\w{3,} \w+", str(ours)), "an error without a sentence"
