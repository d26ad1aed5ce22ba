"""minigrad: the part of PyTorch that a GPT needs, on NumPy or CuPy, printing the same numbers.

Read in this order: tensor.py and core.py (the engine), ops/ (every primitive, forward beside backward), sparse.py (gradients
that are rows), fused/, nn/, optim/, gpt.py, random.py, data/, checkpoint.py.
"""

from __future__ import annotations

from math import e, inf, nan, pi
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# isort: off
# fmt: off
from .dtypes import (
    bfloat16, bool, device, double, dtype, finfo, float16, float32, float64, float_ as float, get_default_dtype,
    half, iinfo, int16, int32, int64, int8, int_ as int, long, set_default_dtype, short, Size, uint16, uint32,
    uint64, uint8,
)
from .backend import BackendUnavailable
from .printing import set_printoptions
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from .tensor import is_complex, is_floating_point, is_tensor, numel, Tensor
from . import core, linalg, methods
from .core import Op
from .sparse import RowSparse
from .random import default_generator, Generator, initial_seed, manual_seed, seed
from .ops.creation import (
    arange, as_tensor, asarray, bernoulli, BoolTensor, ByteTensor, CharTensor, DoubleTensor, empty, empty_like, eye,
    FloatTensor, from_numpy, full, full_like, get_default_device, get_rng_state, HalfTensor, IntTensor, linspace,
    logspace, LongTensor, multinomial, normal, ones, ones_like, rand, rand_like, randint, randn, randn_like,
    randperm, set_default_device, set_rng_state, ShortTensor, tensor, zeros, zeros_like,
)
from .ops.convert import promote_types, result_type
from .ops.elementwise import (
    abs, abs as absolute, add, ceil, cos, div, div as divide, div as true_divide, exp, floor, floor_divide, log,
    mul, mul as multiply, neg, neg as negative, positive, pow, reciprocal, relu, remainder, round, rsqrt, sigmoid,
    sign, sin, sqrt, square, sub, sub as subtract, tanh, trunc,
)
from .ops.selection import (
    bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor, clamp,
    clamp as clip, eq, ge, ge as greater_equal, gt, gt as greater, isfinite, isinf, isnan, le, le as less_equal,
    logical_and, logical_not, logical_or, logical_xor, lt, lt as less, masked_fill, maximum, minimum, ne,
    ne as not_equal, tril, triu, where,
)
from .ops.indexing import gather, index_select, nonzero, scatter_add, take_along_dim
from .ops.linalg import addmm, baddbmm, bmm, cdist, dot, inner, kron, matmul, mm, mv, outer, vdot
from .ops.reduction import (
    all, allclose, amax, amin, any, argmax, argmin, count_nonzero, cumprod, cumsum, equal, logsumexp, max, mean,
    min, nanmean, nansum, norm, prod, std, std_mean, sum, var, var_mean,
)
from .ops.shape import (
    broadcast_to, cat, cat as concat, cat as concatenate, chunk, clone, flatten, narrow, permute, reshape, split,
    squeeze, stack, t, transpose, transpose as swapaxes, transpose as swapdims, unbind, unsqueeze,
)
from .fused import log_softmax, softmax
from . import amp, autograd, backends, cuda, nn, optim
from .amp import autocast
from .cuda import accelerator
from .backends import (
    are_deterministic_algorithms_enabled, compile, get_float32_matmul_precision, get_num_threads, jit,
    set_float32_matmul_precision, set_num_interop_threads, set_num_threads, use_deterministic_algorithms, version,
    xpu,
)
from .names import missing as _missing
from .ops.functions import (
    acos, addcdiv, addcmul, asin, atan, atan2, clamp_max, clamp_min, cosh, deg2rad, erf, exp2, expm1, fmax, fmin,
    fmod, frac, heaviside, hypot, isclose, lerp, log10, log1p, log2, logaddexp, nan_to_num, rad2deg, sinc, sinh,
    tan,
)
from .ops.arrange import (
    block_diag, broadcast_shapes, broadcast_tensors, cartesian_prod, column_stack, combinations, cross, diag,
    diag_embed, diagonal, diff, dstack, flip, fliplr, flipud, hstack, meshgrid, movedim, movedim as moveaxis, ravel,
    repeat_interleave, roll, select, tile, trace, tril_indices, triu_indices, unflatten, vstack,
)
from .ops.einsum import einsum, tensordot
from .ops.sorting import (
    argsort, bincount, bucketize, histc, isin, kthvalue, median, mode, quantile, searchsorted, sort, topk, unique,
)
from .ops.scattering import (
    argwhere, index_add, index_copy, index_fill, index_put, masked_scatter, masked_select, scatter, scatter_reduce,
    take,
)
from .ops.inplace import clamp_
# isort: on

__all__ = [
    "abs", "absolute", "accelerator", "acos", "add", "addcdiv", "addcmul", "addmm", "all", "allclose", "amax",
    "amin", "amp", "any", "arange", "are_deterministic_algorithms_enabled", "argmax", "argmin", "argsort",
    "argwhere", "as_tensor", "asarray", "asin", "atan", "atan2", "autocast", "autograd", "backends",
    "BackendUnavailable", "baddbmm", "bernoulli", "bfloat16", "bincount", "bitwise_and", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag", "bmm", "bool", "BoolTensor",
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "bucketize", "ByteTensor", "cartesian_prod", "cat",
    "cdist", "ceil", "CharTensor", "chunk", "clamp", "clamp_", "clamp_max", "clamp_min", "clip", "clone",
    "column_stack", "combinations", "compile", "concat", "concatenate", "cos", "cosh", "count_nonzero", "cross",
    "cuda", "cumprod", "cumsum", "data", "default_generator", "deg2rad", "device", "diag", "diag_embed", "diagonal",
    "diff", "distributed", "div", "divide", "dot", "double", "DoubleTensor", "dstack", "dtype", "e", "einsum",
    "empty", "empty_like", "enable_grad", "eq", "equal", "erf", "exp", "exp2", "expm1", "eye", "finfo", "flatten",
    "flip", "fliplr", "flipud", "float", "float16", "float32", "float64", "FloatTensor", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "frac", "from_numpy", "full", "full_like", "gather", "ge", "Generator",
    "get_default_device", "get_default_dtype", "get_float32_matmul_precision", "get_num_threads", "get_rng_state",
    "greater", "greater_equal", "gt", "half", "HalfTensor", "heaviside", "histc", "hstack", "hypot", "iinfo",
    "index_add", "index_copy", "index_fill", "index_put", "index_select", "inf", "inference_mode", "initial_seed",
    "inner", "int", "int16", "int32", "int64", "int8", "IntTensor", "is_complex", "is_floating_point",
    "is_grad_enabled", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "jit", "kron", "kthvalue",
    "le", "lerp", "less", "less_equal", "linalg", "linspace", "load", "log", "log10", "log1p", "log2",
    "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logspace", "logsumexp",
    "long", "LongTensor", "lt", "manual_seed", "masked_fill", "masked_scatter", "masked_select", "matmul", "max",
    "maximum", "mean", "median", "meshgrid", "min", "minimum", "mm", "mode", "moveaxis", "movedim", "mul",
    "multinomial", "multiply", "mv", "nan", "nan_to_num", "nanmean", "nansum", "narrow", "ne", "neg", "negative",
    "nn", "no_grad", "nonzero", "norm", "normal", "not_equal", "numel", "ones", "ones_like", "Op", "optim", "outer",
    "permute", "pi", "positive", "pow", "prod", "promote_types", "quantile", "rad2deg", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "ravel", "reciprocal", "relu", "remainder", "repeat_interleave",
    "reshape", "result_type", "roll", "round", "RowSparse", "rsqrt", "save", "scatter", "scatter_add",
    "scatter_reduce", "searchsorted", "seed", "select", "set_default_device", "set_default_dtype",
    "set_float32_matmul_precision", "set_grad_enabled", "set_num_interop_threads", "set_num_threads",
    "set_printoptions", "set_rng_state", "short", "ShortTensor", "sigmoid", "sign", "sin", "sinc", "sinh", "Size",
    "softmax", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "std_mean", "sub", "subtract", "sum",
    "swapaxes", "swapdims", "t", "take", "take_along_dim", "tan", "tanh", "Tensor", "tensor", "tensordot", "tile",
    "topk", "trace", "transpose", "tril", "tril_indices", "triu", "triu_indices", "true_divide", "trunc", "uint16",
    "uint32", "uint64", "uint8", "unbind", "unflatten", "unique", "unsqueeze", "use_deterministic_algorithms",
    "utils", "var", "var_mean", "vdot", "version", "vstack", "where", "xpu", "zeros", "zeros_like",
]
# fmt: on


def _spell() -> None:
    from types import FunctionType

    from .spelling import as_torch_spells

    for name in __all__:
        if isinstance(f := globals().get(name), FunctionType):
            globals()[name] = as_torch_spells(f)


_spell()

if TYPE_CHECKING:
    from . import data, distributed, utils
    from .checkpoint import load, save
    from .explain import draw, explain

if not TYPE_CHECKING:  # a type checker shall report unknown names itself
    _later = {"checkpoint": ["load", "save"], "data": [], "distributed": [], "distributions": [], "explain": ["draw"]}
    _later |= {"testing": [], "utils": []}  # which the engine does not import
    __getattr__ = _missing(__name__, _later)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_later})

    for _room in (
        nn,
        nn.functional,
        nn.init,
        nn.utils,
        optim,
        optim.lr_scheduler,
        linalg,
        cuda,
        autograd,
        backends,
        amp,
    ):
        _room.__getattr__ = _missing(_room.__name__)
    cuda.amp = amp
    autograd.function = autograd.functional = autograd
