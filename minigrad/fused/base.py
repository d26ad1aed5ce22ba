"""Fused: a fast form that carries its definition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..backend import Array, quiet
from ..core import Op, grad
from ..grad_mode import mode
from ..ops.shape import Reshape
from ..tensor import Tensor, wrap


class Fused(Op):
    """An op with a fast backward on arrays, and a definition in ops for higher derivatives."""

    fresh = True
    definition: ClassVar[Callable[..., Tensor]]

    @quiet
    def backward(self, g: Tensor) -> Sequence[Tensor | None]:
        if mode.recording:
            return self.recorded_backward(g)
        return [None if gx is None else wrap(gx) for gx in self.fast_backward(g.array)]

    def fast_backward(self, g: Array) -> Sequence[Array | None]:
        raise NotImplementedError

    def recorded_backward(self, g: Tensor) -> Sequence[Tensor | None]:
        """The definition's gradient, recorded: a function of the inputs and of g."""
        # Apart, even if one tensor came in twice
        inputs: list[Any] = [x if x is None else Reshape.apply(x, to=x.array.shape) for x in self.inputs]
        y = type(self).definition(*inputs, **self.params())
        wanted = [x for i, x in enumerate(inputs) if self.needs(i)]
        gradients = iter(grad(y, wanted, g, create_graph=True, allow_unused=True))
        return [next(gradients) if self.needs(i) else None for i in range(len(inputs))]

    def params(self) -> dict[str, Any]:
        """What the definition takes besides the inputs."""
        return {}
