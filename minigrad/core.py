"""The engine: Op, and how a cotangent is pulled back through the graph.

An Op class is an operation; an Op instance is one application of it, and is the node of the graph. A tensor knows the op
that made it, an op knows the ops that made its inputs, and nothing points the other way: dropping the last tensor
drops the graph, without a cycle to collect.

Gradients are collected in *slots*. The slot of a tensor is the op that made it or, for a leaf, the tensor itself.

Who may write into a gradient: what an op's `backward` returned is *borrowed* (it may be the incoming gradient itself,
or something the op saved) unless the class says `fresh`. Only memory that the engine owns, because it is fresh or the
sum of two others, is added to in place; what a leaf keeps in `.grad` is always owned.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from . import backend
from .backend import Array
from .dtypes import Number, ours
from .grad_mode import mode, set_grad_enabled
from .tensor import Tensor, Version, clock, wrap


class Op:
    """One operation. `forward` takes and returns arrays; `backward` takes and returns tensors, built of ops.

    Because `backward` is made of ops, gradients of gradients come by themselves.

    A subclass writes
        forward(self, *arrays): the result. Python numbers arrive as they are. What `apply` was given by keyword is on self.
            NumPy does not warn there: as in torch, 0/0 and overflow just give nan and inf.
        backward(self, g): for each input its gradient, of the input's shape, or None. It may read `self.inputs` (tensors),
            `self.output` (a tensor, where `keeps_output`), `self.saved` (what forward gave to `self.save`), `self.needs(i)`.
    """

    reads: ClassVar[tuple[tuple[int, ...], ...] | None] = None
    """reads[i]: the inputs whose values the gradient of input i is computed from. None: all. Others are not kept alive."""
    keeps_output: ClassVar[bool] = False
    """backward reads self.output."""
    fresh: ClassVar[bool] = False
    """Every array that backward returns was made there and is kept by nobody else, so the engine may add to it in place."""
    moves: ClassVar[bool] = False
    """backward returns its g, or a view of all of it, to the one input: who owned g owns the result."""
    view: ClassVar[bool] = False
    """The result may share memory with the first input."""
    arithmetic: ClassVar[bool] = False
    """backward computes with + - * /, `reshaped` and `broadcasted` alone: while nothing is recorded, it gets arrays and makes
    arrays, with no op for each."""
    label: str = "OpBackward0"
    """How `grad_fn` prints."""

    serial: int
    parents: tuple[Op | Tensor | None, ...] = ()
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    freed: bool = False
    last: bool = False  # the backward that runs is the last one, which may write into what forward saved
    bare: bool = False  # backward is running on arrays: so are self.inputs and self.output
    _inputs: tuple[Any, ...] | None = ()  # these three are None once they are freed
    _output: tuple[Array, Version] | None
    _saved: tuple[Any, ...] | None
    retained: weakref.ref[Tensor] | None = None
    backward_hooks: dict[Handle, Callable[[Tensor], Any]] | None = None

    def __init_subclass__(cls) -> None:
        if "label" not in cls.__dict__:
            cls.label = f"{cls.__name__}Backward0"
        if "backward" in cls.__dict__ and "arithmetic" not in cls.__dict__:
            cls.arithmetic = False  # another backward than that of its base

    def forward(self, *arrays: Array) -> Array:
        raise NotImplementedError(f"{type(self).__name__}.forward is not written")

    def backward(self, g: Tensor) -> Sequence[Tensor | Patch | None]:
        raise NotImplementedError(f"{type(self).__name__}.backward is not written: it has no gradient")

    @classmethod
    def apply(cls, *inputs: Tensor | Number | None, **params: Any) -> Tensor:
        """Run forward on the inputs' arrays and, where a gradient may be asked for, remember how the result came about."""
        op = cls()
        if params:
            op.__dict__.update(params)
        arrays = [x.array if isinstance(x, Tensor) else x for x in inputs]
        warnings = backend.warnings.set(backend.SILENT)
        try:
            array = op.forward(*arrays)
        except (TypeError, ValueError, AttributeError):
            backend.namespace(*arrays)  # says so if the reason is that the inputs are on two devices
            raise
        finally:
            backend.warnings.reset(warnings)
        y = wrap(array)
        if cls.view and backend.shares_memory(arrays[0], y.array):
            x: Any = inputs[0]
            y._version = x.version()
            y._epoch = x._epoch
            if x._unseen or (x._requires_grad and not mode.recording):
                y._unseen = True
            y._extent = x._extent
        if mode.recording:
            op._record(inputs, y)
        return y

    def _record(self, inputs: tuple[Any, ...], y: Tensor) -> None:
        """Be the op that made y, if one of the inputs requires grad."""
        parents: list[Op | Tensor | None] = []
        recorded = False
        for x in inputs:
            parent = None
            if isinstance(x, Tensor):
                if x._version is not None and x._epoch != x._version.rewrites:
                    x.check_history(self.name)
                if x._requires_grad:
                    parent, recorded = x.op or x, True
            parents.append(parent)
        if not recorded:
            return
        self.parents = tuple(parents)
        self.serial = next(clock)  # an op is always younger than its inputs
        array = y.array
        self.shape, self.dtype = array.shape, array.dtype
        if self.reads is None:
            self._inputs = inputs
        elif any(self.reads):
            unread = self._unread(tuple([p is not None for p in parents]))
            self._inputs = tuple([None if i in unread else x for i, x in enumerate(inputs)]) if unread else inputs
        if self.keeps_output:
            self._output = array, y.version()
        y.op, y._requires_grad = self, True

    @classmethod
    @cache
    def _unread(cls, needs: tuple[bool, ...]) -> set[int]:
        """Which inputs backward will not read, given which of them need a gradient."""
        read = {j for need, js in zip(needs, cls.reads or (), strict=True) if need for j in js}
        return set(range(len(needs))) - read

    @property
    def name(self) -> str:
        return self.label.partition("Backward")[0]

    def gradients(self, g: Tensor) -> Sequence[Tensor | Patch | None]:
        """backward(g), of which there must be one gradient per input."""
        gxs = self._on_arrays(g) if self.arithmetic and not mode.recording else self.backward(g)
        if not isinstance(gxs, (tuple, list)) or len(gxs) != len(self.parents):
            got = f"{len(gxs)}" if isinstance(gxs, tuple | list) else f"a {type(gxs).__name__}"
            raise RuntimeError(
                f"{self.name}: backward must return a tuple of {len(self.parents)}, one gradient per input, got {got}"
            )
        return gxs

    def _on_arrays(self, g: Tensor) -> Sequence[Tensor | Patch | None]:
        self.bare = True
        warnings = backend.warnings.set(backend.SILENT)
        try:
            return [None if gx is None else wrap(gx) for gx in self.backward(g.array)]
        except TypeError:
            pass
        finally:
            backend.warnings.reset(warnings)
            self.bare = False
        return self.backward(g)  # raises it again, in better words: g is on another device

    def needs(self, i: int) -> bool:
        """True if a gradient is wanted for input i."""
        return self.parents[i] is not None

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The inputs that `reads` names, with None for the others; () if it names none.

        Raises:
            RuntimeError: the graph was freed, or an input was changed in place since.
        """
        inputs = self._unchanged(self._inputs, "input")
        return tuple([x.array if isinstance(x, Tensor) else x for x in inputs]) if self.bare else inputs

    @property
    def output(self) -> Any:
        """The result as a tensor made by this op, so that it can be differentiated again. Needs `keeps_output`.

        Raises:
            RuntimeError: the graph was freed, or the result was changed in place since.
        """
        if self._output is None:
            raise self._was_freed()
        array, version = self._output
        if version.memory.written > self.serial:
            raise self._changed(f"its result of shape {tuple(array.shape)}")
        if self.bare:
            return array
        y = wrap(array)
        y.op, y._requires_grad = self, True
        y._version, y._epoch = version, version.rewrites
        return y

    def save(self, *values: Any) -> None:
        """Keep arrays or tensors for backward: to be called in forward."""
        self._saved = values

    @property
    def saved(self) -> tuple[Any, ...]:
        """What forward saved.

        Raises:
            RuntimeError: the graph was freed, or one of the tensors was changed in place since.
        """
        return self._unchanged(self._saved, "index, mask or target")

    def _unchanged(self, values: tuple[Any, ...] | None, what: str) -> tuple[Any, ...]:
        if values is None:
            raise self._was_freed()
        for x in values:
            if isinstance(x, Tensor) and x._version is not None and x._version.memory.written > self.serial:
                raise self._changed(f"its {what} of shape {tuple(x.shape)}")
        return values

    def _changed(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"{self.name} saved {what} for backward, and it was changed in place since. Use the form without the "
            f"underscore, or change a clone()"
        )

    def _was_freed(self) -> RuntimeError:
        return RuntimeError(
            f"Trying to backward through the graph a second time: what {self.name} saved was freed by the first "
            f"backward. Pass retain_graph=True to the first one, or compute the loss again"
        )

    def free(self) -> None:
        """Let go of what was kept for backward. An op that keeps nothing still works afterwards, as in torch."""
        self._inputs = self._saved = self._output = None
        self.freed = True

    def __repr__(self) -> str:
        return f"<{self.label}>"


class Patch:
    """A gradient that is zero outside some part of its tensor: that part, and where it belongs. See sparse.py."""

    shape: tuple[int, ...]
    dtype: Any
    visible: bool = False
    """Shown to people as it is, not as the dense tensor it stands for."""
    stays: ClassVar[bool] = False
    """A leaf keeps it as it is in `.grad`, until somebody looks."""

    def add_into(self, buffer: Array) -> None:
        """buffer += this gradient, in place."""
        raise NotImplementedError

    def to_dense(self) -> Tensor:
        """The gradient with its zeros, in new memory."""
        raise NotImplementedError

    def owned(self) -> Patch:
        """The same gradient in memory that nothing else refers to."""
        raise NotImplementedError

    def merge(self, other: Patch) -> Patch | None:
        """Their sum as a patch, in new memory, or None where a dense buffer is the better way."""
        return None


Gradient = Tensor | Patch


def dense(g: Gradient) -> Tensor:
    return g if isinstance(g, Tensor) else g.to_dense()


@backend.quiet
def plus(x: Gradient, y: Gradient, owned: bool) -> Gradient:
    """x + y, in x's memory if that is owned. The result is owned in any case."""
    if mode.recording:
        return dense(x) + dense(y)
    if not isinstance(x, Tensor):
        if isinstance(y, Tensor):
            x, y, owned = y, x, False
        elif (merged := x.merge(y)) is not None:
            return merged
        else:
            x, owned = x.to_dense(), True
    if isinstance(y, Tensor):
        if not owned:
            return wrap(x.array + y.array)
        x.array += y.array
    else:
        x = x if owned else wrap(x.array.copy())
        y.add_into(x.array)
    return x


class Cotangents:
    """The gradients collected so far, by slot, and which of them are owned."""

    def __init__(self) -> None:
        self.of: dict[Op | Tensor, Gradient] = {}
        self.owned: set[Op | Tensor] = set()

    def collect(self, slot: Op | Tensor, g: Gradient, fresh: bool = False) -> None:
        """Add g to what the slot holds."""
        held = self.of.get(slot)
        if held is None:
            self.of[slot] = g
            if fresh:
                self.owned.add(slot)
        else:
            self.of[slot] = plus(held, g, slot in self.owned)
            self.owned.add(slot)

    def own(self, slot: Op | Tensor) -> Gradient:
        """What the slot holds, in memory that nothing else refers to."""
        g = self.of[slot]
        return g if slot in self.owned else g.owned() if isinstance(g, Patch) else g.clone()

    def show(self, slot: Op | Tensor) -> None:
        """Let the slot's hooks see its complete gradient, each what the one before it made of it."""
        for hook in list((slot.backward_hooks or {}).values()):
            g: Any = self.own(slot)
            g = self.of[slot] = g.to_dense() if isinstance(g, Patch) and not g.visible else g
            self.owned.add(slot)
            if (new := hook(g)) is not None:
                self.of[slot] = _checked(new, g, getattr(hook, "__name__", repr(hook)))
                self.owned.discard(slot)


def _checked(new: Any, g: Any, hook: str) -> Gradient:
    if not isinstance(new, Tensor | Patch):
        raise TypeError(f"expected Variable, but hook {hook!r} returned {type(new).__name__!r}: a tensor, or None")
    for what in ("shape", "dtype"):
        if getattr(new, what) != getattr(g, what):
            raise RuntimeError(
                f"hook {hook!r} has changed the {what} of the gradient: it was {getattr(g, what)}, got {getattr(new, what)}"
            )
    return new


_by_serial = attrgetter("serial")


def ops_behind(outputs: Iterable[Tensor], targets: set[Op | Tensor] | None) -> list[Op]:
    """The ops that the outputs were computed by, youngest first: every op comes before the ops that made its inputs.

    With targets, only those through which a target is reached.
    """
    seen: set[Op] = set()
    stack = [y.op for y in outputs if y.op is not None]
    while stack:  # not recursive: a graph may be deeper than Python's stack
        op = stack.pop()
        if op not in seen:
            seen.add(op)
            for p in op.parents:
                if isinstance(p, Op):
                    stack.append(p)
    if targets is not None:
        useful = set(targets)
        for op in sorted(seen, key=_by_serial):
            if useful.isdisjoint(op.parents):
                seen.remove(op)
            else:
                useful.add(op)
    return sorted(seen, key=_by_serial, reverse=True)


def pull(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor],
    targets: set[Op | Tensor] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> Cotangents:
    """Pull the outputs' cotangents back to the leaves, or to the targets, running each op's backward once.

    When an op's turn comes, everything computed from its result has had its turn, so its cotangent is complete.
    """
    cotangents = Cotangents()
    done: set[Op | Tensor] = set()
    before, suspicious = mode.recording, mode.suspicious
    mode.recording = create_graph
    try:
        for y, g in zip(outputs, gradients, strict=True):
            cotangents.collect(y.slot, g)
        for op in ops_behind(outputs, targets):
            if op not in cotangents.of:
                continue
            done.add(op)
            if op.backward_hooks:
                cotangents.show(op)
            held = cotangents.of[op]
            g = dense(held)
            wanted = op.retained is not None or (targets is not None and op in targets)
            shared = wanted or op.backward_hooks or (g is held and op not in cotangents.owned)
            fresh = op.fresh or (op.moves and not shared)
            if not wanted:
                del cotangents.of[op]
            op.last = not retain_graph
            gxs = op.gradients(g)
            for i, parent in enumerate(op.parents):
                if parent is not None and (gx := gxs[i]) is not None:
                    if suspicious:
                        _no_nan(gx, op, i)
                    cotangents.collect(parent, _fitting(gx, parent, op, i), fresh)
            if not retain_graph:
                op.free()
        complete = cotangents.of if targets is None else targets | done
        for slot in cotangents.of:
            if slot.backward_hooks and slot in complete and slot not in done:
                cotangents.show(slot)
            if (
                isinstance(slot, Op)
                and slot in complete
                and slot.retained is not None
                and (keeper := slot.retained()) is not None
            ):
                keeper.check_history("retain_grad")
                deposit(keeper, dense(cotangents.of[slot]).clone(), in_place=False)
    finally:
        mode.recording = before
    return cotangents


def _fitting(gx: Gradient, parent: Op | Tensor, op: Op, i: int) -> Gradient:
    """gx, checked to have its input's shape (nothing is summed or broadcast to fit) and cast to its dtype."""
    if not isinstance(gx, Tensor):
        return gx
    is_of = parent if isinstance(parent, Op) else parent.array
    if gx.array.shape != is_of.shape:
        raise RuntimeError(
            f"{op.name}: backward returned a gradient of shape {gx.array.shape} for input {i} of shape {is_of.shape}"
        )
    return gx if gx.array.dtype == is_of.dtype else gx.to(ours(is_of.dtype))


def _no_nan(gx: Gradient, op: Op, i: int) -> None:
    array = dense(gx).array
    if bool((array != array).any()):
        raise RuntimeError(f"Function '{op.label}' returned nan values in its {i}th output.")


def deposit(leaf: Tensor, g: Gradient, in_place: bool = True) -> None:
    """Add g, which is owned, to leaf.grad; a dense gradient lies in memory in index order if the leaf does."""
    if isinstance(g, Patch) and not g.stays:
        g = g.to_dense()
    if isinstance(g, Tensor) and leaf.is_contiguous():
        g = g.contiguous()
    if in_place and isinstance(leaf._grad, Tensor):
        leaf._grad.writable("accumulating into .grad")
    if leaf._grad is None:
        leaf._grad = g
    else:
        leaf._grad = plus(leaf._grad, g, owned=in_place)
        if isinstance(leaf._grad, Tensor):
            leaf._grad.written()


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add d self / d leaf, weighted by `gradient`, to `.grad` of every leaf that requires it (torch.Tensor.backward).

    Gradients accumulate: a second backward, of this or another graph, adds to what is there. If anything raises, no
    `.grad` has changed, but part of the graph may have been freed.

    Args:
        gradient: the cotangent, of this tensor's shape; may be left out for a single number.
        retain_graph: keep what the ops saved, so that backward can run again. Default: create_graph.
        create_graph: record the backward pass too, so that the gradients can be differentiated.
        inputs: collect only into these.

    Raises:
        RuntimeError: nothing here requires grad; no gradient given for more than one number; a gradient of another shape;
            the graph was freed by an earlier backward; a saved tensor was changed in place.
    """
    chosen = [inputs] if isinstance(inputs, Tensor) else inputs
    backward_all([self], [gradient], retain_graph, create_graph, chosen)


def backward_all(
    outputs: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """`backward` of several tensors at once."""
    for i, x in enumerate(inputs or ()):
        if not x._requires_grad:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad: inputs[{i}], of shape {tuple(x.shape)}"
            )
    for x in inputs or ():
        x.check_history("backward")
    targets = None if inputs is None else {x.slot for x in inputs}
    retain = create_graph if retain_graph is None else retain_graph
    seeds = [_seed(y, g, i) for i, (y, g) in enumerate(zip(outputs, gradients, strict=True))]
    cotangents = pull(outputs, seeds, targets, retain, create_graph)
    leaves = (
        [slot for slot in cotangents.of if isinstance(slot, Tensor)] if inputs is None else list(dict.fromkeys(inputs))
    )
    with set_grad_enabled(create_graph):
        for leaf in leaves:
            if leaf.slot in cotangents.of and not (leaf.op and leaf.op.retained):  # pull has seen to retained ones
                deposit(leaf, cotangents.own(leaf.slot))
                for hook in list((leaf.accumulated_hooks or {}).values()):
                    hook(leaf)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    *,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the outputs' (weighted) sum by the inputs, which may be leaves or not (torch.autograd.grad).

    Args:
        grad_outputs: for each output its cotangent; None for a single number.
        create_graph: record the computation, so that the gradients can be differentiated.
        only_inputs: of no effect, as in torch.
        allow_unused: give None for an input that the outputs do not depend on, instead of raising RuntimeError.
        materialize_grads: give zeros for it.

    Returns:
        One gradient per input, of its shape. With create_graph they may share memory with each other or grad_outputs.

    Raises:
        RuntimeError: as backward; an input does not require grad, or was not used.
    """
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gs = [grad_outputs] if grad_outputs is None or isinstance(grad_outputs, Tensor) else list(grad_outputs)
    if len(gs) != len(ys):
        raise RuntimeError(f"grad: got {len(ys)} outputs and {len(gs)} grad_outputs")
    for i, x in enumerate(xs):
        if not x._requires_grad:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad: inputs[{i}], of shape {tuple(x.shape)}"
            )
    for x in xs:
        x.check_history("grad")
    retain = create_graph if retain_graph is None else retain_graph
    seeds = [_seed(y, g, i) for i, (y, g) in enumerate(zip(ys, gs, strict=True))]
    cotangents = pull(ys, seeds, {x.slot for x in xs}, retain, create_graph)
    result: list[Any] = []
    with set_grad_enabled(create_graph):
        for i, x in enumerate(xs):
            if x.slot in cotangents.of:
                g = cotangents.of[x.slot] if create_graph else cotangents.own(x.slot)
                result.append(g.to_dense() if isinstance(g, Patch) and not g.visible else g)
            elif materialize_grads:
                result.append(wrap(backend.namespace(x.array).zeros_like(x.array)))
            elif allow_unused:
                result.append(None)
            else:
                raise RuntimeError(
                    f"One of the differentiated Tensors appears to not have been used in the graph: inputs[{i}], of shape "
                    f"{tuple(x.shape)}. Set allow_unused=True if this is the desired behavior."
                )
    return tuple(result)


def _seed(y: Tensor, g: Tensor | None, i: int) -> Tensor:
    """The cotangent that y starts with."""
    if not y._requires_grad:
        made = (
            "no operation on tensors that require grad made it"
            if mode.recording
            else "grad recording is off here (no_grad)"
        )
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn: {made}. Did you mean "
            f"requires_grad=True on a leaf, or was the computation under no_grad or detached?"
        )
    y.check_history("backward")
    if g is None:
        if y.array.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, not for shape {tuple(y.shape)}: call .sum() or "
                f".mean() first, or pass a gradient of that shape"
            )
        return wrap(backend.namespace(y.array).ones_like(y.array))
    if isinstance(g, Tensor):
        backend.namespace(y.array, g.array)
    else:
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if g.array.shape != y.array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {tuple(g.shape)} and output[{i}] has a shape of {tuple(y.shape)}."
        )
    return g if g.array.dtype == y.array.dtype else g.to(y.dtype)


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of this tensor in `.grad` although an op made it (torch.Tensor.retain_grad)."""
    if not self._requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self.op is not None:
        self.check_history("retain_grad")
        self.op.retained = weakref.ref(self)


class Handle:
    """What removes a hook: by .remove(), or at the end of a with block."""

    def __init__(self, hooks: dict[Handle, Any], hook: Any):
        self.hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Call the hook no more."""
        self.hooks.pop(self, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _register(owner: Op | Tensor, kind: str, hook: Callable[[Tensor], Any]) -> Handle:
    return Handle(owner.__dict__.setdefault(kind, {}), hook)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Call hook(g) with this tensor's gradient in every backward; a tensor that it returns takes g's place (torch.Tensor.register_hook).

    The gradient is complete then, and goes from there to `.grad` or further back.
    """
    if not self._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return _register(self.slot, "backward_hooks", hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Call hook(x) for this leaf x whenever backward has added to x.grad (torch's of that name)."""
    if not self._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.op is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return _register(self, "accumulated_hooks", hook)
