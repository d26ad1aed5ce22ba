"""minigrad: the part of PyTorch that a GPT needs, on NumPy or CuPy, printing the same numbers.

Read in this order: tensor.py and core.py (the engine), ops/ (every primitive, forward beside backward), sparse.py (gradients
that are rows), fused.py, nn/, optim.py, random.py, data/.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import TYPE_CHECKING

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
from .tensor import Tensor, is_tensor, numel
from . import core, methods
from .core import Op
from .sparse import RowSparse
from .random import Generator, default_generator, initial_seed, manual_seed, seed
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
    get_rng_state,
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
    set_rng_state,
    tensor,
    zeros,
    zeros_like,
)
from .ops.convert import promote_types, result_type
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
    tril,
    triu,
    where,
)
from .ops.indexing import gather, index_select, nonzero, scatter_add, take_along_dim
from .ops.linalg import bmm, dot, matmul, mm, outer
from .ops.reduction import all, allclose, amax, amin, any, argmax, argmin, equal, max, mean, min, norm, std, sum, var
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
from . import amp, autograd, backends, cuda, data, distributed, nn, optim, utils
from .amp import autocast
from .backends import (
    are_deterministic_algorithms_enabled,
    compile,
    get_float32_matmul_precision,
    get_num_threads,
    set_float32_matmul_precision,
    set_num_interop_threads,
    set_num_threads,
    use_deterministic_algorithms,
)
from .names import missing
from .checkpoint import (
    load,
    save,
)
# isort: on

# fmt: off
__all__ = [
    "abs", "add", "all", "allclose", "amax", "amin", "amp", "any", "arange", "are_deterministic_algorithms_enabled",
    "argmax", "argmin", "as_tensor", "autocast", "autograd", "backends", "BackendUnavailable", "bernoulli",
    "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "bool", "broadcast_to", "cat", "ceil",
    "chunk", "clamp", "clone", "compile", "cos", "cuda", "data", "default_generator", "device", "distributed",
    "div", "dot", "double", "dtype", "e", "empty", "empty_like", "enable_grad", "eq", "equal", "exp", "eye",
    "flatten", "float", "float16", "float32", "float64", "floor", "floor_divide", "from_numpy", "full", "full_like",
    "gather", "ge", "Generator", "get_default_device", "get_default_dtype", "get_float32_matmul_precision",
    "get_num_threads", "get_rng_state", "gt", "half", "index_select", "inf", "inference_mode", "initial_seed",
    "int", "int16", "int32", "int64", "int8", "is_grad_enabled", "is_tensor", "isfinite", "isinf", "isnan", "le",
    "linspace", "load", "log", "log_softmax", "logical_and", "logical_not", "logical_or", "logical_xor", "long",
    "lt", "manual_seed", "masked_fill", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul",
    "multinomial", "nan", "narrow", "ne", "neg", "nn", "no_grad", "nonzero", "norm", "normal", "numel", "ones",
    "ones_like", "Op", "optim", "outer", "permute", "pi", "positive", "pow", "promote_types", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "reciprocal", "relu", "remainder", "reshape", "result_type",
    "round", "RowSparse", "rsqrt", "save", "scatter_add", "seed", "set_default_device", "set_default_dtype",
    "set_float32_matmul_precision", "set_grad_enabled", "set_num_interop_threads", "set_num_threads",
    "set_printoptions", "set_rng_state", "short", "sigmoid", "sign", "sin", "Size", "softmax", "split", "sqrt",
    "square", "squeeze", "stack", "std", "sub", "sum", "t", "take_along_dim", "tanh", "Tensor", "tensor",
    "transpose", "tril", "triu", "trunc", "uint16", "uint32", "uint64", "uint8", "unbind", "unsqueeze",
    "use_deterministic_algorithms", "utils", "var", "where", "zeros", "zeros_like",
]
# fmt: on

if not TYPE_CHECKING:  # a type checker shall report unknown names itself
    _nearest = missing(__name__)

    def __getattr__(name: str):
        from importlib import import_module

        if name == "testing":  # a tool, which the engine does not import
            return import_module("minigrad.testing")
        return _nearest(name)

    for _room in (nn, nn.functional, nn.init, optim, utils, utils.data, cuda, autograd, backends, amp, distributed):
        _room.__getattr__ = missing(_room.__name__)
    cuda.amp = amp
