"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from .module import Module


class _Numbered(Module):
    """Modules in order, as the attributes "0", "1", ..."""

    def _list(self) -> list[Module]:
        return [module for _, module in self._own_modules()]

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())

    def __getitem__(self, i: Any) -> Any:
        part = self._list()[i]
        return self._of(part) if isinstance(i, slice) else part

    def __setitem__(self, i: int, module: Module) -> None:
        setattr(self, str(range(len(self))[i]), module)

    @classmethod
    def _of(cls, modules: list[Module]) -> _Numbered:
        raise NotImplementedError

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self


class Sequential(_Numbered):
    """Each module applied to the result of the one before (torch.nn.Sequential)."""

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], Mapping) else enumerate(modules)
        for name, module in named:
            self.add_module(str(name), module)

    @classmethod
    def _of(cls, modules: list[Module]) -> Sequential:
        return cls(*modules)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules whose parameters are found (torch.nn.ModuleList)."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    @classmethod
    def _of(cls, modules: list[Module]) -> ModuleList:
        return cls(modules)

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

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self


class ModuleDict(Module):
    """Modules by name, whose parameters are found (torch.nn.ModuleDict)."""

    def __init__(self, modules: Mapping[str, Module] | None = None):
        super().__init__()
        for name, module in (modules or {}).items():
            self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        return dict(self._own_modules())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __len__(self) -> int:
        return len(dict(self._own_modules()))

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._own_modules()))

    def __contains__(self, name: str) -> bool:
        return name in dict(self._own_modules())

    def keys(self) -> Iterable[str]:
        """The names."""
        return dict(self._own_modules()).keys()

    def values(self) -> Iterable[Module]:
        """The modules."""
        return dict(self._own_modules()).values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The (name, module) pairs."""
        return dict(self._own_modules()).items()
