"""Normalisation of channels, (N, C, ...), as modules. That of the last axes is in layers.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..ops.creation import ones, tensor, zeros
from ..tensor import Tensor
from . import functional as F
from .layers import Affine


class BatchNorm1d(Affine):
    """(x - mean) / √(var + eps) · weight + bias of each channel (torch.nn.BatchNorm1d; Ioffe and Szegedy, 2015).

    In training mean and variance are the batch's, and running_mean and running_var follow them; afterwards they are these.

    Args:
        num_features: C, of inputs (N, C) or (N, C, L).
        momentum: the share of the batch in the running statistics; None for the mean over all batches.
        affine: with a weight, which starts as ones, and, if bias, a bias, which starts as zeros.
        track_running_stats: False for the batch's statistics at all times.

    Raises:
        ValueError: input of another number of dimensions, or training on one number per channel.
    """

    dims: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._add_affine((num_features,), affine, bias, device, dtype)
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        statistics = {
            "running_mean": lambda: zeros(num_features, device=device, dtype=dtype),
            "running_var": lambda: ones(num_features, device=device, dtype=dtype),
            "num_batches_tracked": lambda: tensor(0, device=device),
        }
        for name, make in statistics.items():
            self.register_buffer(name, make() if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the batches seen so far."""
        for name, start in ("running_mean", 0), ("running_var", 1), ("num_batches_tracked", 0):
            if self.track_running_stats:
                getattr(self, name).fill_(start)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.dims:
            raise ValueError(f"expected {' or '.join(f'{n}D' for n in self.dims)} input (got {input.ndim}D input)")
        momentum, mean, var = self.momentum, self.running_mean, self.running_var
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            momentum = 1 / int(self.num_batches_tracked) if momentum is None else momentum
        training = self.training or mean is None
        if self.training and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(input, mean, var, self.weight, self.bias, training, momentum or 0.0, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d of images (N, C, H, W) (torch.nn.BatchNorm2d)."""

    dims = (4,)


class GroupNorm(Affine):
    """(x - mean) / √(var + eps) · weight + bias over groups of channels (torch.nn.GroupNorm; Wu and He, 2018).

    Args:
        num_groups: into how many groups of neighbours the channels are divided.
        num_channels: C, of inputs (N, C, ...).
        affine: with a weight, which starts as ones, and, if bias, a bias, which starts as zeros; both (C,).

    Raises:
        ValueError: num_channels is no multiple of num_groups.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._add_affine((num_channels,), affine, bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"
