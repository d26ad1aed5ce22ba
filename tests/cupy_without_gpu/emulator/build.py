"""Builds the emulator: `python tests/cupy_without_gpu/emulator/build.py`, with the interpreter that is to import cupy.

It takes two minutes, packages from PyPI, g++, and 500 MB: CuPy's wheel and NVIDIA's compiler and headers are installed
beside the running interpreter's packages; CuPy's one module that is linked against the CUDA runtime is built again, from
CuPy's own source and the functions of runtime.cpp; the results go to .emulator/ at the root of the repository. Where they
are up to date, nothing happens.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[2] / ".emulator"
STAMP = BUILD / "stamp"

CUPY = "14.2.0"
PACKAGES = [
    f"cupy-cuda13x=={CUPY}",
    "nvidia-cuda-nvrtc==13.5.37",
    "nvidia-cuda-runtime==13.5.37",  # headers: the types of the runtime's functions
    "nvidia-cuda-crt==13.5.37",  # headers that those include
    "Cython==3.2.4",  # the version that CuPy's wheel was made with: the new module must fit the old ones
    "setuptools==80.10.2",  # later ones lack pkg_resources, which CuPy's setup.py imports
]
CYTHON = [
    *("-X", "embedsignature=True,c_api_binop_methods=True,binding=False,freethreading_compatible=True"),
    *("-X", "warn.deprecated.IF=False"),
    *("-E", "CUPY_USE_CUDA_PYTHON=False,CUPY_CUFFT_STATIC=False,CUPY_CYTHON_VERSION=3.2.4"),
    *("-E", "CUPY_CUDA_VERSION=13020,CUPY_HIP_VERSION=0"),
]


def stamp() -> str:
    """What the build depends on, as a hash."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    for path in [Path(__file__), HERE / "device.h", *sorted(HERE.glob("*.cpp"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def up_to_date() -> bool:
    return STAMP.exists() and STAMP.read_text() == stamp()


def why_not() -> str | None:
    """Why this machine cannot run the emulator; None if it can."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return f"the emulator runs on Linux x86-64 only; this is {platform.system()} {platform.machine()}"
    if sys.implementation.name != "cpython" or sys.version_info[:2] != (3, 11):
        return f"the emulator is made for CPython 3.11; this is {platform.python_implementation()} {platform.python_version()}"
    if shutil.which("g++") is None:
        return "the emulator needs g++ (Debian, Ubuntu: apt install g++)"
    return None


def run(*command: object, **more: object) -> str:
    done = subprocess.run([str(c) for c in command], cwd=BUILD, text=True, capture_output=True, **more)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"this command failed:\n{' '.join(map(str, command))}\n{done.stdout[-3000:]}{done.stderr[-6000:]}")
    return done.stdout


def symbols(kind: str, prefix: str, *files: object) -> set[str]:
    """The functions with that prefix that the files define ("defined") or ask for ("undefined")."""
    names = (
        line.split()[-1].split("@")[0] for line in run("nm", f"--{kind}-only", *files).splitlines() if line.strip()
    )
    return {name for name in names if name.startswith(prefix)}


def not_supported(names: set[str], status: int, file: str) -> str:
    """A source file of functions that return that status, whatever they are asked: CuPy makes an exception of it."""
    (BUILD / file).write_text("".join(f"int {name}(void) {{ return {status}; }}\n" for name in sorted(names)))
    return file


def build() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir()
    print("installing", *PACKAGES, flush=True)
    run(sys.executable, "-m", "pip", "install", "-q", *PACKAGES)

    print("downloading CuPy's source", flush=True)
    environment = os.environ | {
        "CUPY_INSTALL_USE_STUB": "1"
    }  # pip asks setup.py for the package's name; this keeps it short
    download = ["download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", f"cupy=={CUPY}"]
    run(sys.executable, "-m", "pip", *download, env=environment)
    with tarfile.open(BUILD / f"cupy-{CUPY}.tar.gz") as archive:
        archive.extractall(
            BUILD, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
        )  # not before 3.11.4
    source = BUILD / f"cupy-{CUPY}"

    print("building CuPy's runtime module, the device, and cuBLAS", flush=True)
    name = "cupy_backends.cuda.api.runtime"
    pyx = source / (name.replace(".", "/") + ".pyx")
    run(
        sys.executable,
        "-m",
        "cython",
        "--cplus",
        "-3",
        *CYTHON,
        "-I",
        source,
        "--module-name",
        name,
        "-o",
        "module.cpp",
        pyx,
    )
    packages = Path(sysconfig.get_path("purelib"))
    (BUILD / "cuda_profiler_api.h").write_text('extern "C" { cudaError_t cudaProfilerStart(), cudaProfilerStop(); }\n')
    include = [
        BUILD,
        packages / "nvidia/cu13/include",
        *(source / folder for folder in ("cupy_backends/cuda/api", "cupy_backends", ".")),
        sysconfig.get_path("include"),
        packages / "numpy/_core/include",
    ]
    flags = ["-std=c++17", "-fPIC", "-w", *(f"-I{folder}" for folder in include)]
    cython_flags = [
        "-O1",
        '-DCYTHON_EXTERN_C=extern "C"',
        "-DNPY_TARGET_VERSION=NPY_2_0_API_VERSION",
        "-DCUPY_CACHE_KEY=emulator",
    ]
    run("g++", *flags, *cython_flags, "-include", "cuda_runtime.h", "-c", "module.cpp")
    run("g++", *flags, "-O2", "-c", HERE / "runtime.cpp")
    run("g++", *flags, "-O3", "-ffp-contract=off", "-c", HERE / "cublas.cpp")
    run("g++", *flags, "-O2", "-fno-strict-aliasing", "-c", HERE / "device.cpp")

    missing = symbols("undefined", "cuda", "module.o") - symbols("defined", "cuda", "runtime.o")
    run("gcc", "-fPIC", "-c", not_supported(missing, 801, "runtime_rest.c"))
    run("g++", "-shared", "module.o", "runtime.o", "runtime_rest.o", "-o", "runtime.so")
    wanted = symbols("undefined", "cublas", "-D", *packages.glob("cupy_backends/cuda/libs/cublas.*.so"))
    run("gcc", "-fPIC", "-c", not_supported(wanted - symbols("defined", "cublas", "cublas.o"), 15, "cublas_rest.c"))
    (BUILD / "cublas.map").write_text("libcublas.so.13 { global: *; };\n")  # CuPy asks for these versioned names
    run(
        *("g++", "-shared", "-Wl,-soname,libcublas.so.13", "-Wl,--version-script=cublas.map"),
        *("cublas.o", "cublas_rest.o", "-o", "libcublas.so.13"),
    )
    run("g++", "-shared", "-Wl,-soname,libcuda.so.1", "device.o", "-o", "libcuda.so.1", "-ldl", "-lm")

    STAMP.write_text(stamp())
    print("the emulator is built, in", BUILD.name, flush=True)


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    if up_to_date():
        print("the emulator is up to date")
    else:
        build()
