"""torch.autograd's names: grad, backward, no_grad and friends. The engine itself is core.py."""

from __future__ import annotations

from collections.abc import Sequence

from .core import grad
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from .tensor import Tensor


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients of several tensors to `.grad` of the leaves (torch.autograd.backward)."""
    from .core import backward_all

    ys = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    gs = [grad_tensors] * len(ys) if grad_tensors is None or isinstance(grad_tensors, Tensor) else list(grad_tensors)
    if len(gs) != len(ys):
        raise RuntimeError(f"backward: got {len(ys)} tensors and {len(gs)} gradients")
    backward_all(ys, gs, retain_graph, create_graph)


__all__ = ["backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]
