"""Module: something with parameters, made of smaller such things. Parameter: a tensor that is trained.

A module keeps no lists of what it holds: its parameters, buffers and children are its attributes. It keeps their names, in
the order in which they were assigned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from .. import dtypes, printing
from ..backend import to_numpy
from ..core import Handle
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


class Buffer(Tensor):
    """A tensor that a Module takes up as a buffer when it is assigned (torch.nn.Buffer). Shares the memory of `data`."""

    persistent: bool = True

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True):
        data = empty(0) if data is None else data.detach()
        self.array, self._version = data.array, data._version
        self.persistent = persistent


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


_EXTRA_STATE = "_extra_state"


def _is_extra(name: str) -> bool:
    return name.rpartition(".")[2] == _EXTRA_STATE


class Module:
    """Base of all layers (torch.nn.Module). Subclasses call super().__init__(), assign parameters and modules, and write forward."""

    training: bool
    _buffers: dict[str, bool]  # in order; is it saved?
    _parameter_names: dict[str, None]  # in order; also those that are None
    _module_names: dict[str, None]  # likewise
    _pre_hooks: Mapping[Handle, tuple[Callable[..., Any], bool]] = {}  # and whether it takes keywords
    _hooks: Mapping[Handle, tuple[Callable[..., Any], bool]] = {}

    def __init__(self) -> None:
        self._buffers, self._parameter_names, self._module_names = {}, {}, {}
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's computation."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._pre_hooks or self._hooks):
            return self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._pre_hooks.values()):
            if with_kwargs:
                args, kwargs = hook(self, args, kwargs) or (args, kwargs)
            elif (new := hook(self, args)) is not None:
                args = new if isinstance(new, tuple) else (new,)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._hooks.values()):
            new = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            result = result if new is None else new
        return result

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call hook(module, args) before each forward; what it returns, if not None, replaces the arguments.

        Args:
            prepend: before the hooks that are there, not after.
            with_kwargs: call hook(module, args, kwargs) instead, which returns None or new (args, kwargs).
        """
        return self._add_hook("_pre_hooks", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call hook(module, args, result) after each forward; what it returns, if not None, replaces the result.

        Args:
            prepend: before the hooks that are there, not after.
            with_kwargs: call hook(module, args, kwargs, result) instead.
        """
        return self._add_hook("_hooks", hook, prepend, with_kwargs)

    def _add_hook(self, kind: str, hook: Callable[..., Any], prepend: bool, with_kwargs: bool) -> Handle:
        hooks = self.__dict__.setdefault(kind, {})
        others = dict(hooks) if prepend else {}
        for other in others:
            del hooks[other]
        handle = Handle(hooks, (hook, with_kwargs))
        hooks.update(others)
        return handle

    # ---- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter | Module | Buffer) and "_buffers" not in self.__dict__:
            raise AttributeError(
                f"cannot assign {type(value).__name__} before Module.__init__() call: call super().__init__() first"
            )
        names, modules = (self.__dict__.get(kept, {}) for kept in ("_parameter_names", "_module_names"))
        if isinstance(value, Parameter):
            names[name] = None
            self._buffers.pop(name, None)
            modules.pop(name, None)
        elif isinstance(value, Module):
            modules[name] = None
            names.pop(name, None)
            self._buffers.pop(name, None)
        elif name in names and value is not None:
            raise TypeError(
                f"cannot assign '{type(value).__name__}' as parameter '{name}' (minigrad.nn.Parameter or None expected)"
            )
        elif name in self.__dict__.get("_buffers", {}) and not isinstance(value, Tensor | None):
            raise TypeError(f"cannot assign '{type(value).__name__}' as buffer '{name}' (Tensor or None expected)")
        elif isinstance(value, Buffer):
            self._buffers[name] = value.persistent
        elif name in modules and value is not None:
            raise TypeError(
                f"cannot assign '{type(value).__name__}' as child module '{name}' (minigrad.nn.Module or None expected)"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        for names in (self._buffers, self._parameter_names, self._module_names):
            names.pop(name, None)
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
        self._check_name("module", name, hasattr(self, str(name)) and name not in self._module_names)
        self._module_names[name] = None
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
        return ((name, child) for name in self._module_names if (child := getattr(self, name)) is not None)

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

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of that dotted name. Raises AttributeError if there is none."""
        return self._found(target, dict(self.named_buffers(remove_duplicate=False)))

    def get_submodule(self, target: str) -> Module:
        """The module of that dotted name. Raises AttributeError if there is none."""
        return self._found(target, dict(self.named_modules(remove_duplicate=False)))

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module in the place of that dotted name; with strict, one must be there already.

        Raises:
            AttributeError: a module on the way, or with strict the module itself, is not there.
            ValueError: an empty name, or no Module.
        """
        *path, name = target.split(".")
        if not name or not isinstance(module, Module):
            raise ValueError(f"set_submodule: expected a name and a Module, got {target!r} and {type(module).__name__}")
        parent = self.get_submodule(".".join(path))
        if strict:
            self.get_submodule(target)
        setattr(parent, name, module)

    def __dir__(self) -> list[str]:
        return sorted(name for name in object.__dir__(self) if not name[0].isdigit())  # no "0" of a list

    def _found(self, target: str, among: dict[str, Any]) -> Any:
        if target not in among:
            raise AttributeError(
                f"{type(self).__name__} has no {target!r}; it has {', '.join(map(repr, among)) or 'none'}"
            )
        return among[target]

    # ---- saving and loading

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, sharing memory with the module.

        Args:
            destination: a mapping to put them into.
            prefix: what each name starts with.
            keep_vars: the parameters themselves, instead of detached tensors.

        What a module's get_extra_state gives, if it has one, stands under "_extra_state".
        """
        state: OrderedDict[str, Tensor] = OrderedDict() if destination is None else destination
        for name, x in [*self._own_parameters(), *((n, b) for n, b in self._own_buffers() if self._buffers[n])]:
            state[prefix + name] = x if keep_vars else x.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            state[prefix + _EXTRA_STATE] = self.get_extra_state()
        for name, module in self._own_modules():
            module.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return state

    def get_extra_state(self) -> Any:
        """What a subclass wants to find in its state_dict besides parameters and buffers; best a tensor, so that x.clone() works."""
        raise RuntimeError(f"{type(self).__name__} has no get_extra_state: write one, and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what get_extra_state gave, or raise RuntimeError; nothing else has been loaded yet.

        If something else is refused then, it is called once more, with what get_extra_state gave before.
        """
        raise RuntimeError(f"{type(self).__name__} has no set_extra_state to take {state!r}")

    @no_grad()
    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values by name into parameters and buffers. All or nothing: if it raises, nothing has changed.

        Args:
            assign: take over the tensors themselves, with their dtype and device, instead of copying their values.

        Raises:
            RuntimeError: every missing name, unexpected name (both only if strict), differing shape and refusal of a
                module's set_extra_state, in one message.
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
        if strict and any(map(_is_extra, unexpected)):
            problems.append("These weights suppose what this model does not have, such as another kind of positions.")
        elif strict and any(map(_is_extra, missing)):
            problems.append(
                "These weights do not say what they suppose besides tensors, such as a kind of positions. If you know that they "
                "fit, pass strict=False."
            )
        extra = {name: x for name, x in own.items() if name in state_dict and _is_extra(name)}
        try:
            refusals = self._take_extra_states({name: state_dict[name] for name in extra})
        except Exception:
            self._take_extra_states(extra)
            raise
        problems += dict.fromkeys(refusals)  # many layers may say the same
        for name, value in state_dict.items():
            if name not in own or name in extra:
                continue
            if not isinstance(value, Tensor):
                problems.append(f'"{name}": expected a Tensor, got {type(value).__name__}.')
            elif value.shape != own[name].shape:
                problems.append(
                    f"size mismatch for {name}: copying a param with shape {value.shape} from checkpoint, "
                    f"the shape in current model is {own[name].shape}."
                )
        if problems:
            self._take_extra_states(extra)  # as they were
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        for name, value in state_dict.items():
            if name not in own or name in extra:
                continue
            if assign:
                self._assign(name, value)
            else:
                own[name].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    def _take_extra_states(self, states: Mapping[str, Any]) -> list[str]:
        """Give each module its own, and return what those say that refuse."""
        refusals = []
        for name, state in states.items():
            try:
                self.get_submodule(name.rpartition(".")[0]).set_extra_state(state)
            except RuntimeError as error:
                refusals.append(str(error))
        return refusals

    def _assign(self, target: str, value: Tensor) -> None:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        before = getattr(module, name)
        if isinstance(before, Parameter) and not isinstance(value, Parameter):
            value = Parameter(value, before.requires_grad)
        setattr(module, name, value)

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

    def to(self, *args: Any, non_blocking: bool = False, **kwargs: Any) -> Any:
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
            for name, child in ((name, getattr(self, name)) for name in self._module_names)
        ]
        if not lines and len(extra) <= 1:
            return f"{type(self).__name__}({''.join(extra)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(extra + lines) + "\n)"
