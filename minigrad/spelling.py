"""The names under which torch takes arguments.

Inside, operands are x and y, as in a formula. torch calls them `input` and `other`; it takes NumPy's `axis` and `keepdims`
for `dim` and `keepdim`; and what may be written as flip(x, 0, 1) may also be flip(x, dims=(0, 1)). The public functions
and methods that have such arguments are wrapped to do the same. Nobody else pays: operators, ops that call each other,
functions of one tensor alone such as exp(x), and views, for which a tenth of a microsecond would count, are as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from inspect import CO_VARARGS, unwrap
from typing import Any

_SPELLINGS = {"input": "x", "other": "y", "axis": "dim", "keepdims": "keepdim"}
_WORTH_IT = {"y", "mat2", "mask", "dim", "dims", "num_samples"}


@cache
def as_torch_spells(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, or where it has an argument that torch spells otherwise, f that takes torch's names too.

    Raises (when called):
        TypeError: an argument is given under two names, or `out` is, which no function here takes.
    """
    code = unwrap(f).__code__  # inspect.signature would take half of the time that importing minigrad does
    named = code.co_argcount + code.co_kwonlyargcount
    starred = code.co_varnames[named : named + 1] if code.co_flags & CO_VARARGS else ()
    own = frozenset(code.co_varnames[:named])
    if _WORTH_IT.isdisjoint({*own, *starred}):
        return f
    plain = code.co_varnames[code.co_posonlyargcount : code.co_argcount]
    several = starred[0] if starred else None
    known = {theirs: ours for theirs, ours in _SPELLINGS.items() if ours in own}
    if plain and "input" not in own:
        known.setdefault("input", plain[0])  # the p of multinomial(p, n)

    @wraps(f)
    def call(*args: Any, **options: Any) -> Any:
        if options and not own.issuperset(options):
            args, options = in_our_words(args, options)
        return f(*args, **options)

    def in_our_words(args: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        options: dict[str, Any] = {}
        if given.pop("out", None) is not None:
            raise TypeError(f"{f.__name__}: out= is not taken here; use the result, or copy it: y.copy_(result)")
        for name, value in given.items():
            ours = known.get(name, name)
            if ours in options or (ours != name and ours in given):
                raise TypeError(f"{f.__name__}: {name!r} is another name of {ours!r}, and both are given")
            options[ours] = value
        if several in options:
            before = [options.pop(name) for name in plain[len(args) :] if name in options]
            args = (*args, *before, options.pop(several))
        return args, options

    return call
