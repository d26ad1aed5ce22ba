"""A kit for proving gradients, minigrad's and your own.

gradcheck, gradgradcheck     a backward against finite differences, first and second order
check_adjoint                a linear op against its transpose, exactly
check_against_torch          values and gradients against torch's; needs torch
assert_close, ulp_distance   two tensors side by side
tensors, shapes, broadcastable_shapes, indices, integer_valued_floats, layouts, dims
                             strategies for hypothesis's @given; need hypothesis
programs, check_program      whole random programs, run in minigrad and in torch; need both

The engine never imports this package, and it imports hypothesis and torch only when a name that needs them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .compare import assert_close, ulp_distance
from .numerical import check_adjoint, gradcheck, gradgradcheck

if TYPE_CHECKING:
    from .oracle import check_against_torch
    from .random_programs import Program, check_program, programs
    from .strategies import broadcastable_shapes, dims, indices, integer_valued_floats, layouts, shapes, tensors

_LATER = {
    "oracle": ["check_against_torch"],
    "strategies": ["tensors", "shapes", "broadcastable_shapes", "indices", "integer_valued_floats", "layouts", "dims"],
    "random_programs": ["programs", "Program", "check_program"],
}


def __getattr__(name: str) -> Any:
    for room, names in _LATER.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"minigrad.testing has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Program",
    "assert_close",
    "broadcastable_shapes",
    "check_adjoint",
    "check_against_torch",
    "check_program",
    "dims",
    "gradcheck",
    "gradgradcheck",
    "indices",
    "integer_valued_floats",
    "layouts",
    "programs",
    "shapes",
    "tensors",
    "ulp_distance",
]
