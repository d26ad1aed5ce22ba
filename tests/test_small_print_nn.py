"""The small print of modules, losses, optimizers, data, sparse gradients and printing: see test_small_print.py."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers import same
from test_ops import assert_alike, listed

import minigrad as mg
from minigrad import data
from minigrad.data import windows
from minigrad.data.loader import create_dataloader
from minigrad.nn.module import IncompatibleKeys

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:(Initializing zero-element tensors)"),  # torch's comment
]


@pytest.fixture(autouse=True)
def default_settings() -> Iterator[None]:
    yield
    for t in (mg, torch):
        t.set_default_dtype(t.float32)


def names_for(t: Any) -> dict[str, Any]:
    """What the code of a row may use, new for every row."""
    nn = t.nn

    class Block(nn.Module):
        def __init__(self, shared: Any):
            super().__init__()
            self.one = nn.Linear(2, 2)
            self.register_buffer("own", t.ones(1))
            self.register_buffer("shared", shared)
            self.register_buffer("none", None)
            self.register_parameter("missing", None)

    class Net(nn.Module):
        """Two blocks that share a buffer and a weight, one of them under two names."""

        def __init__(self) -> None:
            super().__init__()
            shared = t.zeros(2)
            self.first, self.second = Block(shared), Block(shared)
            self.second.one.weight = self.first.one.weight
            self.again = self.first
            self.register_buffer("top", t.tensor([3]), persistent=False)
            self.scale = nn.Parameter(t.ones(2))

    class Bare(nn.Module):
        """What order names have, if some are None."""

        def __init__(self) -> None:
            super().__init__()
            self.register_parameter("b", None)
            self.register_parameter("a", nn.Parameter(t.ones(1)))
            self.register_parameter("c", None)

    def keys(pairs: Any) -> list[str]:
        return [name for name, _ in pairs]

    def loaded(state: Any) -> tuple[Any, ...]:
        net.load_state_dict(state, strict=False)
        return net.scale, net.first.own

    def table(**options: Any) -> Any:
        e = nn.Embedding(4, 2, **options)
        with t.no_grad():
            e.weight.copy_(t.tensor([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4], [0.0, 0.0]]))
        return e

    def trained(make: Any, steps: int = 3, sparse: bool = False) -> Any:
        """A table after some steps of an optimizer on gradients of a few rows."""
        e = table(sparse=sparse)
        optimizer = make(e.parameters())
        for k in range(steps):
            optimizer.zero_grad()
            (e(t.tensor([0, k % 2, 0])) ** 2).sum().backward()
            optimizer.step()
        return e.weight

    def sparse_grad(ids: list[int], times: int = 1) -> Any:
        e = table(sparse=True)
        for _ in range(times):
            e(t.tensor(ids, dtype=t.int64)).sum().backward()
        return e.weight.grad

    def with_dtype(d: Any, f: Any) -> Any:
        t.set_default_dtype(d)
        return f()

    t.manual_seed(5)
    net, bare, F, init = Net(), Bare(), nn.functional, nn.init
    lin, SGD = nn.Linear(3, 2), t.optim.SGD
    x, x3, i = t.arange(6.0).reshape(2, 3), t.arange(24.0).reshape(2, 3, 4) / 9, t.tensor([0, 1])
    logits, ids, skipped = t.arange(12.0).reshape(4, 3).sin(), t.tensor([0, 2, 1, 1]), t.tensor([0, -100, 1, -100])
    w = t.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]], requires_grad=True)
    return {"np": np, "copy": copy, **locals()}


VALUES = listed(r"""
init.xavier_uniform_(t.empty(3, 5)) ; init.xavier_normal_(t.empty(3, 5)) ; init.xavier_uniform_(t.empty(3, 5), gain=2.)
init.xavier_normal_(t.empty(3, 5), gain=.5) ; init.xavier_uniform_(t.empty(3, 5, 2, 2))
init.xavier_normal_(t.empty(2, 3, 4)) ; init.ones_(t.empty(2)) ; init.zeros_(t.empty(2))
init.constant_(t.empty(2), 2.5) ; init.uniform_(t.empty(9)) ; init.normal_(t.empty(9))
init.uniform_(t.empty(9), 1, 3) ; init.normal_(t.empty(9), 1, 3) ; init.ones_(nn.Parameter(t.empty(2))).requires_grad
init.kaiming_uniform_(t.empty(3, 5)) ; init.kaiming_uniform_(t.empty(3, 5, 2))
init.kaiming_uniform_(t.empty(3, 5), a=2) ; init.zeros_(lin.bias) is lin.bias ; nn.Linear(0, 2).bias
nn.Linear(1, 2).bias ; nn.Linear(3, 2).weight ; nn.Linear(3, 2, dtype=t.float64).weight ; nn.Linear(3, 0).weight
nn.Linear(2, 2, False).bias ; nn.Identity(1, a=2)(x) is x ; nn.Softmax(-1)(x3) ; nn.Softmax(1)(x3)
nn.LogSoftmax(0)(x3) ; nn.LogSoftmax(-1)(x3) ; nn.Softmax(dim=0)(x) ; nn.ReLU()(x - 2) ; nn.Tanh()(x)
F.softmax(x3, -1) ; F.log_softmax(x3, 1) ; t.softmax(x3, 0, dtype=t.float64) ; repr(nn.Softmax(1))
repr(nn.LogSoftmax(0)) ; repr(nn.Identity()) ; nn.Sigmoid()(x) ; nn.CrossEntropyLoss()(logits, skipped)
nn.CrossEntropyLoss(reduction='none')(logits, skipped) ; F.nll_loss(logits, skipped) ; F.cross_entropy(logits, skipped)
F.nll_loss(logits, skipped, reduction='sum') ; nn.CrossEntropyLoss(ignore_index=1)(logits, ids)
F.nll_loss(logits, ids, ignore_index=0) ; F.cross_entropy(logits, ids, label_smoothing=1.)
F.cross_entropy(logits, ids, label_smoothing=0.) ; nn.CrossEntropyLoss(t.tensor([1., 2., 3.]))(logits, ids)
nn.CrossEntropyLoss(label_smoothing=.1)(logits, skipped) ; F.cross_entropy(logits[0], ids[1])
F.nll_loss(logits[0], ids[1]) ; F.cross_entropy(x3, t.tensor([[0, 1, 2, 0], [1, 1, 2, 2]]))
F.nll_loss(x3, t.tensor([[0, 1, 2, 0], [1, -100, 2, 2]]))
F.cross_entropy(x3[..., None], t.tensor([[0, 1, 2, 0], [1, 1, 2, 2]])[..., None]) ; F.cross_entropy(x3[:, :2, 0], i)
F.cross_entropy(logits[:1], ids[:1]) ; F.mse_loss(x, x + 1) ; F.linear(x, lin.weight)
F.linear(x[0], lin.weight, lin.bias) ; F.linear(x3.mT, lin.weight, lin.bias) ; F.linear(x[None, None], lin.weight)
F.linear(x, x[0]) ; F.linear(x3.mT, x[0]) ; F.one_hot(t.tensor([]).long(), 1) ; F.one_hot(t.tensor([]).long(), 3)
F.one_hot(i) ; F.one_hot(i, 2) ; F.one_hot(i[0], 3) ; F.one_hot(t.tensor([[0], [2]])) ; table(max_norm=5.)(i)
table(max_norm=5.)(t.tensor([0])) ; (lambda e: (e(i), e.weight))(table(max_norm=5.))
(lambda e: (e(i), e.weight))(table(max_norm=7., norm_type=1.))
(lambda e: (e(t.tensor([0, 2])), e.weight))(table(max_norm=5.)) ; table(max_norm=5., dtype=t.float64)(i)
(lambda v: (F.embedding(i, v, None, 2.), v))(x + 1) ; F.embedding(i, w, padding_idx=-1).requires_grad
keys(net.named_buffers()) ; keys(net.named_buffers(recurse=False)) ; keys(net.named_buffers(remove_duplicate=False))
keys(net.named_buffers('p', False)) ; keys(net.named_parameters('p', False)) ; len(list(net.buffers()))
len(list(net.buffers(recurse=False))) ; keys(net.named_parameters())
keys(net.named_parameters(remove_duplicate=False)) ; len(list(net.parameters()))
len(list(net.parameters(recurse=False))) ; keys(net.named_children()) ; keys(net.named_modules())
keys(net.named_modules(remove_duplicate=False)) ; len(list(net.modules())) ; len(list(net.children()))
keys(net.named_modules(prefix='q')) ; list(net.state_dict())
net.get_parameter('second.one.weight') is net.first.one.weight
net.get_parameter('again.one.bias') is net.first.one.bias ; net.get_submodule('second.one') is net.second.one
list(bare.state_dict()) ; keys(bare.named_parameters()) ; bare.b ; bare.c
(setattr(bare, 'b', nn.Parameter(t.zeros(1))), keys(bare.named_parameters()), list(bare.state_dict()))[1:]
(setattr(bare, 'a', None), list(bare.state_dict()), keys(bare.named_parameters()))[1:]
list(bare.load_state_dict({'a': t.zeros(1)}, strict=True)) ; bare.load_state_dict({'a': t.zeros(1)}).missing_keys
(lin.load_state_dict({'bias': t.ones(2), 'odd': x}, strict=False), lin.bias)[1]
loaded({'odd': x, 'scale': t.zeros(2), 'more': x, 'first.own': t.zeros(1)})
list(net.load_state_dict({'odd': x, 'scale': t.zeros(2)}, strict=False).unexpected_keys)
net.load_state_dict({'scale': t.zeros(2)}, strict=False).missing_keys[:2]
repr(lin.load_state_dict({'bias': t.ones(2)}, strict=False))
repr(lin.load_state_dict({**lin.state_dict(), 'odd': x}, strict=False)) ; repr(lin.load_state_dict(lin.state_dict()))
lin.requires_grad_(False).weight.requires_grad ; lin.requires_grad_(False).requires_grad_().weight.requires_grad
lin.requires_grad_(False).bias.requires_grad ; (lin(x).sum().backward(), lin.zero_grad(), lin.weight.grad)[2]
(lin(x).sum().backward(), lin.zero_grad(set_to_none=False), lin.weight.grad, lin.weight.grad.requires_grad)[2:]
lin.float() is lin ; lin.double() is lin ; lin.to(t.float64) is lin ; lin.cpu() is lin ; lin.train() is lin
lin.eval() is lin ; lin.eval().training ; lin.double().weight ; net.double().top ; net.half().first.shared
(lin(x).sum().backward(), lin.double(), lin.weight.grad)[2]
(lin(x).sum().backward(), lin.to(t.float16), lin.weight, lin.bias.grad)[2:] ; lin.apply(lambda m: None) is lin
net.to('cpu').scale ; nn.Parameter().shape ; nn.Parameter(x).requires_grad ; nn.Parameter(x, False).requires_grad
nn.Parameter(x).data_ptr() == x.data_ptr() ; f'{nn.Parameter(t.ones(1))}' ; nn.Parameter(x.double()).dtype is t.float64
list(nn.ModuleDict({'a': lin, 'b': nn.ReLU()}).values())[0] is lin ; list(nn.ModuleDict({'a': lin}).keys())
'a' in nn.ModuleDict({'a': lin}) ; len(nn.ModuleDict()) ; [k for k, v in nn.ModuleDict({'a': lin}).items()]
(setattr(net.first, 'own', t.zeros(3)), keys(net.named_buffers()), net.first.own)[1:]
(delattr(net.first, 'own'), setattr(net.first, 'own', net.scale), keys(net.named_buffers()), list(net.state_dict()))[2:]
hash(lin) == hash(lin) ; copy.deepcopy(lin).weight.requires_grad ; copy.deepcopy(w).requires_grad
(w.sum().backward(), copy.deepcopy(w).grad)[1] ; (w.sum().backward(), copy.deepcopy(nn.Parameter(w)).grad)[1]
sparse_grad([0, 1, 0]).is_coalesced() ; sparse_grad([1, 0]).is_coalesced()
sparse_grad([0, 1, 0]).coalesce().is_coalesced() ; sparse_grad([1, 1]).coalesce().indices()
sparse_grad([1, 3, 1]).coalesce().values() ; sparse_grad([1, 3, 1]) ; sparse_grad([1, 3], 2)
sparse_grad([1, 3]).requires_grad ; sparse_grad([1]).is_sparse ; sparse_grad([1, 3, 1])._nnz()
sparse_grad([1, 3, 1], 2)._nnz() ; sparse_grad([2, 1, 2])._indices() ; (lambda g: g.zero_() is g)(sparse_grad([1]))
(lambda g: g.zero_()._nnz())(sparse_grad([1, 1])) ; (lambda g: g.zero_())(sparse_grad([1, 1]))
sparse_grad([1, 3]).to(dtype=t.float64) ; sparse_grad([1, 2, 1]).to(dtype=t.float64)._nnz()
sparse_grad([1, 2]).to(dtype=t.float64).is_sparse ; sparse_grad([1]).dtype is t.float32 ; sparse_grad([1]).shape
repr(sparse_grad([1, 3, 1])) ; repr(sparse_grad([1, 3, 1]).coalesce()) ; repr(sparse_grad([]))
with_dtype(t.float64, lambda: repr(sparse_grad([1])))
with_dtype(t.float64, lambda: repr(sparse_grad([1]).to(dtype=t.float32)))
with_dtype(t.float64, lambda: repr(nn.Parameter(x)))
(lambda e: ((e(i) + F.embedding(i, e.weight)).sum().backward(), e.weight.grad.is_sparse)[1])(table(sparse=True))
(lambda e: ((e(i) + F.embedding(i, e.weight)).sum().backward(), e.weight.grad)[1])(table(sparse=True))
(lambda e: ((e(i).sum() + e.weight.sum()).backward(), e.weight.grad)[1])(table(sparse=True))
(lambda e: ((e(i) * e(t.tensor([1, 1]))).sum().backward(), e.weight.grad)[1])(table(sparse=True))
(lambda e: (t.autograd.grad(e(i).sum(), e.weight)[0].is_sparse))(table())
(lambda e: t.autograd.grad(e(i).sum(), e.weight)[0])(table(sparse=True))
(lambda e: (e(i).sum().backward(), e.weight.grad.zero_(), e(i).sum().backward(), e.weight.grad)[3])(table(sparse=True))
(lambda e: (e(i).sum().backward(), e.zero_grad(False), e(i).sum().backward(), e.weight.grad)[3])(table(sparse=True))
trained(lambda p: SGD(p, .1)) ; trained(lambda p: SGD(p, .1), sparse=True)
trained(lambda p: SGD(p, .1, maximize=True)) ; trained(lambda p: SGD(p, .1, maximize=True), sparse=True)
trained(lambda p: SGD(p, .1, .9, maximize=True)) ; trained(lambda p: SGD(p, .1, .9))
trained(lambda p: SGD(p, .1, .9, .5)) ; trained(lambda p: SGD(p, .1, .5, nesterov=True))
trained(lambda p: SGD(p, .1, .9, 0, .1, True)) ; trained(lambda p: SGD(p, .1, weight_decay=.1))
trained(lambda p: SGD(p, .1, 1.5, nesterov=True)) ; trained(lambda p: SGD(p)) ; SGD(lin.parameters()).defaults['lr']
trained(lambda p: SGD(p, .1, .5, .5, maximize=True, weight_decay=.01)) ; repr(t.tensor([1e8]))
repr(t.tensor([1.00000008e8])) ; repr(t.tensor([1e8, 1e6])) ; repr(t.tensor([1000., 1.])) ; repr(t.tensor([1001., 1.]))
repr(t.tensor([1e-4])) ; repr(t.tensor([0.9e-4])) ; repr(t.tensor([1.5, 1500.])) ; repr(t.tensor([1.5, 1501.]))
repr(t.tensor([0., float('nan')])) ; repr(t.tensor([0.])) ; repr(t.tensor([float('inf')])) ; repr(t.arange(1001))
repr(t.arange(1000)).count(',') ; repr(t.zeros(6, 200)) ; repr(t.zeros(7, 200)) ; repr(t.zeros(2, 3, 400))
repr(t.tensor([12345678.])) ; repr(t.tensor([99999999., 1.5e8])) ; repr(t.tensor([2e8])) ; repr(t.tensor([1.1e8, 2.]))
repr(t.tensor(True)) ; repr(t.tensor([])) ; repr(t.tensor([[True, False]])) ; repr(t.tensor([1.5e8], dtype=t.float64))
f'{t.tensor(1.5)}' ; f'{t.tensor(2.5):.2f}'
""")


@pytest.mark.parametrize("code", [code for code in VALUES if code])
def test_gives_what_torch_gives(code: str) -> None:
    assert_near(*(eval(code, names_for(t)) for t in (mg, torch)))


def assert_near(ours: Any, theirs: Any) -> None:
    """The same values, tensors to a few roundings, and sparse gradients as the tensors that they stand for."""
    if type(theirs) is tuple:
        assert type(ours) is tuple and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_near(a, b)
    elif isinstance(theirs, torch.Tensor):
        assert ours.requires_grad == theirs.requires_grad
        same(ours, theirs)
    else:
        assert_alike(ours, theirs)


ERRORS = listed(r"""
net.get_parameter('nothing') ; net.get_submodule('first.nothing') ; net.get_parameter('first')
init.xavier_uniform_(t.empty(3)) ; init.xavier_normal_(t.empty(())) ; lin.load_state_dict({'bias': t.ones(2)})
lin.load_state_dict({'bias': t.ones(3)}, strict=False) ; SGD(lin.parameters(), nesterov=True)
SGD(lin.parameters(), .1, .9, .1, nesterov=True) ; SGD(lin.parameters(), .1, 0, .1, nesterov=True) ; lin(t.ones(2, 4))
lin(t.ones(4)) ; F.linear(t.ones(3), t.ones(4)) ; F.cross_entropy(logits, ids, label_smoothing=1.1)
F.cross_entropy(logits, ids[:3]) ; F.nll_loss(logits, ids[:3]) ; F.cross_entropy(x3, ids)
F.cross_entropy(x3, t.zeros(2, 3).long()) ; F.cross_entropy(x[0], ids) ; bare.register_parameter('b.c', None)
bare.register_parameter('forward', None) ; bare.register_parameter('a', x) ; setattr(bare, 'a', x)
setattr(bare, 'b', x) ; lin.to(t.int64) ; lin.train('yes') ; nn.Linear(2, 3)(x) ; nn.ModuleDict({'a': lin})['b']
F.nll_loss(x3, t.full((2, 4), 3)) ; trained(lambda p: SGD(p, .1, weight_decay=.1), sparse=True) ; nn.Softmax(3)(x)
nn.Module()(x) ; F.one_hot(t.tensor([]).long(), 0) ; F.one_hot(t.tensor([]).long(), -1) ; table()(t.tensor([4]))
table()(t.tensor([-1])) ; nn.Embedding(3, 2, padding_idx=3)
lin.load_state_dict({'odd': x, 'bias': t.ones(3)}, strict=False)
""")


@pytest.mark.parametrize("code", ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    with pytest.raises(Exception) as theirs:
        eval(code, names_for(torch))
    with pytest.raises(Exception) as ours:
        eval(code, names_for(mg))
    assert isinstance(ours.value, type(theirs.value)), f"{ours.value!r}, torch {theirs.value!r}"


# ------------------------------------------------------------------------------------------- what torch has no counterpart for


def test_softmax_of_a_module_is_over_the_last_axis_unless_told_otherwise() -> None:
    """torch's older rule, axis 1 of two and four axes but 0 of one and three, warns and is not taken over."""
    x = mg.randn(2, 3, 4)
    same(mg.nn.Softmax()(x).sum(-1), np.ones((2, 3), np.float32))
    same(mg.nn.LogSoftmax()(x).exp().sum(-1), np.ones((2, 3), np.float32))
    same(mg.softmax(x).sum(-1), np.ones((2, 3), np.float32))
    same(mg.log_softmax(x).exp().sum(-1), np.ones((2, 3), np.float32))


def test_a_key_that_is_skipped_hides_no_wrong_shape_behind_it() -> None:
    layer = mg.nn.Linear(2, 2)
    before = layer.weight.tolist()
    state = {"odd": mg.ones(1), "weight": mg.zeros(2, 2), "bias": mg.ones(3)}
    with pytest.raises(RuntimeError, match="size mismatch for bias"):
        layer.load_state_dict(state, strict=False)
    assert layer.weight.tolist() == before


def test_a_step_on_rows_is_the_step_on_the_dense_gradient_bit_for_bit() -> None:
    weights = []
    for look in (False, True):
        weight = mg.nn.Parameter(mg.arange(8.0).reshape(4, 2) / 7)
        optimizer = mg.optim.SGD([weight], 0.1, momentum=0.9, weight_decay=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            (mg.nn.functional.embedding(mg.tensor([1, 3, 1]), weight) ** 3).sum().backward()
            if look:
                assert weight.grad.shape == (4, 2)  # from now on it is dense
            optimizer.step()
        weights.append(weight)
    same(*weights, exact=True)


def test_an_optimizer_says_that_memory_is_read_only() -> None:
    array = np.ones(2, np.float32)
    array.flags.writeable = False
    p = mg.nn.Parameter(mg.from_numpy(array))
    p.sum().backward()
    with pytest.raises(RuntimeError, match="read-only"):
        mg.optim.SGD([p], 0.1).step()


def test_a_lookup_that_shortens_no_row_changes_nothing_in_place() -> None:
    """torch counts every lookup with max_norm as a write."""
    weight = mg.tensor([[3.0, 4.0], [6.0, 8.0]], requires_grad=True)
    y = weight * weight
    mg.nn.functional.embedding(mg.tensor([0, 1]), weight, max_norm=10.0)
    y.sum().backward()
    y = weight * weight
    mg.nn.functional.embedding(mg.tensor([0, 1]), weight, max_norm=6.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_keys_that_are_missing_or_unexpected_are_shown() -> None:
    assert repr(IncompatibleKeys(["a"], [])) == "_IncompatibleKeys(missing_keys=['a'], unexpected_keys=[])"
    assert repr(IncompatibleKeys([], ["b"])) == "_IncompatibleKeys(missing_keys=[], unexpected_keys=['b'])"
    assert repr(IncompatibleKeys([], [])) == "<All keys matched successfully>"


def test_a_table_used_sparse_and_dense_has_a_dense_gradient() -> None:
    for order in (1, -1):
        weight = mg.ones(4, 2, requires_grad=True)
        uses = [mg.nn.functional.embedding(mg.tensor([1, 1]), weight, sparse=sparse).sum() for sparse in (True, False)]
        mg.autograd.backward(uses[::order])
        assert isinstance(weight.grad, mg.Tensor)
        assert weight.grad.tolist() == [[0, 0], [4, 4], [0, 0], [0, 0]]


def test_a_dataset_with_a_new_getitem_loses_only_an_inherited_shortcut() -> None:
    class Both(windows.Dataset):
        def __getitem__(self, i: int) -> int:
            return i

        def collated(self, indices: list[int]) -> str:
            return "together"

    class Neither(Both):
        pass

    class Changed(Both):
        def __getitem__(self, i: int) -> int:
            return -i

    assert Both().collated([1]) == Neither().collated([1]) == "together"
    assert Changed.collated is None


def test_a_loader_with_one_full_batch_or_a_small_last_one_does_not_warn() -> None:
    words = "one two three four five six seven eight nine ten"  # a token each: windows of 4 from 0, 4; 9 targets
    options = {"max_length": 4, "stride": 4, "shuffle": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(create_dataloader(words, 1, **options)) == 2
        assert len(create_dataloader(words, 2, **options)) == 1
        assert len(create_dataloader(words, 3, drop_last=False, **options)) == 1
    with pytest.warns(UserWarning, match="2 windows make no full batch of 3"):
        assert len(create_dataloader(words, 3, **options)) == 0


def test_a_loader_gives_one_sample_at_a_time_unless_told_otherwise() -> None:
    loaders = [t.utils.data.DataLoader(t.utils.data.TensorDataset(t.arange(3))) for t in (mg, torch)]
    for (ours,), (theirs,) in zip(*loaders, strict=True):
        same(ours, theirs)
    for size in (True, 0, -1, 2.0):
        with pytest.raises(ValueError, match="batch_size"):
            data.DataLoader([1], size)


def test_decode_names_the_first_id_that_is_no_token() -> None:
    tokenizer = data.GPTTokenizer()
    assert tokenizer.decode([0]) == "!"
    with pytest.raises(IndexError, match=r"ids\[1\] = -1"):
        tokenizer.decode([0, -1])
    with pytest.raises(IndexError, match=r"ids\[2\] = 50257"):
        tokenizer.decode([0, 50256, 50257])
    assert "50257" in repr(tokenizer)
