"""save and load: what training makes, kept in a safetensors file that torch users can read. Code never comes out of a file.

A file has two parts. The tensors lie under their names: a state dict's own, and in a nested structure the way to them,
joined by dots: "model.wte.weight", "optimizer.state.0.exp_avg". safetensors.torch.load_file reads exactly these. What is
no tensor, and how everything hangs together, is JSON in the file's metadata, under "minigrad":

    None, bool, str, int, float, list      themselves
    {"tensor": name}, {"array": name}      a Tensor or NumPy array of the file; "parameter" for a Parameter
    {"dict": [[key, value], ...]}          likewise "OrderedDict", "Counter"; keys are described as values are
    {"tuple": [...]}                       likewise "set" and "Size"
    {"float": "nan"}, {"int": "0x1p.."}    what JSON cannot say, or not exactly; likewise "bytes", "scalar", "dtype", "device"

Tensors that are the same memory (tied weights) are stored once, under the first of their names, and share memory again
when loaded. Partly overlapping views become tensors of their own, and all tensors come back contiguous. A checksum of
all of it stands in the metadata too, under "minigrad.crc32". Files without these two entries load as dicts of tensors.
"""

from __future__ import annotations

import base64
import json
import math
import mmap as memory_map
import os
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from . import backend, dtypes
from .dtypes import Size, device, dtype
from .files import replacing
from .nn.module import Module, Parameter
from .tensor import Tensor, wrap

_STORED = {
    "BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "I8": "int8", "I16": "int16",
    "I32": "int32", "I64": "int64", "F16": "float16", "F32": "float32", "F64": "float64", "BF16": "uint16",
}  # fmt: skip
_HEADER = 100_000_000  # bytes: more are refused by everyone's readers
_SEQUENCES: dict[str, Callable[[Any], Any]] = {"tuple": tuple, "set": set, "Size": Size}
_MAPPINGS: dict[str, Callable[[Any], Any]] = {
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": lambda pairs: Counter(dict(pairs)),
}
_TAGS: dict[type, str] = {
    tuple: "tuple",
    set: "set",
    Size: "Size",
    dict: "dict",
    OrderedDict: "OrderedDict",
    Counter: "Counter",
}


def save(obj: Any, f: Any) -> None:
    """Write a tensor, a state dict, or a nested structure of them, numbers and strings to a file (torch.save).

    All or nothing: a file of that name is replaced once the new one is whole and on the disk; whatever happens before,
    the old one stays.

    Args:
        obj: tensors, parameters, NumPy arrays and scalars, None, bool, int, float, str, bytes, dtypes, devices; dicts,
            OrderedDicts, Counters, lists, tuples, sets and Sizes of them.
        f: a path, or a binary file open for writing.

    Raises:
        TypeError: there is something else inside; says where.
        ValueError: a container contains itself, or what is no tensor takes more than 100 MB.
        RuntimeError: the folder does not exist.
    """
    from safetensors.numpy import save as serialize

    writer = _Writer()
    structure = json.dumps(writer.describe(obj, ()), separators=(",", ":"))
    metadata = {"format": "pt", "minigrad": structure, "minigrad.crc32": _checksum(structure, writer.tensors)}
    content = serialize(writer.tensors, metadata)
    if (size := int.from_bytes(content[:8], "little")) > _HEADER:
        raise ValueError(
            f"save: all but the tensors takes {size:,} bytes, and the format has room for {_HEADER:,}: make tensors of long lists"
        )
    if hasattr(f, "write"):
        f.write(content)
        return
    folder = os.path.dirname(os.path.realpath(f))
    if not os.path.isdir(folder):
        raise RuntimeError(f"save: the folder {folder} does not exist")
    with replacing(f) as file:
        file.write(content)


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool | None = None) -> Any:
    """What save wrote, or the dict of tensors in any other safetensors file (torch.load).

    bfloat16, which NumPy lacks, becomes float32: every value of it is one of float32.

    Args:
        f: a path, or a binary file open for reading.
        map_location: the device of the tensors. Default: the CPU, wherever they were saved from.
        weights_only: of no effect: nothing in a file is ever executed.
        mmap: leave the tensors in the file, to be read when used. Writing to one changes memory only, not the file.

    Raises:
        FileNotFoundError: there is no such file.
        RuntimeError: not a safetensors file, or a damaged one. For a file that torch.save wrote: how to convert it.
    """
    from safetensors import SafetensorError

    name = os.fspath(f) if not hasattr(f, "read") else f"the file object {getattr(f, 'name', type(f).__name__)}"
    where = _place(map_location)
    backend.module_for(where)
    data, check = _bytes(f, name, mmap)
    if len(data) < 9 or data[8:9] != b"{":
        _refuse(name, data)
    try:
        check()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        metadata = header.pop("__metadata__", None) or {}
        arrays = {}
        for key, entry in header.items():
            if (stored := entry["dtype"]) not in _STORED:
                raise ValueError(f"tensor {key!r} is {stored}, which NumPy does not have")
            start, end = entry["data_offsets"]
            array = np.frombuffer(data, np.uint8, end - start, 8 + size + start)
            arrays[key] = (array if mmap else array.copy()).view(_STORED[stored]).reshape(entry["shape"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RuntimeError(f"load: {name} is not a safetensors file, or damaged: {error}") from error
    structure = metadata.get("minigrad")
    if (structure is None) != ("minigrad.crc32" not in metadata) or (
        structure is not None and metadata["minigrad.crc32"] != _checksum(structure, arrays)
    ):
        raise RuntimeError(f"load: {name} is damaged: its checksum is not that of its contents. Use an older copy")
    for key, entry in header.items():
        if entry["dtype"] == "BF16":  # the upper half of a float32
            arrays[key] = (arrays[key].astype(np.uint32) << np.uint32(16)).view(np.float32)
    reader = _Reader(arrays, where)
    if structure is None:
        return {key: reader.tensor(key) for key in arrays}
    try:
        return reader.rebuild(json.loads(structure))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise RuntimeError(f"load: {name} does not describe its structure as minigrad does: {error!r}") from error


# ------------------------------------------------------------------------------------------------------------- structures


class _Writer:
    """Turns a structure into JSON, and collects the arrays in it under the names of the ways to them."""

    def __init__(self) -> None:
        self.tensors: dict[str, np.ndarray] = {}
        self.names: dict[Any, str] = {}  # by memory
        self.inside: list[int] = []  # the containers being described
        self.alive: list[Any] = []  # so that no address is used twice

    def describe(self, x: Any, path: tuple[Any, ...]) -> Any:
        kind = type(x)
        if x is None or kind in (bool, str):
            return x
        if kind is int:  # JSON's readers disagree beyond 64 bits, and Python's stops at 4300 digits
            return x if -(2**63) <= x < 2**64 else {"int": hex(x)}
        if kind is float:
            return x if math.isfinite(x) else {"float": repr(x)}
        if kind in (Tensor, Parameter):
            tag, trained = ("tensor", False) if kind is Tensor else ("parameter", True)
            more = {} if x.requires_grad is trained else {"requires_grad": x.requires_grad}
            return {tag: self.store(x.array, path), **more}
        if kind is np.ndarray:
            return {"array": self.store(x, path)}
        if isinstance(x, np.generic) and x.dtype.kind in "biuf" and x.dtype.itemsize <= 8:
            return {"scalar": [x.dtype.name, self.describe(x.item(), path)]}
        if kind is bytes:
            return {"bytes": base64.b64encode(x).decode()}
        if kind is dtype:
            return {"dtype": x.name}
        if kind is device:
            return {"device": str(x)}
        if kind is not list and kind not in _TAGS:
            self.refuse(x, path)
        if id(x) in self.inside:
            raise ValueError(f"save: {_spelled(path)} contains itself")
        self.inside.append(id(x))
        if isinstance(x, Mapping):
            body = [[self.describe(k, (*path, k)), self.describe(v, (*path, k))] for k, v in x.items()]
        else:
            body = [self.describe(v, (*path, i)) for i, v in enumerate(x)]
        self.inside.pop()
        return body if kind is list else {_TAGS[kind]: body}

    def store(self, array: Any, path: tuple[Any, ...]) -> str:
        """The name under which the array stands in the file: that of another with the same memory, or a new one."""
        address = (
            array.ctypes.data if isinstance(array, np.ndarray) else (str(backend.device_of(array)), array.data.ptr)
        )
        memory = (address, array.shape, array.strides, array.dtype.str)
        if memory in self.names:
            return self.names[memory]
        name = ".".join(map(str, path)).encode(errors="replace").decode() or "tensor"
        while name in self.tensors or name == "__metadata__":  # {"a": {"b": x}, "a.b": y}
            name += "~"
        try:
            kind = dtypes.ours(array.dtype).numpy
        except TypeError:
            self.refuse(array, path)
        host = np.array(backend.to_numpy(array), dtype=kind, order="C", copy=None)
        self.names[memory], self.tensors[name] = name, host
        self.alive.append(array)
        return name

    def refuse(self, x: Any, path: tuple[Any, ...]) -> NoReturn:
        what = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
        advice = "save its .state_dict()" if isinstance(x, Module) or hasattr(x, "state_dict") else "save its contents"
        if isinstance(x, Module):
            advice = "write save(model.state_dict(), ...) and later model.load_state_dict(load(...))"
        raise TypeError(
            f"save: {_spelled(path)} is {what}, which a file of tensors, numbers, strings and containers of them "
            f"cannot hold: {advice}"
        )


class _Reader:
    """Turns such JSON back into the structure, with the tensors on one device."""

    def __init__(self, arrays: dict[str, np.ndarray], where: device):
        self.arrays, self.where = arrays, where
        self.tensors: dict[str, Tensor] = {}

    def tensor(self, name: str) -> Tensor:
        if name not in self.tensors:
            self.tensors[name] = wrap(backend.to_device(self.arrays[name], self.where))
        return self.tensors[name].detach()

    def rebuild(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.rebuild(x) for x in node]
        if not isinstance(node, dict):
            return node
        tag, value = next(iter(node.items()), ("", None))  # type: tuple[str, Any]
        if tag in _SEQUENCES:
            return _SEQUENCES[tag](self.rebuild(x) for x in value)
        if tag in _MAPPINGS:
            return _MAPPINGS[tag]([(self.rebuild(k), self.rebuild(v)) for k, v in value])
        match tag:
            case "tensor":
                return self.tensor(value).requires_grad_(node.get("requires_grad", False))
            case "parameter":
                return Parameter(self.tensor(value), node.get("requires_grad", True))
            case "array":
                return self.arrays[value]
            case "scalar":
                return dtypes.ours(np.dtype(value[0])).numpy.type(self.rebuild(value[1]))
            case "int":
                return int(value, 16)
            case "float":
                return float(value)
            case "bytes":
                return base64.b64decode(value)
            case "dtype":
                return dtypes.ours(np.dtype(value))
            case "device":
                return device(value)
        raise ValueError(f"unknown entry {tag!r}")


def _spelled(path: tuple[Any, ...]) -> str:
    return "obj" + "".join(f"[{key!r}]" for key in path)


def _checksum(structure: str, arrays: dict[str, np.ndarray]) -> str:
    """CRC-32 of the structure and, in the order of their names, of each tensor's name, type, shape and bytes."""
    crc = zlib.crc32(structure.encode())
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(f"{name} {array.dtype.name} {array.shape}".encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


# ------------------------------------------------------------------------------------------------------------------ files


def _bytes(f: Any, name: str, mmap: bool | None) -> tuple[Any, Callable[[], Any]]:
    """A file's contents, and what has safetensors look through them."""
    from safetensors import deserialize, safe_open

    if hasattr(f, "read"):
        if mmap:
            raise ValueError("load: mmap=True needs the path of a file")
        data = f.read()
        return data, lambda: deserialize(data)
    with open(f, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b"", lambda: None
        data = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)

    def check() -> None:
        with safe_open(f, framework="numpy"):
            pass

    return data, check


def _place(map_location: Any) -> device:
    if isinstance(map_location, Mapping):
        map_location = map_location.get("cpu")
    if map_location is None or callable(map_location):  # as in lambda storage, location: storage
        return device("cpu")
    return device(map_location)


def _refuse(name: str, data: Any) -> NoReturn:
    """Say what a file is that is no safetensors file."""
    if len(data) == 0:
        raise RuntimeError(f"load: {name} is empty")
    if data[:4] == b"PK\x03\x04" or data[:1] == b"\x80" or data[257:262] == b"ustar":
        raise RuntimeError(
            f"load: {name} is a pickle, as torch.save writes it, which could run code and is never opened. Where torch is "
            f'installed, convert it: safetensors.torch.save_file(torch.load(path, weights_only=True), "x.safetensors")'
        )
    raise RuntimeError(f"load: {name} is not a safetensors file, or its beginning is damaged")


__all__ = ["load", "save"]
