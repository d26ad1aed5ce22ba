"""The small print of modules, losses, optimizers, data, sparse gradients and printing: see test_small_print.py."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from helpers import same, without_device
from test_ops import assert_alike, listed

import minigrad as mg
from minigrad import data
from minigrad.data import windows
from minigrad.data.loader import create_dataloader
from minigrad.nn.module import IncompatibleKeys

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings(
        "ignore:(Initializing zero-element tensors|reduction.*mean.* divides the total|Using a target size)"
    ),  # torch's comments
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

    def hooked(use: Any) -> Any:
        """What a module gives with hooks that use(module) registers, and after they are removed."""
        m = nn.Linear(3, 2)
        handles = use(m)
        first = m(x), m(input=x) if len(handles) > 2 else 0
        for handle in handles:
            handle.remove()
        return first, m(x)

    def with_keywords(m: Any) -> list[Any]:
        return [
            m.register_forward_pre_hook(lambda m, a, k: (a, {n: v + 1 for n, v in k.items()}), with_kwargs=True),
            m.register_forward_hook(lambda m, a, k, y: y + len(k), with_kwargs=True),
            m.register_forward_pre_hook(lambda m, a: None),
        ]

    def assigned(m: Any, dtype: Any) -> Any:
        """A module that has taken over the tensors of a state."""
        state = {name: x.to(dtype).clone() for name, x in m.state_dict().items()}
        m.load_state_dict(state, assign=True)
        same_memory = [x.data_ptr() == state[name].data_ptr() for name, x in m.state_dict().items()]
        kinds = [(name, type(p).__name__, p.requires_grad, str(p.dtype)) for name, p in m.named_parameters()]
        return same_memory, kinds, keys(m.named_buffers())

    def changed(m: Any, f: Any) -> Any:
        """A module after f(m): what it prints, and its names."""
        f(m)
        return repr(m), keys(m.named_parameters()), list(m.state_dict())

    class Wrapped(nn.Module):
        def __init__(self, inner: Any):
            super().__init__()
            self.inner, self.scale = inner, nn.Parameter(t.ones(1))

        def forward(self, x: Any) -> Any:
            return self.inner(x) * self.scale

    def wrap_all(m: Any) -> None:
        for name, child in m.named_children():
            if isinstance(child, nn.Linear):
                setattr(m, name, Wrapped(child))
            else:
                wrap_all(child)

    class Late(nn.Module):
        """A child that comes after it was None, one that goes and comes back, one that becomes a parameter."""

        def __init__(self) -> None:
            super().__init__()
            self.late, self.gone = None, nn.Tanh()
            self.first, self.turned = nn.Linear(1, 1), nn.ReLU()
            self.late, self.gone = nn.Sigmoid(), None
            self.last, self.gone = nn.Identity(), nn.Linear(2, 1)
            self.turned = nn.Parameter(t.ones(2))
            self.buffer = nn.Buffer(t.zeros(2), persistent=False)
            self.kept = nn.Buffer(t.ones(1))

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
    seq = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    mods, named = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()]), nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    x, x3, i = t.arange(6.0).reshape(2, 3), t.arange(24.0).reshape(2, 3, 4) / 9, t.tensor([0, 1])
    logits, ids, skipped = t.arange(12.0).reshape(4, 3).sin(), t.tensor([0, 2, 1, 1]), t.tensor([0, -100, 1, -100])
    w = t.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]], requires_grad=True)
    return {"np": np, "copy": copy, "repr": lambda x: without_device(repr(x)), **locals()}


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
hooked(lambda m: [m.register_forward_hook(lambda m, a, y: y * 2)])
hooked(lambda m: [m.register_forward_hook(lambda m, a, y: None)])
hooked(lambda m: [m.register_forward_pre_hook(lambda m, a: a[0] + 1)])
hooked(lambda m: [m.register_forward_pre_hook(lambda m, a: (a[0] + 1,))])
hooked(lambda m: [m.register_forward_hook(lambda m, a, y: y * 2), m.register_forward_hook(lambda m, a, y: y + 1)])
hooked(lambda m: [m.register_forward_hook(lambda m, a, y: y * 2), m.register_forward_hook(lambda m, a, y: y + 1, prepend=True)])
hooked(with_keywords)
(lambda h: (h.__enter__() is h, h.__exit__(None, None, None), lin(x)))(lin.register_forward_hook(lambda m, a, y: y * 2))
(lin.register_forward_hook(lambda m, a, y: y * 2), copy.deepcopy(lin)(x))[1]
(wrap_all(net), repr(net), keys(net.named_parameters()))[1:] ; changed(seq, wrap_all)
(wrap_all(seq), seq(t.ones(1, 2)))[1] ; changed(net, lambda m: setattr(m, 'first', nn.ReLU()))
changed(seq, lambda m: m.__setitem__(-1, nn.Tanh())) ; repr(Late()) ; keys(Late().named_parameters())
keys(Late().named_children()) ; list(Late().state_dict()) ; keys(Late().named_buffers())
keys(copy.deepcopy(Late()).named_buffers()) ; type(Late().turned).__name__ ; Late().gone.weight is not None
Late().kept ; Late().buffer.requires_grad ; (lambda m: (delattr(m, 'first'), keys(m.named_children())))(Late())[1]
changed(seq, lambda m: m.append(nn.Tanh())) ; changed(seq, lambda m: m.insert(1, nn.Tanh()))
changed(seq, lambda m: m.pop(0)) ; changed(seq, lambda m: m.__delitem__(1))
changed(seq, lambda m: m.__delitem__(slice(0, 2))) ; len(seq + seq)
changed(seq + nn.Sequential(nn.Tanh()), lambda m: None)
changed(seq, lambda m: m.extend(nn.Sequential(nn.Tanh(), nn.ReLU()))) ; changed(seq[1:], lambda m: None)
repr(seq[-1]) ; changed(seq, lambda m: m.insert(-1, nn.Tanh())) ; seq.pop(1) is not None
changed(mods, lambda m: m.insert(0, nn.Tanh())) ; changed(mods, lambda m: m.pop(-1))
changed(mods + mods, lambda m: None) ; changed(mods, lambda m: m.__delitem__(0))
changed(mods, lambda m: m.extend([nn.Tanh()])) ; changed(mods[1:], lambda m: None)
changed(mods, lambda m: m.__iadd__([nn.Tanh()])) ; changed(mods, lambda m: m.__setitem__(0, nn.Tanh()))
repr(nn.ModuleList(None)) ; changed(mods, lambda m: m.append(nn.Linear(1, 2)))
changed(mods, lambda m: m.__delitem__(slice(0, 1))) ; len(mods)
changed(named, lambda m: m.update({'a': nn.Tanh(), 'c': nn.Linear(1, 1)})) ; changed(named, lambda m: m.pop('a'))
changed(named, lambda m: m.clear()) ; changed(named, lambda m: m.__delitem__('b')) ; list(named) ; 'b' in named
changed(named, lambda m: m.update([('z', nn.Tanh())])) ; named.pop('b') is not None
list(named.values())[0] is named['a'] ; repr(nn.ParameterList([t.ones(2, 3), nn.Parameter(t.zeros(1))]))
len(nn.ParameterList([t.ones(2)])) ; nn.ParameterList([t.ones(2)])[0]
list(nn.ParameterList([t.ones(2), t.ones(1)]).state_dict()) ; nn.ParameterList([t.ones(2), t.ones(1)])[-1]
changed(nn.ParameterList([t.ones(2)]), lambda m: m.append(t.zeros(3))) ; repr(nn.ParameterList())
changed(nn.ParameterList([t.ones(2)]), lambda m: m.extend([t.zeros(3), t.zeros(4)]))
changed(nn.ParameterList([t.ones(2)]), lambda m: m.__setitem__(0, nn.Parameter(t.zeros(3))))
repr(nn.ParameterDict({'w': t.ones(2, 3)})) ; list(nn.ParameterDict({'w': t.ones(2), 'b': t.ones(1)}).keys())
nn.ParameterDict({'w': t.ones(2)})['w'] ; 'b' in nn.ParameterDict({'w': t.ones(2)}) ; repr(nn.ParameterDict())
changed(nn.ParameterDict({'w': t.ones(2)}), lambda m: m.update({'b': t.zeros(3)}))
nn.ParameterDict({'w': t.ones(2)}).pop('w') ; net.get_buffer('first.own') ; net.get_submodule('') is net
net.get_submodule('again.one') is net.first.one ; changed(net, lambda m: m.set_submodule('second.one', nn.Tanh()))
'first' in dir(net) ; 'forward' in dir(net) ; '0' in dir(seq) ; list(lin.state_dict(prefix='p.'))
lin.state_dict(keep_vars=True)['weight'] is lin.weight ; lin.state_dict(keep_vars=True)['weight'].requires_grad
(lambda d: (lin.state_dict(destination=d), list(d))[1])({}) ; lin.state_dict()['weight'].requires_grad
assigned(lin, t.float64) ; assigned(net, t.float32) ; assigned(lin.requires_grad_(False), t.float16)
lin.to('cpu', non_blocking=True) is lin ; net.first.register_module('more', nn.Tanh()) ; lin.extra_repr()
nn.Module().extra_repr()
(lambda m: (setattr(m, 'fc', nn.Linear(1, 2)), setattr(m, 'fc', nn.Linear(2, 2)), m.fc.weight.shape))(nn.Module())[2]
(setattr(lin, 'weight', nn.Parameter(t.ones(1, 3))), lin.weight)[1] ; issubclass(nn.Parameter, t.Tensor)
isinstance(lin.weight, nn.Parameter) ; nn.Flatten()(x3) ; nn.Flatten(0, 1)(x3) ; nn.Unflatten(1, (3, 1))(x)
nn.Unflatten(-1, (2, 2))(x3) ; nn.Unflatten(1, (-1, 1))(x) ; nn.LayerNorm(4)(x3) ; nn.LayerNorm((3, 4))(x3)
nn.LayerNorm([3, 4], bias=False)(x3) ; nn.LayerNorm(4, elementwise_affine=False)(x3)
nn.LayerNorm(4, 0.1).double()(x3.double()) ; nn.RMSNorm(4)(x3) ; nn.RMSNorm((3, 4), 0.1, False)(x3)
nn.RMSNorm([4]).half()(x3.half()) ; nn.LayerNorm(4).half()(x3.half()) ; list(nn.LayerNorm(2, bias=False).state_dict())
nn.LayerNorm(2, elementwise_affine=False).weight ; F.rms_norm(x3.double() * 1e-8, (4,)) ; F.layer_norm(x3[:0], (3, 4))
F.layer_norm(t.ones(3, 0), (0,)).shape ; nn.GELU()(x3) ; nn.GELU('tanh')(x3) ; nn.SiLU()(x3) ; nn.SiLU(True)(x - 2)
nn.ELU(0.5)(x - 2) ; nn.LeakyReLU()(x - 2) ; nn.Softplus(2, 3)(x) ; nn.LogSigmoid()(x) ; nn.GLU()(x3) ; nn.GLU(2)(x3)
nn.ReLU(inplace=True)(x - 2) ; nn.LeakyReLU(0.2, True)(x - 2) ; (lambda a: (F.relu(a, inplace=True) is a, a))(x - 2)
(lambda a: (F.silu(a, True) is a, a))(x - 2) ; (lambda a: (F.leaky_relu(a, 0.1, True) is a, a))(x - 2)
(lambda a: (F.elu(a, inplace=True) is a, a))(x - 2)
[repr(m) for m in (nn.GELU(), nn.GELU('tanh'), nn.SiLU(), nn.SiLU(True), nn.ELU(), nn.ELU(2., True))]
[repr(m) for m in (nn.LeakyReLU(0.3), nn.LeakyReLU(inplace=True))]
[repr(m) for m in (nn.Softplus(), nn.Softplus(1, 2), nn.LogSigmoid(), nn.Flatten(), nn.Unflatten(1, (2, 3)))]
[repr(m) for m in (nn.GLU(), nn.ReLU(True), nn.ReLU())]
[repr(m) for m in (nn.LayerNorm(3), nn.LayerNorm((2, 3), 0.1, bias=False), nn.LayerNorm([2], elementwise_affine=False), nn.RMSNorm(3))]
repr(nn.RMSNorm([2, 3], 1e-6, False))
[repr(m) for m in (nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCELoss())]
[repr(m) for m in (nn.BCEWithLogitsLoss(), nn.NLLLoss(), nn.KLDivLoss(), nn.CosineSimilarity())]
nn.MSELoss()(x, x.sin()) ; nn.MSELoss(reduction='sum')(x, x.sin()) ; nn.L1Loss(reduction='none')(x, x.sin())
nn.SmoothL1Loss(beta=0.5)(x, x.sin()) ; nn.SmoothL1Loss(beta=0.)(x, x.sin()) ; nn.HuberLoss('sum', 0.3)(x, x.sin())
nn.BCELoss()(x / 9, x.sin() ** 2) ; nn.BCELoss(w.detach())(x / 9, x.sin() ** 2)
nn.BCELoss(reduction='none')(t.tensor([0., 1., 1., 0.]), t.tensor([0., 1., 0., 1.]))
nn.BCEWithLogitsLoss()(x, x.sin() ** 2) ; nn.BCEWithLogitsLoss(pos_weight=t.tensor([1., 2., 3.]))(x, x.sin() ** 2)
nn.BCEWithLogitsLoss(weight=t.tensor([1., 2., 3.]), reduction='sum')(x, x.sin() ** 2) ; nn.NLLLoss()(logits, skipped)
nn.NLLLoss(t.tensor([1., 2., 3.]), reduction='sum')(logits, ids)
nn.KLDivLoss(reduction='batchmean')(logits, logits.exp())
nn.KLDivLoss(reduction='sum', log_target=True)(logits, logits)
F.kl_div(logits, (logits > 0).float(), reduction='none') ; list(nn.BCELoss(t.ones(2)).state_dict())
(lambda a: (F.binary_cross_entropy(a, t.tensor([0., 1., 0., 1.])).backward(), a.grad)[1])(t.tensor([0., 1., 1., 0.], requires_grad=True))
nn.CosineSimilarity()(x, x + 1) ; F.cosine_similarity(x3, x3[0, 0], -1) ; F.cosine_similarity(x * 0, x, 1)
F.normalize(x) ; F.normalize(x * 0, dim=0) ; F.normalize(x, p=1., dim=0) ; F.normalize(x, float('inf'))
F.pad(x, (1, 2)) ; F.pad(x, (1, 1, 0, 1), 'constant', 2) ; F.pad(i, (1, 1), value=-100) ; F.pad(x > 2, (1, 0))
F.pad(x3, (1, -1, 2, 0)) ; F.pad(x3, (2, 1), 'reflect') ; F.pad(x3, (2, 3), mode='replicate') ; F.pad(x, ())
F.pad(x, (-1, 0)) ; F.pad(x, (0, 0)) ; (t.manual_seed(1), F.gumbel_softmax(logits))[1]
(t.manual_seed(1), F.gumbel_softmax(logits, 0.3, True, dim=0), t.rand(1))[1:]
(t.manual_seed(1), F.gumbel_softmax(w, 2., hard=True).requires_grad)[1] ; F.glu(x3.mT[..., :2], -1)
F.logsigmoid(t.tensor([-1e9, 1e9])) ; F.scaled_dot_product_attention(x3, x3, x3)
F.scaled_dot_product_attention(x3, x3, x3, is_causal=True)
F.scaled_dot_product_attention(x3[:, :2], x3, x3, is_causal=True)
F.scaled_dot_product_attention(x3, x3[:, :2], x3[:, :2], is_causal=True)
F.scaled_dot_product_attention(x3, x3, x3, t.ones(3, 3).bool().triu(1))
F.scaled_dot_product_attention(x3, x3, x3, t.ones(3, 1).tril().log())
F.scaled_dot_product_attention(x3, x3, x3, scale=0.) ; F.scaled_dot_product_attention(x3, x3[:, :0], x3[:, :0])
F.scaled_dot_product_attention(x3, x3, x3, t.zeros(3, 3).bool())
F.scaled_dot_product_attention(x3[..., :0], x3[..., :0], x3) ; F.scaled_dot_product_attention(x3[:, :0], x3, x3)
(t.manual_seed(1), F.scaled_dot_product_attention(x3, x3, x3, dropout_p=0.5), t.rand(1))[1:]
(t.manual_seed(1), F.scaled_dot_product_attention(x3, x3, x3, dropout_p=0.3, is_causal=True))[1]
(t.manual_seed(1), F.scaled_dot_product_attention(x3.mT, x3.mT, x3.mT, t.ones(4, 4).tril().log(), 0.3))[1]
F.scaled_dot_product_attention(x3, x3, x3, dropout_p=1.)
F.scaled_dot_product_attention(x3.repeat(2, 1, 1)[None], x3[None], x3[None], enable_gqa=True)
F.scaled_dot_product_attention(x, x, x)
F.scaled_dot_product_attention(x3.half(), x3.half(), x3.half()).dtype is t.float16
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
    elif isinstance(theirs, str):
        assert without_device(ours) == without_device(theirs)
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
lin.load_state_dict({'odd': x, 'bias': t.ones(3)}, strict=False) ; net.get_buffer('scale')
net.get_buffer('first.nothing') ; net.set_submodule('first.nothing.more', lin) ; net.set_submodule('', lin)
net.set_submodule('first.nothing', lin, strict=True) ; net.set_submodule('first.one', x) ; named.pop('c') ; named['c']
seq[5] ; mods.pop(5) ; mods.append(x) ; named.update({'a': x}) ; setattr(net, 'first', x)
nn.Module.__setattr__(nn.Module.__new__(nn.Module), 'a', nn.Buffer(x)) ; nn.GELU('x')(x) ; F.layer_norm(x, (2,))
F.layer_norm(x, (3,), t.ones(2)) ; F.layer_norm(x, 3) ; F.layer_norm(x.long(), (3,)) ; F.layer_norm(x, ())
F.layer_norm(x, (3,), t.ones(3).double()) ; F.rms_norm(x, (2,)) ; F.rms_norm(x, (3,), t.ones(2)) ; F.rms_norm(x, 3)
F.rms_norm(x.long(), (3,)) ; F.gelu(x, approximate='x') ; F.gelu(x.long()) ; F.silu(x.long()) ; F.gelu(x > 1)
F.elu(x.long()) ; F.softplus(x.long()) ; F.logsigmoid(x.long()) ; F.glu(x) ; F.glu(t.tensor(1.)) ; F.glu(x, 5)
F.pad(x, (1,)) ; F.pad(x, (1, 1, 1, 1, 1, 1)) ; F.pad(x, (-2, -2)) ; F.pad(x3, (4, 0), 'reflect')
F.pad(x3, (1, 1), 'odd') ; F.smooth_l1_loss(x, x, beta=-1) ; F.huber_loss(x, x, delta=0)
F.binary_cross_entropy(x, x) ; F.binary_cross_entropy(x / 9, x[0]) ; F.l1_loss(x, x, reduction='a')
F.binary_cross_entropy_with_logits(x, x[0]) ; F.kl_div(x, x, reduction='a') ; F.cosine_similarity(x, t.ones(2, 4))
F.normalize(x, dim=3) ; F.scaled_dot_product_attention(x, x, x, x.long())
F.scaled_dot_product_attention(x, x[:, :2], x) ; F.scaled_dot_product_attention(x[0], x, x)
F.scaled_dot_product_attention(x, x.double(), x) ; F.scaled_dot_product_attention(x, x, x, t.ones(3, 3).bool())
F.scaled_dot_product_attention(x, x, x, dropout_p=1.5) ; F.scaled_dot_product_attention(x.long(), x.long(), x.long())
F.scaled_dot_product_attention(x3.repeat(3, 1, 1)[None, :5], x3[None], x3[None], enable_gqa=True)
nn.MultiheadAttention(5, 2) ; nn.MultiheadAttention(4, 0) ; nn.MultiheadAttention(4, 2)(x3, x3, x3, is_causal=True)
nn.TransformerEncoderLayer(4, 2, activation='tanh') ; nn.Unflatten(1, (2, 2))(x) ; nn.LayerNorm(4)(x)
""")


@pytest.mark.parametrize("code", ERRORS)
def test_raises_what_torch_raises(code: str) -> None:
    with pytest.raises(Exception) as theirs:
        eval(code, names_for(torch))
    with pytest.raises(Exception) as ours:
        eval(code, names_for(mg))
        mg.cuda.synchronize()  # where a GPU's errors show at the latest
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
