"""Convolution and pooling over one or two axes, (N, C, L) or (N, C, H, W): windows, and a product or a reduction of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..backend import namespace, shares_memory
from ..ops.arrange import padded
from ..ops.creation import empty
from ..ops.linalg import matmul
from ..ops.reduction import max as largest
from ..ops.reduction import mean
from ..ops.shape import Reshape, Slice, clone, named, squeeze, unsqueeze
from ..ops.windows import OverlapAdd, Windows, count
from ..tensor import Tensor, wrap
from . import init
from .module import Module, Parameter

Sizes = int | Sequence[int]


def _each(x: Sizes, dims: int) -> tuple[int, ...]:
    return (x,) * dims if isinstance(x, int) else tuple(x) * (dims if len(x) == 1 else 1)


def _padded(x: Tensor, ends: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    return padded(x, [(0, 0), (0, 0), *ends], value) if any(map(any, ends)) else x


def _windows(name: str, x: Tensor, size: Sizes, stride: Sizes, dilation: Sizes, dims: int) -> Tensor:
    """(N, C, ...) as (N, C, K, ...): the elements of each window on axis 2."""
    k, s, d = (_each(n, dims) for n in (size, stride, dilation))
    if min(s) <= 0 or min(d) <= 0 or min(k) <= 0:
        raise RuntimeError(f"{name}: non-positive stride, dilation or kernel size is not supported: {s}, {d}, {k}")
    counts = tuple(map(count, x.array.shape[2:], k, s, d))
    if min(counts) <= 0:
        raise RuntimeError(
            f"{name}: Calculated padded input size per channel: {x.array.shape[2:]}. Kernel size: {k}, dilated by {d}. "
            f"Kernel size can't be greater than actual input size"
        )
    y = Windows.apply(x, size=k, stride=s, dilation=d)
    return Reshape.apply(y, to=(*x.array.shape[:2], math.prod(k), *counts))


def _batched(name: str, x: Tensor, dims: int) -> Tensor:
    """x with its batch axis, of one if it has none."""
    if x.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(
            f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {name}, but got input of size: {tuple(x.shape)}"
        )
    return x if x.ndim == dims + 2 else unsqueeze(x, 0)


# ------------------------------------------------------------------------------------------------------------ convolution


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes | str,
    dilation: Sizes,
    groups: int,
    dims: int,
) -> Tensor:
    """y[o] = Σ w[o, c, k] x[c, windows of k] + b[o]: one product of matrices per sample and group."""
    name = f"conv{dims}d"
    batch = _batched(name, x, dims)
    (n, channels), (out, each, *size) = batch.array.shape[:2], weight.array.shape
    if weight.ndim != dims + 2 or channels != each * groups or out % groups:
        raise RuntimeError(
            f"{name}: Given groups={groups}, weight of size {list(weight.shape)}, expected input {list(x.shape)} to have "
            f"{each * groups} channels, and {out} channels to be divisible by groups, but got {channels} channels"
        )
    if bias is not None and bias.array.shape != (out,):
        raise RuntimeError(f"{name}: expected bias to be 1-dimensional with {out} elements, got {tuple(bias.shape)}")
    if isinstance(padding, str):
        if padding not in ("valid", "same") or (padding == "same" and set(_each(stride, dims)) != {1}):
            raise RuntimeError(
                f"{name}: padding should be numbers, 'valid', or 'same' where the stride is 1, got {padding!r}, stride {stride}"
            )
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(_each(dilation, dims), size, strict=True)]
        ends = [(n // 2, n - n // 2) for n in total]
    else:
        ends = [(p, p) for p in _each(padding, dims)]
    if min(map(min, ends)) < 0:
        raise RuntimeError(f"{name}: negative padding is not supported, got {padding}")
    windows = _windows(name, _padded(batch, ends), size, stride, dilation, dims)
    shape, terms = windows.array.shape[3:], each * math.prod(size)
    columns = Reshape.apply(windows, to=(n, groups, terms, math.prod(shape)))
    y = matmul(Reshape.apply(weight, to=(groups, out // groups, terms)), columns)
    y = Reshape.apply(y, to=(n, out, *shape))
    if bias is not None:
        y = y + Reshape.apply(bias, to=(out, *(1,) * dims))
    return named("Convolution", y) if batch is x else squeeze(y, 0)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation along the last axis (torch.nn.functional.conv1d).

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C / groups, K).
        bias: (O,).
        padding: zeros at both ends; "same" for as many as keep the length.

    Raises:
        RuntimeError: sizes that do not fit.
    """
    return _conv(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images (N, C, H, W) with weight (O, C / groups, K, K) (torch.nn.functional.conv2d); else as conv1d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 2)


class Conv1d(Module):
    """functional.conv1d with its weight and bias, (N, C, L) to (N, O, L') (torch.nn.Conv1d).

    Both are drawn uniform on ±1/√fan_in, weight (O, C / groups, K) first.

    Raises:
        ValueError: channels that are no multiple of groups.
        NotImplementedError: a padding_mode other than "zeros".
    """

    dims: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels {in_channels} and out_channels {out_channels} must be divisible by groups {groups}"
            )
        if padding_mode != "zeros":
            raise NotImplementedError(
                f"padding_mode {padding_mode!r} is not supported: use functional.pad before the layer"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.dilation = (_each(n, self.dims) for n in (kernel_size, stride, dilation))
        self.padding = padding if isinstance(padding, str) else _each(padding, self.dims)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        self.bias: Parameter | None
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None and fan_in:
            init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def forward(self, input: Tensor) -> Tensor:
        options = (self.stride, self.padding, self.dilation, self.groups, self.dims)
        return _conv(input, self.weight, self.bias, *options)

    def extra_repr(self) -> str:
        told = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, default in ("padding", (0,)), ("dilation", (1,)):
            value = getattr(self, name)
            told += f", {name}={value}" * (value != default * self.dims)
        return told + f", groups={self.groups}" * (self.groups != 1) + ", bias=False" * (self.bias is None)


class Conv2d(Conv1d):
    """functional.conv2d with its weight and bias, (N, C, H, W) to (N, O, H', W') (torch.nn.Conv2d); else as Conv1d."""

    dims = 2


# ---------------------------------------------------------------------------------------------------------------- pooling


def _pool(
    name: str, x: Tensor, size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool, dims: int
) -> Tensor:
    """The largest element or the mean of each window."""
    if ceil_mode:
        raise NotImplementedError(f"{name}: ceil_mode is not supported: functional.pad the input")
    batch, most = _batched(name, x, dims), name.startswith("max")
    k, p = _each(size, dims), _each(padding, dims)
    if any(not 0 <= 2 * b <= a for a, b in zip(k, p, strict=True)):
        raise RuntimeError(
            f"{name}: pad should be at most half of kernel size, but got pad={padding}, kernel_size={size}"
        )
    ends, stride = [(n, n) for n in p], k if stride is None else stride
    windows = _windows(name, _padded(batch, ends, -math.inf if most else 0.0), k, stride, dilation, dims)
    y = largest(windows, 2).values if most else mean(windows, 2)
    y = y if batch is x else squeeze(y, 0)
    if dims == 1:
        return named("Squeeze", y, variant=1)
    return named("MaxPool2DWithIndices" if most else "AvgPool2D", y)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest of each window of (N, C, L) or (C, L) (torch.nn.functional.max_pool1d); stride: by default kernel_size."""
    return _pool("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, 1)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest of each window of (N, C, H, W) or (C, H, W) (torch.nn.functional.max_pool2d)."""
    return _pool("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, 2)


def avg_pool1d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False
) -> Tensor:
    """The mean of each window, zeros of the padding included (torch.nn.functional.avg_pool1d)."""
    return _pool("avg_pool1d", input, kernel_size, stride, padding, 1, ceil_mode, 1)


def avg_pool2d(
    input: Tensor, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False
) -> Tensor:
    """The mean of each window, zeros of the padding included (torch.nn.functional.avg_pool2d)."""
    return _pool("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode, 2)


class MaxPool1d(Module):
    """functional.max_pool1d with its options kept (torch.nn.MaxPool1d)."""

    name: ClassVar[str] = "max_pool1d"
    dims: ClassVar[int] = 1

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        options = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return _pool(self.name, input, *options, self.dims)

    def extra_repr(self) -> str:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class MaxPool2d(MaxPool1d):
    """functional.max_pool2d with its options kept (torch.nn.MaxPool2d)."""

    name, dims = "max_pool2d", 2


class AvgPool2d(MaxPool1d):
    """functional.avg_pool2d with its options kept (torch.nn.AvgPool2d)."""

    name, dims = "avg_pool2d", 2

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False):
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(AvgPool2d):
    """functional.avg_pool1d with its options kept (torch.nn.AvgPool1d)."""

    name, dims = "avg_pool1d", 1

    def extra_repr(self) -> str:
        sizes = {name: _each(getattr(self, name), 1) for name in ("kernel_size", "stride", "padding")}
        return ", ".join(f"{name}={value}" for name, value in sizes.items())


def _adaptive(x: Tensor, output_size: Any, dims: int) -> Tensor:
    """Means of as many parts of each of the last axes, as even as can be: a product with a matrix of shares per axis."""
    batch, xp = _batched(f"adaptive_avg_pool{dims}d", x, dims), namespace(x.array)
    for axis, parts in zip(
        range(-dims, 0), (output_size,) * dims if isinstance(output_size, int) else output_size, strict=True
    ):
        n = batch.array.shape[axis]
        parts = n if parts is None else parts
        start, end = (xp.arange(parts) * n) // parts, -(-(xp.arange(1, parts + 1) * n) // parts)
        at = xp.arange(n)[:, None]
        shares = ((at >= start) & (at < end)) / (end - start)
        batch = batch.movedim(axis, -1) @ wrap(shares.astype(x.array.dtype))
        batch = batch.movedim(-1, axis).contiguous()
    y = batch if x.ndim == dims + 2 else squeeze(batch, 0)
    return named("Squeeze", y, variant=1) if dims == 1 else named("AdaptiveAvgPool2D", y)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, L) to (N, C, output_size) by means of neighbours (torch.nn.functional.adaptive_avg_pool1d)."""
    return _adaptive(input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, H, W) to (N, C, *output_size) by means of neighbours; None keeps a size (torch.nn.functional.adaptive_avg_pool2d)."""
    return _adaptive(input, output_size, 2)


class AdaptiveAvgPool1d(Module):
    """functional.adaptive_avg_pool1d with its size kept (torch.nn.AdaptiveAvgPool1d)."""

    dims: ClassVar[int] = 1

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return _adaptive(input, self.output_size, self.dims)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(AdaptiveAvgPool1d):
    """functional.adaptive_avg_pool2d with its size kept (torch.nn.AdaptiveAvgPool2d)."""

    dims = 2


# ------------------------------------------------------------------------------------------------------- windows themselves


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """The windows of images (N, C, H, W) as columns (N, C K K, windows) (torch.nn.functional.unfold)."""
    batch = _batched("unfold", input, 2)
    y = _windows("unfold", _padded(batch, [(p, p) for p in _each(padding, 2)]), kernel_size, stride, dilation, 2)
    n, channels, size, *counts = y.array.shape
    y = Reshape.apply(y, to=(n, channels * size, math.prod(counts))[0 if batch is input else 1 :])
    if shares_memory(input.array, y.array):  # where windows do not overlap
        y = clone(y)
    return named("Im2Col", y)


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Columns (N, C K K, windows) added up as images (N, C, *output_size): the transpose of unfold (torch.nn.functional.fold).

    Raises:
        RuntimeError: not as many columns, or rows, as output_size and kernel_size ask for.
    """
    out, k, d, p, s = (_each(n, 2) for n in (output_size, kernel_size, dilation, padding, stride))
    batch = input if input.ndim == 3 else unsqueeze(input, 0)
    padded = tuple(n + 2 * m for n, m in zip(out, p, strict=True))
    counts, (n, rows, columns) = tuple(map(count, padded, k, s, d)), batch.array.shape
    if rows % math.prod(k) or columns != math.prod(counts):
        raise RuntimeError(
            f"fold: expected input (N, C {math.prod(k)}, {math.prod(counts)}) for output_size {out} and kernel_size {k}, "
            f"got {tuple(input.shape)}"
        )
    channels = rows // math.prod(k)
    y = Reshape.apply(batch, to=(n, channels, *k, *counts))
    y = OverlapAdd.apply(y, to=(n, channels, *padded), size=k, stride=s, dilation=d)
    inside = tuple(slice(m, m + size) for size, m in zip(out, p, strict=True))
    y = Slice.apply(y, key=(slice(None), slice(None), *inside))
    return named("Col2Im", y if input.ndim == 3 else Reshape.apply(y, to=(channels, *out)))
