"""Every method of Tensor that is an op, on one page.

A method and a function of the same name are the same function: x.exp() is exp(x). Type checkers and editors read this class as
a base of Tensor; at run time its contents are put into Tensor itself by the last line.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np

from . import core, dtypes, fused
from .ops import (
    arrange,
    convert,
    creation,
    elementwise,
    functions,
    indexing,
    inplace,
    linalg,
    reduction,
    scattering,
    selection,
    shape,
    sorting,
)
from .ops.convert import cast
from .spelling import as_torch_spells
from .tensor import Tensor


def _reflected(f: Any, label: str = "") -> Any:
    def method(x: Tensor, y: Any) -> Tensor:
        z = f(y, x)
        if label and z.op is not None:
            z.op.label = label
        return z

    return method


def _comparable(f: Any) -> Any:
    """== and != of anything: a tensor is not equal to what is no number, as in `token == None` or `x in [None, "end"]`."""

    def method(x: Tensor, y: Any) -> Any:
        return f(x, y) if isinstance(y, Tensor | bool | int | float | np.generic | np.ndarray) else NotImplemented

    return method


def _divides(x: Tensor, y: Any) -> Tensor:
    """y / x, which torch computes as x.reciprocal() * y."""
    return elementwise.reciprocal(x) * y


def _to(dtype: dtypes.dtype) -> Any:
    def method(x: Tensor) -> Tensor:
        return cast(x, dtype.numpy)

    method.__name__ = method.__qualname__ = dtype.name
    method.__doc__ = f"This tensor as {dtype.name}; itself if it is."
    return method


class TensorMethods:
    # arithmetic
    add = __add__ = __radd__ = elementwise.add
    sub = subtract = __sub__ = elementwise.sub
    mul = multiply = __mul__ = __rmul__ = elementwise.mul
    div = divide = true_divide = __truediv__ = elementwise.div
    floor_divide = __floordiv__ = elementwise.floor_divide
    remainder = __mod__ = elementwise.remainder
    pow = __pow__ = elementwise.pow
    neg = negative = __neg__ = elementwise.neg
    positive = __pos__ = elementwise.positive
    reciprocal = elementwise.reciprocal
    __rsub__ = _reflected(elementwise.sub, "RsubBackward1")
    __rtruediv__ = _divides
    __rfloordiv__ = _reflected(elementwise.floor_divide)
    __rmod__ = _reflected(elementwise.remainder)
    __rpow__ = _reflected(elementwise.pow)
    matmul = __matmul__ = linalg.matmul
    mm = linalg.mm
    bmm = linalg.bmm
    dot = linalg.dot
    outer = linalg.outer
    mv = linalg.mv
    vdot = linalg.vdot
    inner = linalg.inner
    kron = linalg.kron
    addmm = linalg.addmm
    baddbmm = linalg.baddbmm
    # functions of one number
    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    square = elementwise.square
    tanh = elementwise.tanh
    sigmoid = elementwise.sigmoid
    sin = elementwise.sin
    cos = elementwise.cos
    relu = elementwise.relu
    abs = absolute = __abs__ = elementwise.abs
    sign = elementwise.sign
    floor = elementwise.floor
    ceil = elementwise.ceil
    trunc = elementwise.trunc
    round = elementwise.round
    clamp = clip = selection.clamp
    log1p = functions.log1p
    expm1 = functions.expm1
    log2 = functions.log2
    log10 = functions.log10
    exp2 = functions.exp2
    erf = functions.erf
    tan = functions.tan
    asin = functions.asin
    acos = functions.acos
    atan = functions.atan
    sinh = functions.sinh
    cosh = functions.cosh
    atan2 = functions.atan2
    logaddexp = functions.logaddexp
    fmod = functions.fmod
    lerp = functions.lerp
    addcmul = functions.addcmul
    addcdiv = functions.addcdiv
    nan_to_num = functions.nan_to_num
    hypot = functions.hypot
    frac = functions.frac
    sinc = functions.sinc
    deg2rad = functions.deg2rad
    rad2deg = functions.rad2deg
    heaviside = functions.heaviside
    fmax = functions.fmax
    fmin = functions.fmin
    clamp_min = functions.clamp_min
    clamp_max = functions.clamp_max
    softmax = fused.softmax
    log_softmax = fused.log_softmax
    # comparison and selection
    eq = selection.eq
    ne = not_equal = selection.ne
    __eq__ = _comparable(selection.eq)
    __ne__ = _comparable(selection.ne)
    lt = less = __lt__ = selection.lt
    le = less_equal = __le__ = selection.le
    gt = greater = __gt__ = selection.gt
    ge = greater_equal = __ge__ = selection.ge
    maximum = selection.maximum
    minimum = selection.minimum
    masked_fill = selection.masked_fill
    logical_not = selection.logical_not
    logical_and = selection.logical_and
    logical_or = selection.logical_or
    logical_xor = selection.logical_xor
    bitwise_not = __invert__ = selection.bitwise_not
    bitwise_and = __and__ = __rand__ = selection.bitwise_and
    bitwise_or = __or__ = __ror__ = selection.bitwise_or
    bitwise_xor = __xor__ = __rxor__ = selection.bitwise_xor
    bitwise_left_shift = __lshift__ = selection.bitwise_left_shift
    bitwise_right_shift = __rshift__ = selection.bitwise_right_shift
    isnan = selection.isnan
    isinf = selection.isinf
    isfinite = selection.isfinite
    allclose = reduction.allclose
    equal = reduction.equal
    isclose = functions.isclose
    # reductions
    sum = reduction.sum
    mean = reduction.mean
    var = reduction.var
    std = reduction.std
    norm = reduction.norm
    nansum = reduction.nansum
    nanmean = reduction.nanmean
    max = reduction.max
    min = reduction.min
    amax = reduction.amax
    amin = reduction.amin
    argmax = reduction.argmax
    argmin = reduction.argmin
    any = reduction.any
    all = reduction.all
    logsumexp = reduction.logsumexp
    prod = reduction.prod
    cumsum = reduction.cumsum
    cumprod = reduction.cumprod
    count_nonzero = reduction.count_nonzero
    # sorted
    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk
    median = sorting.median
    kthvalue = sorting.kthvalue
    mode = sorting.mode
    quantile = sorting.quantile
    histc = sorting.histc
    unique = sorting.unique
    bincount = sorting.bincount
    # shape
    clone = shape.clone
    contiguous = shape.contiguous
    reshape = shape.reshape
    view = shape.view
    view_as = shape.view_as
    flatten = shape.flatten
    ravel = arrange.ravel
    squeeze = shape.squeeze
    unsqueeze = shape.unsqueeze
    transpose = swapaxes = swapdims = shape.transpose
    permute = shape.permute
    t = shape.t
    T = property(shape.reversed_axes)
    mT = property(shape.matrix_transpose)
    expand = shape.expand
    expand_as = shape.expand_as
    broadcast_to = shape.broadcast_to
    repeat = shape.repeat
    narrow = shape.narrow
    split = shape.split
    chunk = shape.chunk
    unbind = shape.unbind
    flip = arrange.flip
    fliplr = arrange.fliplr
    flipud = arrange.flipud
    roll = arrange.roll
    select = arrange.select
    unflatten = arrange.unflatten
    tile = arrange.tile
    repeat_interleave = arrange.repeat_interleave
    unfold = arrange.unfold
    diagonal = arrange.diagonal
    diag = arrange.diag
    diag_embed = arrange.diag_embed
    trace = arrange.trace
    movedim = moveaxis = arrange.movedim
    reshape_as = shape.reshape_as
    sum_to_size = shape.sum_to_size
    diff = arrange.diff
    cross = arrange.cross
    # indexing
    __getitem__ = indexing.getitem
    __setitem__ = indexing.setitem
    gather = indexing.gather
    scatter_add = indexing.scatter_add
    index_select = indexing.index_select
    take_along_dim = indexing.take_along_dim
    tril = selection.tril
    triu = selection.triu
    nonzero = indexing.nonzero
    argwhere = scattering.argwhere
    scatter = scattering.scatter
    index_add = scattering.index_add
    index_copy = scattering.index_copy
    index_fill = scattering.index_fill
    masked_select = scattering.masked_select
    masked_scatter = scattering.masked_scatter
    take = scattering.take
    scatter_reduce = scattering.scatter_reduce
    index_put = scattering.index_put
    # random
    bernoulli = creation.bernoulli
    multinomial = creation.multinomial
    # new tensors of this one's type
    new_tensor = creation.new_tensor
    new_zeros = creation.new_zeros
    new_ones = creation.new_ones
    new_empty = creation.new_empty
    new_full = creation.new_full
    # type and device
    to = convert.to
    type = creation.as_type
    float = _to(dtypes.float32)
    double = _to(dtypes.float64)
    half = _to(dtypes.float16)
    long = _to(dtypes.int64)
    int = _to(dtypes.int32)
    short = _to(dtypes.int16)
    char = _to(dtypes.int8)
    byte = _to(dtypes.uint8)
    bool = _to(dtypes.bool)
    # in place
    add_ = __iadd__ = inplace.add_
    sub_ = subtract_ = __isub__ = inplace.sub_
    mul_ = multiply_ = __imul__ = inplace.mul_
    div_ = divide_ = true_divide_ = __itruediv__ = inplace.div_
    pow_ = __ipow__ = inplace.pow_
    neg_ = negative_ = inplace.neg_
    exp_ = inplace.exp_
    sqrt_ = inplace.sqrt_
    abs_ = absolute_ = inplace.abs_
    relu_ = inplace.relu_
    tanh_ = inplace.tanh_
    sigmoid_ = inplace.sigmoid_
    clamp_ = clip_ = inplace.clamp_
    masked_fill_ = inplace.masked_fill_
    tril_ = inplace.tril_
    triu_ = inplace.triu_
    scatter_add_ = inplace.scatter_add_
    log_ = inplace.log_
    rsqrt_ = inplace.rsqrt_
    reciprocal_ = inplace.reciprocal_
    square_ = inplace.square_
    sin_ = inplace.sin_
    cos_ = inplace.cos_
    floor_ = inplace.floor_
    ceil_ = inplace.ceil_
    round_ = inplace.round_
    remainder_ = inplace.remainder_
    addcmul_ = inplace.addcmul_
    addcdiv_ = inplace.addcdiv_
    lerp_ = inplace.lerp_
    clamp_min_ = inplace.clamp_min_
    clamp_max_ = inplace.clamp_max_
    nan_to_num_ = inplace.nan_to_num_
    scatter_ = inplace.scatter_
    index_add_ = inplace.index_add_
    index_copy_ = inplace.index_copy_
    index_fill_ = inplace.index_fill_
    masked_scatter_ = inplace.masked_scatter_
    fill_diagonal_ = inplace.fill_diagonal_
    scatter_reduce_ = inplace.scatter_reduce_
    index_put_ = inplace.index_put_
    sign_ = inplace.sign_
    trunc_ = inplace.trunc_
    floor_divide_ = inplace.floor_divide_
    log1p_ = inplace.log1p_
    log2_ = inplace.log2_
    log10_ = inplace.log10_
    expm1_ = inplace.expm1_
    exp2_ = inplace.exp2_
    erf_ = inplace.erf_
    fmod_ = inplace.fmod_
    cumsum_ = inplace.cumsum_
    cumprod_ = inplace.cumprod_
    logical_not_ = inplace.logical_not_
    logical_and_ = inplace.logical_and_
    logical_or_ = inplace.logical_or_
    logical_xor_ = inplace.logical_xor_
    bitwise_not_ = inplace.bitwise_not_
    bitwise_and_ = inplace.bitwise_and_
    bitwise_or_ = inplace.bitwise_or_
    bitwise_xor_ = inplace.bitwise_xor_
    squeeze_ = inplace.squeeze_
    unsqueeze_ = inplace.unsqueeze_
    t_ = inplace.t_
    transpose_ = swapaxes_ = swapdims_ = inplace.transpose_
    copy_ = inplace.copy_
    fill_ = inplace.fill_
    zero_ = inplace.zero_
    normal_ = inplace.normal_
    uniform_ = inplace.uniform_
    bernoulli_ = inplace.bernoulli_
    exponential_ = inplace.exponential_
    random_ = inplace.random_
    # gradients
    backward = core.backward
    retain_grad = core.retain_grad
    register_hook = core.register_hook
    register_post_accumulate_grad_hook = core.register_post_accumulate_grad_hook

    def where(x: Tensor, condition: Tensor, other: Any) -> Tensor:  # type: ignore[misc]
        """x where condition holds, else other."""
        return selection.where(condition, x, other)

    def cpu(x: Tensor) -> Tensor:  # type: ignore[misc]
        """This tensor on the CPU; itself if it is."""
        return convert.to(x, device="cpu")

    def cuda(x: Tensor, device: Any = "cuda") -> Tensor:  # type: ignore[misc]
        """This tensor on a GPU; itself if it is."""
        return convert.to(x, device=device)

    def type_as(x: Tensor, other: Tensor) -> Tensor:  # type: ignore[misc]
        """This tensor in other's dtype."""
        return cast(x, other.array.dtype)


def _install() -> None:
    ours = {"__module__", "__dict__", "__weakref__", "__doc__", "__hash__", "__firstlineno__", "__static_attributes__"}
    for name, value in vars(TensorMethods).items():
        if name not in ours:
            public = isinstance(value, FunctionType) and not name.startswith("__")
            setattr(Tensor, name, as_torch_spells(value) if public else value)


_install()
Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]  # numpy_array * tensor asks the tensor first
