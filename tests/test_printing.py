"""Every string of `minigrad.printing` against the one torch prints for the same numbers.

The last tests ask whether the others could fail at all: they print with broken copies of the module, listed in MUTANTS.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._tensor_str import get_printoptions as torch_get_printoptions
from torch._tensor_str import printoptions as torch_printoptions

from minigrad import printing

pytestmark = pytest.mark.cpu_only(
    "how numbers of the host are written; test_printing_of_ops.py prints tensors of a device"
)

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]

many = settings(max_examples=400, deadline=None, derandomize=True)


@contextmanager
def both(**options: Any) -> Iterator[None]:
    with torch_printoptions(**options), printing.printoptions(**options):
        yield


def ours(x: torch.Tensor, module: Any = printing, **told: Any) -> str:
    """What `module` says of the numbers and the history of x."""
    history = {"requires_grad": x.requires_grad, "grad_fn": x.grad_fn and type(x.grad_fn).__name__}
    return module.tensor_repr(x.detach().numpy(), **history, **told)


# ---- what is drawn

TRAPS = [0.0, -0.0, 1.0, -1.0, 0.5, 9.99995, 99999.5, 1e-4, 9.9e-5, 1e3, 1000.5, 1e8, 1.1e8, 60000.0]
ODD = [math.inf, -math.inf, math.nan]
WIDE = {"float16": st.floats(width=16), "float32": st.floats(width=32), "float64": st.floats(width=64)}
SMALL = st.integers(0, 5)


def floats(dtype: str) -> st.SearchStrategy[float]:
    """Numbers of one regime: which format torch picks depends on how they mix, so the regime is drawn first."""
    ordinary = st.floats(-10, 10, width=16)
    integral = st.integers(-2000, 2000).map(float)
    mixed = st.builds(lambda m, e: m * 10.0**e, st.floats(-10, 10), st.integers(-7, 3))
    regimes = [ordinary, integral, mixed, st.sampled_from(TRAPS), st.sampled_from([*ODD, 0.0, -0.0])]
    odd = [regime | st.sampled_from(ODD) for regime in regimes[:3]]
    return st.sampled_from([*regimes, *odd, WIDE[dtype]]).flatmap(lambda regime: regime)


@st.composite
def tensors(draw: st.DrawFn, sides: st.SearchStrategy[int] = SMALL, max_dims: int = 4) -> torch.Tensor:
    """A tensor of up to 8 different numbers, in any order, shape and memory layout."""
    dtype = draw(st.sampled_from(["bool", *INTEGERS, *FLOATS, *FLOATS]))
    if dtype == "bool":
        numbers: Any = st.booleans()
    elif dtype in INTEGERS:
        whole = np.iinfo(dtype)
        numbers = st.integers(whole.min, whole.max) | st.integers(max(whole.min, -12), 12)
    else:
        numbers = floats(dtype)
    with np.errstate(over="ignore"):
        pool = np.array(draw(st.lists(numbers, min_size=1, max_size=8)), dtype=dtype)
    shape = draw(st.lists(sides, max_size=max_dims))
    order = np.random.default_rng(draw(st.integers(0, 99))).integers(len(pool), size=shape)
    x = torch.from_numpy(np.asarray(pool[order]))
    layouts = ["as it is", "permuted", "strided", "expanded"] if x.ndim else ["as it is"]
    match draw(st.sampled_from(layouts)):
        case "permuted":
            x = x.permute(draw(st.permutations(range(x.ndim))))
        case "strided":
            x = x[::2]
        case "expanded":
            x = x.unsqueeze(-1).expand(*x.shape, 3)
    return x


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.sampled_from([0, 1, 2, 6, 10]),
        "threshold": st.sampled_from([0, 1, 5, 20, 100, math.inf]),
        "edgeitems": st.sampled_from([0, 1, 2, 5]),
        "linewidth": st.sampled_from([1, 20, 40, 79, 81, 200]),
        "profile": st.sampled_from(["default", "short", "full", "no such profile"]),
        "sci_mode": st.sampled_from([True, False, None]),
    },
)


# ---- dense tensors


@many
@given(tensors())
def test_small(x: torch.Tensor) -> None:
    assert ours(x) == repr(x)


@many
@given(tensors(sides=st.sampled_from([1, 2, 6, 7, 12, 40]), max_dims=3))
def test_large(x: torch.Tensor) -> None:
    assert ours(x) == repr(x)


@many
@given(tensors(sides=st.integers(0, 9), max_dims=3), OPTIONS)
def test_options(x: torch.Tensor, options: dict[str, Any]) -> None:
    with both(**options):
        assert ours(x) == repr(x)


@settings(many, max_examples=200)
@given(tensors(), st.sampled_from([torch.float16, torch.float32, torch.float64]))
def test_default_dtype(x: torch.Tensor, default: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        expected = repr(x)
    finally:
        torch.set_default_dtype(before)
    assert ours(x, default_dtype=str(default).removeprefix("torch.")) == expected


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_float_exponent(dtype: str) -> None:
    info = np.finfo(dtype)
    exponents = range(int(math.log10(info.smallest_subnormal)) - 1, int(math.log10(info.max)) + 1)
    for x in (torch.tensor([c * 10.0**e, c], dtype=getattr(torch, dtype)) for e in exponents for c in (1, -1.5)):
        assert ours(x) == repr(x)
        assert ours(x[0]) == repr(x[0])


@pytest.mark.parametrize("shape", [(999,), (1000,), (1001,), (10, 100), (7, 11, 13), (1, 1, 1000), (6, 167)])
def test_around_the_threshold(shape: tuple[int, ...]) -> None:
    count = torch.arange(math.prod(shape)).reshape(shape)
    for x in (count, count / 7, count.bool()):
        assert ours(x) == repr(x)


def test_numpy_layouts_that_torch_lacks() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 3
    assert printing.tensor_repr(x[::-1, ::-2]) == repr(torch.from_numpy(x[::-1, ::-2].copy()))
    assert printing.tensor_repr(x.astype(">f4")) == repr(torch.from_numpy(x))
    assert printing.tensor_repr(x.astype(">f8")) == repr(torch.from_numpy(x).double())


def test_only_the_corners_are_read() -> None:
    """A trillion elements, in four bytes of memory: whoever formats or copies them all does not come back."""
    wide = np.broadcast_to(np.float32(1.5), (10**6, 10**6))
    assert printing.tensor_repr(wide) == repr(torch.tensor(1.5).expand(10**6, 10**6))
    deep = np.broadcast_to(np.float32(1.5), (1, 10**6, 1, 10**6))
    assert printing.tensor_repr(deep) == repr(torch.tensor(1.5).expand(1, 10**6, 1, 10**6))


# ---- what follows the numbers

HISTORIES = {
    "leaf": lambda x: x,
    "mul": lambda x: x * 1,
    "t": lambda x: x.reshape(1, -1).t(),
    "softmax": lambda x: x.softmax(-1),
    "layer_norm": lambda x: torch.nn.functional.layer_norm(x, x.shape),
    "cross_entropy": lambda x: torch.nn.functional.cross_entropy(x.reshape(1, -1), torch.tensor([0])),
}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_history(history: str, dtype: str) -> None:
    """As many elements as it takes for the suffixes to move to the next line, one after the other."""
    for n in range(1, 24):
        x = torch.linspace(-1, 1, n, dtype=getattr(torch, dtype)).requires_grad_()
        x = HISTORIES[history](x)
        assert ours(x) == repr(x)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (), (2, 2)])
def test_history_without_elements(shape: tuple[int, ...]) -> None:
    for x in (torch.ones(shape, requires_grad=True), torch.ones(shape, dtype=torch.float64, requires_grad=True) * 1):
        assert ours(x) == repr(x)


def test_device() -> None:
    """No GPU needed: made to think that tensors live on one by default, torch says of each that it is on the CPU."""
    for n in range(24):
        for x in (torch.ones(n, 2).short(), torch.linspace(0, 1, n, requires_grad=True) * 1):
            with mock.patch("torch._C._get_default_device", lambda: "cuda"):
                expected = repr(x).replace("'cpu'", "'gpu'")
            assert "'gpu'" in expected
            assert ours(x, device="gpu") == expected
    assert printing.tensor_repr(np.ones(2, np.float32), device="cuda:0") == "tensor([1., 1.], device='cuda:0')"


def test_prefix() -> None:
    class Weight(torch.Tensor):
        pass

    x = torch.linspace(-1, 1, 60).reshape(3, 20)
    assert ours(x, prefix="Weight(") == repr(x.as_subclass(Weight))


@pytest.mark.parametrize("requires_grad", [True, False])
def test_parameter(requires_grad: bool) -> None:
    for x in (torch.linspace(-1, 1, 12).reshape(4, 3), torch.ones(2).double(), torch.zeros(0, 3)):
        p = torch.nn.Parameter(x, requires_grad=requires_grad)
        assert printing.parameter_repr(x.numpy(), requires_grad=requires_grad) == repr(p)


# ---- sparse gradients


def sparse(x: torch.Tensor, module: Any = printing) -> str:
    return module.sparse_repr(x._indices().numpy(), x._values().numpy(), tuple(x.shape))


@settings(many, max_examples=200)
@given(
    ids=st.lists(st.integers(0, 9), max_size=12),
    dim=st.integers(0, 12),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
    repeat=st.sampled_from([1, 1, 12]),
    coalesced=st.booleans(),
    options=st.just({}) | OPTIONS,
)
def test_sparse_gradient(
    ids: list[int], dim: int, dtype: torch.dtype, repeat: int, coalesced: bool, options: dict[str, Any]
) -> None:
    embedding = torch.nn.Embedding(10, dim, sparse=True, dtype=dtype)
    y = embedding(torch.tensor(ids * repeat, dtype=torch.int64))
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(len(ids))).to(dtype))
    gradient = embedding.weight.grad
    assert gradient is not None and gradient.is_sparse
    if coalesced and dtype != torch.float16:
        gradient = gradient.coalesce()
    with both(**options):
        assert sparse(gradient) == repr(gradient)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4)])
def test_sparse_with_more_sparse_dims(shape: tuple[int, ...]) -> None:
    for dtype in (torch.float32, torch.int64, torch.bool, torch.int32):
        for x in (torch.ones(shape, dtype=dtype).to_sparse(), torch.zeros(shape, dtype=dtype).to_sparse()):
            assert sparse(x) == repr(x)


def test_sparse_device() -> None:
    x = torch.eye(3).to_sparse()
    with mock.patch("torch._C._get_default_device", lambda: "cuda"):
        expected = repr(x).replace("'cpu'", "'gpu'")
    assert printing.sparse_repr(x.indices().numpy(), x.values().numpy(), (3, 3), device="gpu") == expected


# ---- options


@many
@given(st.lists(OPTIONS, max_size=4))
def test_options_accumulate_as_in_torch(calls: list[dict[str, Any]]) -> None:
    with both():
        for options in calls:
            torch.set_printoptions(**options)
            printing.set_printoptions(**options)
            assert printing.get_printoptions() == torch_get_printoptions()


def test_options_end_with_their_block() -> None:
    before = printing.get_printoptions()
    with pytest.raises(KeyError), printing.printoptions(precision=2, sci_mode=True):
        printing.set_printoptions(profile="full")
        raise KeyError
    assert printing.get_printoptions() == before
    with pytest.raises(TypeError), printing.printoptions(digits=2):
        pass
    assert printing.get_printoptions() == before


# ---- format


@pytest.mark.parametrize("spec", ["", ".3f", "8.2e", "d", "05d", ">10", ",", ".1%", "s", "x"])
def test_format_of_one_number(spec: str) -> None:
    for x in (torch.tensor(3.14159), torch.tensor(-1e9).double(), torch.tensor(1 / 3).half(), torch.tensor(7)):
        try:
            expected = format(x, spec)
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)):
                printing.format_tensor(x.numpy(), spec, x.__repr__)
        else:
            assert printing.format_tensor(x.numpy(), spec, x.__repr__) == expected


@pytest.mark.parametrize("shape", [(1,), (2, 3), (0,)])
def test_format_of_many(shape: tuple[int, ...]) -> None:
    x = torch.ones(shape)
    assert printing.format_tensor(x.numpy(), "", x.__repr__) == f"{x}"
    with pytest.raises(TypeError):
        f"{x:.3f}"
    with pytest.raises(TypeError, match=r"'\.3f'.*0-d"):
        printing.format_tensor(x.numpy(), ".3f", x.__repr__)


# ---- would these comparisons notice a mistake?

MUTANTS = [
    ("high / low > 1e3", "high / low >= 1e3"),
    ("high > 1e8", "high >= 1e8"),
    ("low < 1e-4", "low <= 1e-4"),
    ('if not values.size:\n        return "#.0f"', 'if not values.size:\n        return ".4f"'),
    ("np.isfinite(array) & (array != 0)", "array != 0"),
    ("in telling.ravel()", "in array.ravel()"),
    (".rjust(width)", ""),
    (".rjust(width)", ".ljust(width)"),
    ("array.size > _options.threshold", "array.size >= _options.threshold"),
    ("range(n - edge, n)", "range(n - edge - 1, n - 1)"),
    ("shape[0] > 2 * edge", "shape[0] >= 2 * edge"),
    ('" ..." if innermost and edge', '" ..." if edge'),
    ('" ..." if innermost and edge', '" ..." if innermost'),
    ("indent) // (width + 2)", "indent) // (width + 1)"),
    ("shape[1:], indent + 1)", "shape[1:], indent)"),
    ("max(1, len(shape) - 1)", "1"),
    ('text.rfind("\\n") + 1', 'text.rfind("\\n")'),
    ("> _options.linewidth", ">= _options.linewidth"),
    ("len(fact) + (indent if too_long else column + 2)", "len(fact) + column + 2"),
    ('default, "int64", "bool") if array.size', 'default, "int64") if array.size'),
    ("else _dtype(array, default)", 'else _dtype(array, default, "int64")'),
    ("array.shape == (0,) or", "array.ndim == 1 or array.shape == (2, 0) or"),
    ("array.size and _options.edgeitems", "array.size"),
    ("requires_grad and not grad_fn", "requires_grad"),
    ("indent + len(head)", "indent"),
    ("on_new_line=True", "on_new_line=False"),
    ('"nnz": indices.shape[1]', '"nnz": values.size'),
    ('"" if array.size else f", size', '"" if True else f", size'),
    ("scientific is None:", "True:"),
]


def witnesses() -> Iterator[tuple[torch.Tensor, dict[str, Any]]]:
    """Tensors, with print options, among which every mutant has one that it prints wrongly."""
    for numbers in ([1.5, 1500.0], [1.5, 1500.3], [0.0, -0.0], [1e8, 2e7], [1e-4, 5e-2], [math.nan, 1.0], [-0.0, 1.5]):
        yield torch.tensor(numbers, dtype=torch.float64), {}
    for shape in [(1000,), (1001,), (6, 200), (200, 6), (7, 7, 30), (30, 2, 30), (5, 40), (2, 3, 4, 5)]:
        yield torch.linspace(-1, 1, math.prod(shape)).reshape(shape), {}
        yield torch.arange(math.prod(shape)).reshape(shape), {"edgeitems": 0}
    for shape in [(0,), (2, 0), (0, 0)]:
        yield torch.zeros(shape), {}
        yield torch.zeros(shape).long(), {}
    yield torch.tensor([True, False]), {}
    yield torch.tensor([1.5, 1e6]), {"sci_mode": False}
    for n in range(1, 30):
        x = torch.linspace(0, 1, n, dtype=torch.float64, requires_grad=True)
        yield from ((x, {}), (x * 1, {}), (x * 1, {"linewidth": 60 + n}))
    for x in (torch.eye(4), torch.zeros(2, 3), torch.ones(3, 2).double()):
        yield from ((x.to_sparse(), {}), (x.to_sparse(1), {}))


def differs(module: Any, x: torch.Tensor, options: dict[str, Any]) -> bool:
    with torch_printoptions(**options), module.printoptions(**options):
        return (sparse if x.is_sparse else ours)(x, module) != repr(x)


@pytest.mark.parametrize(("right", "wrong"), MUTANTS)
def test_mutants_are_caught(right: str, wrong: str) -> None:
    source = Path(printing.__file__).read_text()
    assert right in source
    mutant = types.ModuleType(printing.__name__)
    exec(source.replace(right, wrong), mutant.__dict__)
    assert any(differs(mutant, *witness) for witness in witnesses())


def test_no_witness_accuses_the_innocent() -> None:
    assert not any(differs(printing, *witness) for witness in witnesses())
