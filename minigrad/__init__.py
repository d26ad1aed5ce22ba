"""minigrad: the part of PyTorch that a GPT needs, on NumPy or CuPy, printing the same numbers.

Read in this order: tensor.py and core.py (the engine), ops/ (every primitive, forward beside backward), sparse.py (gradients
that are rows), fused.py, nn/, optim.py, random.py, data/.
"""

from __future__ import annotations

__version__ = "0.1.0"

# isort: off
from .dtypes import (
    Size,
    bool,
    device,
    double,
    dtype,
    float16,
    float32,
    float64,
    float_ as float,
    get_default_dtype,
    half,
    int16,
    int32,
    int64,
    int8,
    int_ as int,
    long,
    set_default_dtype,
    short,
    uint16,
    uint32,
    uint64,
    uint8,
)
from .backend import BackendUnavailable
from .printing import set_printoptions
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tensor import Tensor
from . import core, methods
from .core import Op
from .sparse import RowSparse
from .random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .ops.creation import (
    arange,
    as_tensor,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    get_default_device,
    linspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    set_default_device,
    tensor,
    zeros,
    zeros_like,
)
from .ops.elementwise import (
    abs,
    add,
    ceil,
    cos,
    div,
    exp,
    floor,
    floor_divide,
    log,
    mul,
    neg,
    positive,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    sub,
    tanh,
    trunc,
)
from .ops.selection import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    clamp,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    masked_fill,
    maximum,
    minimum,
    ne,
    where,
)
from .ops.indexing import gather, index_select, nonzero, scatter_add, take_along_dim, tril, triu
from .ops.linalg import bmm, dot, matmul, mm, outer
from .ops.reduction import all, allclose, amax, amin, any, argmax, argmin, equal, max, mean, min, std, sum, var
from .ops.shape import (
    broadcast_to,
    cat,
    chunk,
    clone,
    flatten,
    narrow,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unsqueeze,
)
from .fused import log_softmax, softmax
from . import autograd, cuda, data, nn, optim, utils
# isort: on


def is_tensor(x: object) -> bool:  # type: ignore[valid-type]
    """True if x is a Tensor (torch.is_tensor)."""
    return isinstance(x, Tensor)


def numel(x: Tensor) -> int:  # type: ignore[valid-type]
    """The number of elements (torch.numel)."""
    return x.numel()


def promote_types(a: dtype, b: dtype) -> dtype:
    """The common type of two dtypes (torch.promote_types)."""
    return dtypes.ours(dtypes.promote(a.numpy, b.numpy))


def result_type(a: object, b: object) -> dtype:
    """The type of an operation on a and b, tensors or numbers (torch.result_type)."""
    return dtypes.ours(dtypes.result_type(a, b))


from . import dtypes  # noqa: E402
