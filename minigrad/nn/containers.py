"""Modules made of modules, and of parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..tensor import Tensor
from .module import Module, Parameter


class _Numbered(Module):
    """Modules or parameters in order, as the attributes "0", "1", ..."""

    def _list(self) -> list[Any]:
        return [module for _, module in self._own_modules()]

    def _replace(self, items: Iterable[Any]) -> None:
        """Hold these instead: the attributes are named anew."""
        items = list(items)
        for name in self._names():
            delattr(self, name)
        for i, item in enumerate(items):
            self._put(str(i), item)

    def _put(self, name: str, item: Any) -> None:
        self.add_module(name, item)

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list())

    def __getitem__(self, i: Any) -> Any:
        part = self._list()[i]
        return self._of(part) if isinstance(i, slice) else part

    def __setitem__(self, i: int, item: Any) -> None:
        self._put(self._names()[i], item)

    def __delitem__(self, i: int | slice) -> None:
        items = self._list()
        del items[i]
        self._replace(items)

    def __add__(self, other: Iterable[Any]) -> Any:
        return self._of([*self, *other])

    def __iadd__(self, other: Iterable[Any]) -> Any:
        return self.extend(other)

    def _names(self) -> list[str]:
        return [name for name, _ in self._own_modules()]

    def _of(self, items: list[Any]) -> Any:
        return type(self)(*[items])

    def append(self, item: Any) -> Any:
        """Add one at the end; returns self."""
        self._put(str(len(self)), item)
        return self

    def extend(self, items: Iterable[Any]) -> Any:
        """Add several at the end; returns self."""
        for item in list(items):
            self.append(item)
        return self

    def insert(self, index: int, item: Any) -> None:
        """Put one before that index."""
        items = self._list()
        items.insert(index, item)
        self._replace(items)

    def pop(self, index: int = -1) -> Any:
        """Take one out."""
        item = self[index]
        del self[index]
        return item


class Sequential(_Numbered):
    """Each module applied to the result of the one before (torch.nn.Sequential)."""

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], Mapping) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), module)

    def _of(self, items: list[Any]) -> Sequential:
        return type(self)(*items)

    def __getitem__(self, i: Any) -> Any:
        """A module, or for a slice those modules under the names that they have here."""
        return type(self)(dict(list(self._own_modules())[i])) if isinstance(i, slice) else super().__getitem__(i)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules whose parameters are found (torch.nn.ModuleList)."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def __repr__(self) -> str:
        """As torch: neighbours that print alike are printed once, with their count."""
        runs = [(text, list(group)) for text, group in groupby(enumerate(map(repr, self)), key=itemgetter(1))]
        lines = []
        for text, group in runs:
            first, last = group[0][0], group[-1][0]
            head = f"({first})" if first == last else f"({first}-{last})"
            count = "" if first == last else f"{len(group)} x "
            lines.append(f"\n  {head}: {count}" + text.replace("\n", "\n  "))
        return f"{type(self).__name__}({''.join(lines)}" + ("\n)" if lines else ")")


class _Named(Module):
    """Modules or parameters by name."""

    def __init__(self, items: Any = None):
        super().__init__()
        self.update(items or {})

    def _dict(self) -> dict[str, Any]:
        return dict(self._own_modules())

    def __getitem__(self, name: str) -> Any:
        return self._dict()[name]

    def __setitem__(self, name: str, item: Any) -> None:
        self.add_module(name, item)

    def __delitem__(self, name: str) -> None:
        self[name]  # KeyError if there is none
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def __contains__(self, name: str) -> bool:
        return name in self._dict()

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._dict().keys()

    def values(self) -> Iterable[Any]:
        """What is under them."""
        return self._dict().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The pairs of both."""
        return self._dict().items()

    def update(self, items: Any) -> None:
        """Add those of a mapping, or of (name, item) pairs; what has the same name is replaced."""
        for name, item in items.items() if hasattr(items, "items") else items:
            self[name] = item

    def pop(self, name: str) -> Any:
        """Take one out."""
        item = self[name]
        del self[name]
        return item

    def clear(self) -> None:
        """Take all out."""
        for name in list(self):
            del self[name]


class ModuleDict(_Named):
    """Modules by name, whose parameters are found (torch.nn.ModuleDict)."""


class ParameterList(_Numbered):
    """A list of parameters that are found (torch.nn.ParameterList); tensors become parameters."""

    def __init__(self, values: Iterable[Tensor] | None = None):
        super().__init__()
        self.extend(values or ())

    def _list(self) -> list[Any]:
        return [p for _, p in self._own_parameters()]

    def _names(self) -> list[str]:
        return list(self._parameter_names)

    def _put(self, name: str, item: Any) -> None:
        setattr(self, name, _parameter(item))

    def extra_repr(self) -> str:
        return "\n".join(f"  ({i}): Parameter containing: [{p.dtype} of size {_size(p)}]" for i, p in enumerate(self))


class ParameterDict(_Named):
    """Parameters by name that are found (torch.nn.ParameterDict); tensors become parameters."""

    def _dict(self) -> dict[str, Any]:
        return dict(self._own_parameters())

    def __setitem__(self, name: str, item: Any) -> None:
        setattr(self, name, _parameter(item))

    def update(self, items: Any) -> None:
        """Add those of a mapping, in the order of their names unless it is an OrderedDict, or of (name, item) pairs."""
        plain = isinstance(items, Mapping) and not isinstance(items, OrderedDict)
        super().update(sorted(items.items()) if plain else items)

    def extra_repr(self) -> str:
        kinds = {"float16": "Half", "float32": "Float", "float64": "Double"}
        return "\n".join(
            f"  ({name}): Parameter containing: [torch.{kinds.get(p.dtype.name, p.dtype.name)}Tensor of size {_size(p)}]"
            for name, p in self.items()
        )


def _parameter(x: Any) -> Parameter:
    if not isinstance(x, Tensor):
        raise TypeError(f"expected a Tensor or a Parameter, got {type(x).__name__}")
    return x if isinstance(x, Parameter) else Parameter(x)


def _size(p: Tensor) -> str:
    return "x".join(map(str, p.shape))
