"""Tensor: an array, the op that made it, and the gradient collected for it.

What a tensor is and how its memory is written stand here; the methods that are ops are listed in methods.py.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from . import backend, printing
from .backend import Array
from .dtypes import Number, Size, default_float, device, dtype, ours
from .grad_mode import mode
from .names import hint

if TYPE_CHECKING:
    from .core import Op, Patch
    from .methods import TensorMethods
else:

    class TensorMethods:
        """The methods that are ops: methods.py fills this class when minigrad is imported, and type checkers read it there."""


clock = itertools.count(1)
"""Tells which came first: an op, or a change in place of what it saved."""


class Memory:
    """A piece of memory: when it was last written in place, if ever. What an op saved before is not what it would find now.

    Through `.data`, it may also be written without being noticed.
    """

    written = 0
    unnoticed = False


class Version:
    """A tensor and its views, which share one: their memory, and how often one of them was rewritten on the tape.

    After a rewrite, the ops that made the others no longer describe what the memory holds.
    """

    rewrites = 0

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def detached(self) -> Version:
        """For tensors that share the memory, but not the history."""
        return Version(self.memory)


class Tensor(TensorMethods):
    """An array, and the op that made it.

    Args:
        data: nested lists of numbers, an array or a tensor; copied. Lists and arrays become float32, as torch.Tensor
            does; `minigrad.tensor` keeps integers. Or sizes, Tensor(2, 3), for memory that is not set.
        dtype, device: as in `minigrad.tensor`.
        requires_grad: collect this tensor's gradient in `.grad`.
    """

    array: Array
    op: Op | None = None
    _requires_grad: bool = False
    _grad: Any = None  # Tensor, Patch or None
    _version: Version | None = None  # None until somebody shares or writes the memory
    _epoch: int = 0  # the version's `rewrites` that self.op describes
    backward_hooks: dict[Any, Any] | None = None
    accumulated_hooks: dict[Any, Any] | None = None
    _extent: Any = (
        None  # of ids that were copied to a GPU: their extent, and the `written` of the memory that it holds for
    )
    _unseen: bool = False  # a view, made while nothing was recorded, of a tensor that requires grad: it has no history

    def __init__(self, data: Any = (), *more: int, dtype: Any = None, device: Any = None, requires_grad: bool = False):
        from .ops.creation import empty, tensor  # ops are built on the engine, so the engine may only ask late

        if isinstance(data, int):
            data = empty(data, *more)
        elif more:
            raise TypeError("Tensor: expected data, or the sizes of a tensor to be filled later: Tensor(2, 3)")
        if dtype is None and not isinstance(data, Tensor):
            dtype = default_float()
        self.array = tensor(data, dtype=dtype, device=device).array
        if requires_grad:
            self.requires_grad = True

    if not TYPE_CHECKING:  # a type checker shall report unknown names itself

        def __getattr__(self, name):  # only asked for what is not there
            about = "" if name.startswith("_") else f": {hint(name, dir(Tensor))}"
            raise AttributeError(f"'Tensor' object has no attribute {name!r}{about}", name=name, obj=None)

    # ---- what it is

    @property
    def slot(self) -> Op | Tensor:
        """Where this tensor's gradient is collected."""
        return self.op or self

    @property
    def shape(self) -> Size:
        return Size(self.array.shape)

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def dtype(self) -> dtype:
        return ours(self.array.dtype)

    @property
    def device(self) -> device:
        return backend.device_of(self.array)

    @property
    def is_leaf(self) -> bool:
        """True if no recorded op made this tensor."""
        return self.op is None

    @property
    def is_sparse(self) -> bool:
        return False

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def itemsize(self) -> int:
        return self.array.itemsize

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    @property
    def grad_fn(self) -> Op | None:
        """The op that made this tensor, printed as torch prints it: <MulBackward0>."""
        return self.op

    def dim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size along one dimension."""
        if dim is None:
            return self.shape
        if self.array.ndim == 0:
            raise IndexError("size: Dimension specified as " + f"{dim} but tensor has no dimensions")
        return self.array.shape[axis_of(self, dim, "size")]

    def numel(self) -> int:
        """The number of elements."""
        return self.array.size

    nelement = numel

    ndimension = dim

    def is_same_size(self, other: Tensor) -> bool:
        """The same shape?"""
        return self.array.shape == other.array.shape

    def element_size(self) -> int:
        """Bytes per element."""
        return self.array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Elements, not bytes, from one index to the next, along every dimension or one."""
        steps = tuple(s // self.array.itemsize for s in self.array.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self) -> bool:
        """True if the elements lie in memory in index order."""
        return bool(self.array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """True for float16, float32 and float64."""
        return self.array.dtype.kind == "f"

    def is_signed(self) -> bool:
        """True for floats and signed integers."""
        return self.array.dtype.kind in "if"

    def is_complex(self) -> bool:
        """False: there are no complex tensors here."""
        return False

    def is_nonzero(self) -> bool:
        """Is the only element other than zero?"""
        return bool(self)

    def get_device(self) -> int:
        """The number of the GPU that it lies on, or -1."""
        return -1 if self.device.index is None else self.device.index

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.array.ctypes.data if isinstance(self.array, np.ndarray) else self.array.data.ptr

    # ---- does it need a gradient, and which

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.op is not None and not value:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. Use y.detach() for a tensor without history"
            )
        if value and self.array.dtype.kind != "f":
            raise RuntimeError(
                f"only Tensors of floating point dtype can require gradients, got {self.dtype}: "
                f"token ids and other integers never need one"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set requires_grad in place; returns self."""
        self.requires_grad = requires_grad
        return self

    @property
    def retains_grad(self) -> bool:
        """True for a result of which retain_grad was asked."""
        return self.op is not None and self.op.retained is not None

    @property
    def grad(self) -> Any:
        """The gradient collected by backward(): a dense tensor, or rows where Embedding(sparse=True) asked for them.

        Looking makes a table's rows dense; code that only passes gradients on reads `_grad`.
        """
        if self._grad is None and self.op is not None and self.op.retained is None:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed, and stays None: gradients are "
                "collected in leaves. Call .retain_grad() on this tensor before backward() to keep its gradient",
                stacklevel=2,
            )
        if self._grad is not None and not isinstance(self._grad, Tensor) and not self._grad.visible:
            # From now on the person holds it and may change it, so the dense form must be the gradient.
            self._grad = self._grad.to_dense()
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | Patch | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor) and not hasattr(value, "to_dense"):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
                )
            if value.shape != self.shape or value.dtype != self.dtype:
                raise RuntimeError(
                    f"assigned grad has {value.dtype} and shape {tuple(value.shape)}, "
                    f"but the tensor has {self.dtype} and shape {tuple(self.shape)}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def detach(self) -> Tensor:
        """The same memory without history: gradients stop here."""
        y = wrap(self.array)
        y._version = self.version().detached()
        return y

    def detach_(self) -> Tensor:
        """Forget the history of this tensor, in place."""
        self.op, self._requires_grad = None, False
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history. Writes to it go unseen by backward, by design: prefer no_grad and in-place methods."""
        self.version().memory.unnoticed = True
        return wrap(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        value.version()  # from now on the memory is shared
        self.replace(value.array)

    def pin_memory(self) -> Tensor:
        """This tensor: a copy to a GPU is not made faster by pinning here."""
        return self

    share_memory_ = pin_memory

    def to_dense(self) -> Tensor:
        """This tensor: it is dense (torch.Tensor.to_dense)."""
        return self

    # ---- writing in place

    def version(self) -> Version:
        """The version of this tensor's memory, shared with its views."""
        if self._version is None:
            self._version = Version(Memory())
        return self._version

    def replace(self, array: Array) -> None:
        """Let this tensor stand for another array; ops that saved the old one will notice."""
        self.array = array
        self._version, self._epoch = None, 0
        self.written()

    def extent(self) -> tuple[int, int] | None:
        """The smallest and the largest of these integers, or None where they are only known on a GPU."""
        if self._extent is not None:
            known, written = self._extent
            memory = self.version().memory
            if memory.written == written and not memory.unnoticed:
                return known
        return backend.extent(self.array)

    def written(self) -> None:
        """Say that this tensor's memory was written: ops that saved it before will refuse to run backward."""
        version = self._version or self.version()
        version.memory.written = next(clock)

    def before_write(self, what: str) -> Tensor:
        """What an in-place op reads in place of this tensor: its values and history, but not this object (no cycle).

        Raises:
            RuntimeError: operations are being recorded, and this is a leaf that requires grad, or a view that was made under
                no_grad, so that what it is a view of would not learn of the change.
        """
        if mode.recording:
            if self._unseen:
                raise RuntimeError(
                    f"{what}: A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
                    f"Do both under no_grad(), or neither, or change a clone()"
                )
            if self._requires_grad and self.op is None:
                raise RuntimeError(
                    f"a leaf Variable that requires grad is being used in an in-place operation ({what}): "
                    f"do it under no_grad(), or use the form without the underscore"
                )
            self._check_not_view_of_leaf(what)
            self.check_history(what)
        old = wrap(self.array)
        old.op, old._requires_grad = self.op, self._requires_grad
        return old

    @backend.quiet
    def rewrite(self, y: Tensor, old: Tensor, what: str) -> Tensor:
        """Take over y's values, in this tensor's memory where its views see them, and y's history. Returns self.

        Args:
            y: the result of an op on `old`, which is what `before_write` gave.
        """
        if y.array.shape != self.array.shape:
            raise RuntimeError(
                f"{what}: the result has shape {tuple(y.shape)}, which does not fit in place into {tuple(self.shape)}"
            )
        if _RANK[y.array.dtype.kind] > _RANK[self.array.dtype.kind]:
            raise RuntimeError(f"{what}: result type {y.dtype} can't be cast to the desired output type {self.dtype}")
        same_type = y.array.dtype == self.array.dtype
        alone = self.op is not None and self._version is None and y._version is None
        if y._requires_grad and alone and same_type and y.array.strides == self.array.strides:
            self.array = y.array  # nobody else sees the old memory: leave it to `old`, and copy nothing
        else:
            if y._requires_grad:
                old.array = self.array.copy()  # y's op may read it
            self.writable(what)[...] = y.array
        self.written()
        if y._requires_grad:
            before, self.op = self.op, (y if same_type else y.to(self.dtype)).op
            self._requires_grad = True
            self.version().rewrites += 1
            self._epoch = self.version().rewrites
            if before is not None and self.op is not None:
                self.op.retained, before.retained = before.retained, None
        return self

    def _check_not_view_of_leaf(self, what: str) -> None:
        op = self.op
        while op is not None and op.view and self._version is not None:
            parent = op.parents[0]
            if isinstance(parent, Tensor):
                if parent._version is self._version:
                    raise RuntimeError(
                        f"a view of a leaf Variable that requires grad is being used in an in-place operation ({what}): "
                        f"do it under no_grad(), or use the form without the underscore"
                    )
                return
            op = parent

    def writable(self, what: str) -> Array:
        """The array, if it may be written."""
        if not backend.is_writable(self.array):
            raise RuntimeError(
                f"{what}: this tensor's memory is read-only (a file, or a view that repeats elements); use .clone() first"
            )
        return self.array

    def check_history(self, what: str) -> None:
        """Refuse a tensor whose memory was rewritten through a view or its base, after the op that made it."""
        if self._version is not None and self._epoch != self._version.rewrites:
            raise RuntimeError(
                f"{what}: this tensor of shape {tuple(self.shape)} shares memory with one that was changed in place while "
                f"recording, so its history no longer says how its values came about. Use the tensor that was "
                f"changed, or change a clone()"
            )

    # ---- out to Python and NumPy

    def item(self) -> Number:
        """The only element, as a Python number. Raises RuntimeError if there are more or none."""
        if self.array.size != 1:
            raise RuntimeError(f"a Tensor with {self.array.size} elements cannot be converted to Scalar")
        return backend.to_numpy(self.array).item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers; a number for a 0-d tensor."""
        return backend.to_numpy(self.array).tolist()

    def numpy(self, force: bool = False) -> np.ndarray:
        """The memory of a CPU tensor as an array; force=True detaches and copies to the CPU where needed."""
        if not force and self._requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if not force and self.is_cuda:
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
            )
        self.version()  # from now on the memory is shared
        return backend.to_numpy(self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        return array.copy() if copy and dtype is None else array if dtype is None else array.astype(dtype)

    def __len__(self) -> int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.array)

    def __iter__(self) -> Iterator[Tensor]:
        if self.array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind())

    def __bool__(self) -> bool:
        if self.array.size != 1:
            count = "no values" if self.array.size == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {count} is ambiguous")
        return bool(backend.to_numpy(self.array).item())

    def __float__(self) -> float:
        return float(self._single("float"))

    def __int__(self) -> int:
        return int(self._single("int"))

    def _single(self, to: str) -> Number:
        if self.array.size != 1:
            raise ValueError(
                f"only a tensor of one element can become a Python {to}, not one of shape {tuple(self.shape)}"
            )
        return backend.to_numpy(self.array).item()

    def __index__(self) -> int:
        if self.array.dtype.kind == "f" or self.array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __contains__(self, element: Any) -> bool:
        return bool((self.array == (element.array if isinstance(element, Tensor) else element)).any())

    __hash__ = object.__hash__  # identity, although == compares elements

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.op is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol: detach() first"
            )
        y = memo[id(self)] = type(self).__new__(type(self))
        y.array = self.array.copy()
        y._requires_grad = self._requires_grad
        if type(self) is Tensor and self._grad is not None:  # torch copies no Parameter's gradient
            y._grad = self._grad.clone() if isinstance(self._grad, Tensor) else self._grad.owned()
        return y

    def __repr__(self) -> str:
        return printing.tensor_repr(
            backend.to_numpy(self.array),
            device=str(self.device),
            requires_grad=self._requires_grad,
            grad_fn=self.op.label if self.op else None,
            default_dtype=default_float(),
        )

    def __format__(self, spec: str) -> str:
        return printing.format_tensor(self.array, spec, self.__repr__)


_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}  # bool < integer < float


_new_tensor = Tensor.__new__


def wrap(array: Array) -> Tensor:
    """A tensor around an array, without a copy; a NumPy scalar becomes a 0-d array."""
    t = _new_tensor(Tensor)
    t.array = array if type(array) is np.ndarray or backend.is_array(array) else np.asarray(array)
    return t


def axis_of(x: Tensor, dim: int, what: str) -> int:
    """dim counted from the front. Raises IndexError outside [-ndim, ndim); a 0-d tensor counts as having one axis."""
    n = max(x.array.ndim, 1)
    if not isinstance(dim, int | np.integer) or isinstance(dim, bool):
        raise TypeError(f"{what}: dim must be an int, got {type(dim).__name__}")
    if not -n <= dim < n:
        raise IndexError(f"{what}: Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return int(dim) % n


def is_tensor(x: object) -> bool:
    """True if x is a Tensor (torch.is_tensor)."""
    return isinstance(x, Tensor)


def numel(x: Tensor) -> int:
    """The number of elements (torch.numel)."""
    return x.numel()


def is_floating_point(x: Tensor) -> bool:
    """True for float16, float32 and float64 (torch.is_floating_point)."""
    return x.is_floating_point()


def is_complex(x: Tensor) -> bool:
    """False: there are no complex tensors here (torch.is_complex)."""
    return x.is_complex()
