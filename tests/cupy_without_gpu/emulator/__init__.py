"""The real CuPy on a CPU: install() before `import cupy`.

CuPy's compiled modules stay as they are but for two: `runtime`, whose CUDA runtime is host memory, and `thrust`, where NumPy
sorts. The libraries that they ask for, libcuda and libcublas, are stand-ins. Every kernel that CuPy generates, and every
kernel of ours, is compiled by g++, cached in .emulator/cache, and kept there as source for nvrtc.py.

Environment variables, read when they matter, so that they may change during a run: SIM_ORDER=0|1|n runs blocks and threads
forward, backward, or shuffled with seed n; SIM_TRACE=1 prints every launch; SIM_MEMORY is the device's memory in MiB (4096);
SIM_NVRTC=1 has NVRTC compile each new kernel at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from . import build

HERE = build.HERE
CACHE = build.BUILD / "cache"

_REPLACED = {"cupy_backends.cuda.api.runtime": build.BUILD / "runtime.so", "cupy.cuda.thrust": HERE / "thrust.py"}
_libraries: list[ctypes.CDLL] = []  # stay loaded: CuPy finds them by name
_allocating = threading.RLock()


class NotBuilt(RuntimeError):
    """The emulator is not built for this interpreter; the message has the command."""


def unavailable() -> str | None:
    """Why install() would fail, in a sentence; None if the emulator is ready."""
    if reason := build.why_not():
        return reason
    if not build.up_to_date():
        command = f"python {build.HERE.relative_to(build.BUILD.parent)}/build.py"
        return f"the CuPy emulator is not built, or not from this source: {command}"
    return None


def installed() -> bool:
    return bool(_libraries)


def install() -> None:
    """Lets `import cupy` give the real CuPy, computing on this CPU.

    Raises:
        NotBuilt: with the command that builds the emulator.
    """
    if installed():
        return
    if reason := unavailable():
        raise NotBuilt(reason)
    if "cupy" in sys.modules:
        raise RuntimeError("cupy is imported already: emulator.install() must come first")
    os.environ["CUPY_ACCELERATORS"] = ""  # not CUB, which is compiled device code; CuPy's own reductions instead
    os.environ["CUPY_CI"] = "1"  # that libcublasLt is not found is no error: libcublas is, below
    for name in ("libcuda.so.1", "libcublas.so.13"):
        _libraries.append(ctypes.CDLL(str(build.BUILD / name), mode=ctypes.RTLD_GLOBAL))
    sys.meta_path.insert(0, _Finder())
    import cupy
    from cupy.cuda import compiler

    compiler._compile_with_cache_cuda = _compile
    cupy.cuda.set_allocator(_allocate)


def _allocate(size: int) -> Any:
    """CuPy's memory pool, but every array gets a block of its own, of its exact size, with no old values in it."""
    import cupy

    pool = cupy.get_default_memory_pool()
    shrink = _libraries[0].device_shrink
    shrink.restype = ctypes.c_bool
    with _allocating:
        while True:
            pool.free_all_blocks()
            memory = pool.malloc(size)
            if not size or shrink(ctypes.c_void_p(memory.ptr), ctypes.c_size_t(size)):
                return memory
            del memory  # another thread freed an array after free_all_blocks, and the pool gave us that


class _Finder:
    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        return importlib.util.spec_from_file_location(name, _REPLACED[name]) if name in _REPLACED else None


# ------------------------------------------------------------------------------------------------------------ kernels by g++

# The driver g++ takes as long as the compiler proper, so cc1plus, as and ld are called without it. -O1 is the fastest to
# compile and run together; contraction stays off, so that a * b + c is rounded twice, as with NVRTC's --fmad=false.
FLAGS = [
    *(
        "-quiet",
        "-std=c++17",
        "-O1",
        "-ffp-contract=off",
        "-fno-strict-aliasing",
        "-fPIC",
        "-fno-gnu-unique",
        "-fpermissive",
    ),
    *("-w", "-fno-asynchronous-unwind-tables", "-fno-exceptions", "-fno-rtti", "-D_GNU_SOURCE"),
]


def _run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the emulator cannot compile this kernel:\n{done.stderr[:6000]}")


@functools.cache
def _compiler() -> tuple[str, ...]:
    """cc1plus with its flags, and kernel.h precompiled."""
    import cupy

    program, multiarch = (
        subprocess.run(["g++", option], check=True, capture_output=True, text=True).stdout.strip()
        for option in ("-print-prog-name=cc1plus", "-print-multiarch")
    )
    include = [HERE / "include", Path(cupy.__file__).parent / "_core" / "include"]
    command = (
        program,
        *FLAGS,
        *(["-imultiarch", multiarch] if multiarch else []),
        *(f"-I{folder}" for folder in include),
    )
    header = CACHE / f"kernel-{_key(*command)}" / "kernel.h"
    if not header.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            new = Path(folder) / "new"
            new.mkdir()
            (new / "kernel.h").write_bytes((HERE / "kernel.h").read_bytes())
            _run(*command, new / "kernel.h", "-o", os.devnull, f"--output-pch={new}/kernel.h.gch")
            with contextlib.suppress(OSError):  # another process was faster
                new.rename(header.parent)
    return (*command, "-include", str(header))


@functools.cache
def _prelude() -> bytes:
    return b"".join(path.read_bytes() for path in [HERE / "kernel.h", *sorted((HERE / "include").rglob("*.*h"))])


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode() + _prelude()).hexdigest()[:32]


def _compile(
    source: str,
    options: tuple[str, ...],
    arch: Any,
    extra_source: Any = None,
    backend: str = "nvrtc",
    enable_cooperative_groups: bool = False,
    name_expressions: Any = None,
    log_stream: Any = None,
    cache_in_memory: bool = False,
    jitify: bool = False,
    to_ltoir: bool = False,
) -> Any:
    """What CuPy calls to make a module of a kernel's source (compiler._compile_with_cache_cuda)."""
    from cupy.cuda import function

    if backend != "nvrtc" or enable_cooperative_groups or jitify or to_ltoir or "-DCUPY_USE_JITIFY" in options:
        raise NotImplementedError("the emulator compiles kernels for NVRTC, without jitify, cooperative groups and LTO")
    names = list(name_expressions or ())
    path = CACHE / f"{_key(source, options, names, FLAGS)}.so"
    if not path.exists():
        kernel = json.dumps({"source": source, "options": options, "names": names})
        if os.environ.get("SIM_NVRTC", "0") != "0":
            from . import nvrtc

            if error := nvrtc.compile(kernel, 90):
                raise RuntimeError(f"NVRTC refuses this kernel: {error}")
        command = [*_compiler(), *(option for option in options if option.startswith("-D"))]
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            cpp, s, o, so = (Path(folder) / f"kernel.{suffix}" for suffix in ("cpp", "s", "o", "so"))
            cpp.write_text(_for_gpp(source, names))
            _run(*command, cpp, "-o", s)
            _run("as", s, "-o", o)
            _run("ld", "-shared", o, "-o", so)
            cpp.write_text(kernel)
            cpp.rename(path.with_suffix(".json"))
            so.rename(path)
    module = function.Module()
    module.load_file(str(path))
    if names:
        module._set_mapping({name: f"expression_{i}" for i, name in enumerate(names)})
    return module


_ATTRIBUTES = r"(?:__launch_bounds__\s*\([^)]*\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+{_ATTRIBUTES}void\s+{_ATTRIBUTES}(\w+)\s*\(")
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\((?:[^()]|\([^()]*\))*\)\s+)?([\w:<> ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)


def _for_gpp(source: str, names: list[str]) -> str:
    """The kernel with what g++ does not know spelled out, and one function for the device to call per kernel."""
    source = _DYNAMIC.sub(r"\1* \2 = (\1*)dynamic_shared_memory;", source)
    if names:
        exports = [f"EXPORT(expression_{i}, ({name}))" for i, name in enumerate(names)]
    else:
        exports = [f"EXPORT({name}, {name})" for name in dict.fromkeys(_KERNEL.findall(source))]
    return "\n".join([source, *exports, ""])
