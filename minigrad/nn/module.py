"""Module: something with parameters, made of smaller such things. Parameter: a tensor that is trained.

A module keeps no lists of what it holds: its parameters, buffers and children are its attributes, in the order in
which they were assigned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import dtypes, printing
from ..backend import to_numpy
from ..dtypes import default_float
from ..grad_mode import no_grad
from ..ops.convert import destination
from ..ops.creation import empty
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that is trained (torch.nn.Parameter): a leaf that requires grad, and that a Module finds among its attributes.

    Shares the memory of `data`.
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True):
        data = empty(0) if data is None else data.detach()
        self.array, self._version = data.array, data._version
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return printing.parameter_repr(
            to_numpy(self.array),
            device=str(self.device),
            requires_grad=self.requires_grad,
            default_dtype=default_float(),
        )

    __format__ = object.__format__  # type: ignore[assignment]  # as torch's: always text


class _Keys(NamedTuple):
    missing_keys: list[str]
    unexpected_keys: list[str]


class IncompatibleKeys(_Keys):
    """What load_state_dict(strict=False) left undone: the names of missing_keys and unexpected_keys."""

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


class Module:
    """Base of all layers (torch.nn.Module). Subclasses call super().__init__(), assign parameters and modules, and write forward."""

    training: bool
    _buffers: dict[str, bool]  # in order; is it saved?
    _parameter_names: dict[str, None]  # in order; also those that are None

    def __init__(self) -> None:
        self._buffers, self._parameter_names = {}, {}
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's computation."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # ---- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter | Module) and "_buffers" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {type(value).__name__} before Module.__init__() call: call super().__init__() first"
            )
        names = self.__dict__.get("_parameter_names", {})
        if isinstance(value, Parameter):
            names[name] = None
            self._buffers.pop(name, None)
        elif name in names and value is not None:
            raise TypeError(
                f"cannot assign '{type(value).__name__}' as parameter '{name}' (minigrad.nn.Parameter or None expected)"
            )
        elif name in self.__dict__.get("_buffers", {}) and not isinstance(value, Tensor | None):
            raise TypeError(f"cannot assign '{type(value).__name__}' as buffer '{name}' (Tensor or None expected)")
        elif isinstance(self.__dict__.get(name), Module) and not isinstance(value, Module | None):
            raise TypeError(
                f"cannot assign '{type(value).__name__}' as child module '{name}' (minigrad.nn.Module or None expected)"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._buffers.pop(name, None)
        self._parameter_names.pop(name, None)
        object.__delattr__(self, name)

    def _check_name(self, kind: str, name: str, taken: bool) -> None:
        if "_buffers" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call: call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f'{kind} name can\'t be an empty string "" or contain ".", got {name!r}')
        if taken:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter by name; None holds its place.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: not a Parameter.
        """
        self._check_name("parameter", name, hasattr(self, str(name)) and name not in self._parameter_names)
        if not isinstance(param, Parameter | None):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (minigrad.nn.Parameter or None required)"
            )
        self._parameter_names[name] = None
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the module but is not trained; persistent ones are in state_dict().

        Raises:
            TypeError: not a tensor.
            KeyError: the name is taken, empty or has a dot.
        """
        self._check_name("buffer", name, hasattr(self, str(name)) and name not in self.__dict__.get("_buffers", {}))
        if not isinstance(tensor, Tensor | None):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None required)"
            )
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module by name, also one that is no Python name, such as "0".

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: not a Module.
        """
        if not isinstance(module, Module | None):
            raise TypeError(f"{getattr(module, '__name__', type(module).__name__)} is not a Module subclass")
        self._check_name("module", name, hasattr(self, str(name)) and not isinstance(self.__dict__.get(name), Module))
        setattr(self, name, module)

    register_module = add_module

    # ---- what it holds

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        seen = set()
        for name, child in self._own_modules():
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True, _seen: set[Module] | None = None
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with dotted names; one used twice comes once, unless remove_duplicate=False."""
        seen = set() if _seen is None else _seen
        if self not in seen:
            if remove_duplicate:
                seen.add(self)
            yield prefix, self
            for name, child in self._own_modules():
                yield from child.named_modules(f"{prefix}.{name}" if prefix else name, remove_duplicate, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _own_modules(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, p) for name in self._parameter_names if (p := getattr(self, name)) is not None)

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, b) for name in self._buffers if (b := getattr(self, name)) is not None)

    def _named_tensors(
        self, own: Callable[[Module], Iterator[tuple[str, Any]]], prefix: str, recurse: bool, dedupe: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Tensor] = set()
        for path, module in self.named_modules(prefix, dedupe) if recurse else [(prefix, self)]:
            for name, x in own(module):
                if not (dedupe and x in seen):
                    seen.add(x)
                    yield f"{path}.{name}" if path else name, x

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with dotted names; one used twice (tied) comes once."""
        return self._named_tensors(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimizer takes."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with dotted names."""
        return self._named_tensors(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name. Raises AttributeError if there is none."""
        return self._found(target, dict(self.named_parameters(remove_duplicate=False)))

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name. Raises AttributeError if there is none."""
        return self._found(target, dict(self.named_modules()))

    def _found(self, target: str, among: dict[str, Any]) -> Any:
        if target not in among:
            raise AttributeError(
                f"{type(self).__name__} has no {target!r}; it has {', '.join(map(repr, among)) or 'none'}"
            )
        return among[target]

    # ---- saving and loading

    def state_dict(self, prefix: str = "") -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, detached, sharing memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for name, x in [*self._own_parameters(), *((n, b) for n, b in self._own_buffers() if self._buffers[n])]:
            state[prefix + name] = x.detach()
        for name, module in self._own_modules():
            state |= module.state_dict(f"{prefix}{name}.")
        return state

    @no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True) -> IncompatibleKeys:
        """Copy values by name into parameters and buffers. All or nothing: if it raises, nothing has changed.

        Raises:
            RuntimeError: every missing name, unexpected name (both only if strict) and differing shape, in one message.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict).__name__}")
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = []
        if strict and unexpected:
            problems.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{n}"' for n in unexpected) + ".")
        if strict and missing:
            problems.append("Missing key(s) in state_dict: " + ", ".join(f'"{n}"' for n in missing) + ".")
        for name, value in state_dict.items():
            if name not in own:
                continue
            if not isinstance(value, Tensor):
                problems.append(f'"{name}": expected a Tensor, got {type(value).__name__}.')
            elif value.shape != own[name].shape:
                problems.append(
                    f"size mismatch for {name}: copying a param with shape {value.shape} from checkpoint, "
                    f"the shape in current model is {own[name].shape}."
                )
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        for name, value in state_dict.items():
            if name in own:
                own[name].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    # ---- changing all of it

    def apply(self, fn: Callable[[Module], Any]) -> Any:
        """Call fn on every module below, then on this one; returns self. Typically to initialise."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Any:
        """Set training mode here and below (dropout is active); returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        """Set evaluation mode here and below; returns self."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Train all parameters, or none; returns self."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            elif p._grad is not None:
                p._grad.detach_().zero_()

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move parameters and buffers in place, and cast those that are floating point. Returns self.

        Raises:
            TypeError: the dtype is not floating point.
        """
        device, dtype = destination(args, **kwargs)
        if dtype is not None and dtype.kind != "f":
            raise TypeError(f"Module.to only accepts floating point dtypes, but got desired dtype={dtypes.ours(dtype)}")
        for x in self.parameters():
            to = dtype if x.is_floating_point() else None
            if (moved := x.detach().to(device=device, dtype=to)).array is not x.array:
                x.replace(moved.array)
                if isinstance(x._grad, Tensor):
                    x._grad.replace(x._grad.detach().to(device=device, dtype=to).array)
                elif x._grad is not None:
                    x._grad = x._grad.to(device=device, dtype=to)
        for module in self.modules():
            for name, buffer in module._own_buffers():
                to = dtype if buffer.is_floating_point() else None
                setattr(module, name, buffer.to(device=device, dtype=to))
        return self

    def float(self) -> Any:
        """to(float32)."""
        return self.to(dtypes.float32)

    def double(self) -> Any:
        """to(float64)."""
        return self.to(dtypes.float64)

    def half(self) -> Any:
        """to(float16)."""
        return self.to(dtypes.float16)

    def cpu(self) -> Any:
        """to("cpu")."""
        return self.to("cpu")

    def cuda(self) -> Any:
        """to("cuda")."""
        return self.to("cuda")

    # ---- printing

    def extra_repr(self) -> str:
        """What stands between the brackets when the module prints."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        lines = [
            f"({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in vars(self).items()
            if isinstance(child, Module)
        ]
        if not lines and len(extra) <= 1:
            return f"{type(self).__name__}({''.join(extra)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(extra + lines) + "\n)"
