"""Kernels compiled together by NVRTC are refused as they are alone."""

import json
import re
from pathlib import Path

import pytest
from cupy_without_gpu import emulator
from cupy_without_gpu.emulator import nvrtc

if not emulator.installed():
    reason = emulator.unavailable() or "pytest --backend=cupysim"
    pytest.skip(f"NVRTC comes with the CuPy emulator: {reason}", allow_module_level=True)

import cupy

HEADERS = "#include <cupy/complex.cuh>\n#include <cupy/carray.cuh>\n#include <cupy/atomics.cuh>\n"
INCLUDE = Path(cupy.__file__).parent / "_core/include"
OPTIONS = [
    "--std=c++17",
    *(f"-I{INCLUDE}/cupy/_cccl/{library}" for library in ("cub", "thrust", "libcudacxx")),
    *(f"-I{folder}" for folder in (INCLUDE, INCLUDE.parents[2] / "nvidia/cu13/include")),
]


def kernel(source, headers=HEADERS, names=()):
    return json.dumps({"source": headers + source, "options": OPTIONS, "names": list(names)})


def k(body, before="", parameters="float* x", name="k"):
    return kernel(f'{before}\nextern "C" __global__ void {name}({parameters}) {{ {body} }}\n')


GOOD = [
    k("x[0] = SCALE * T(1);", "#define SCALE 2\ntypedef float T;"),
    k("x[0] = half_of(x[1]);", "__device__ float half_of(float v) { return v / 2; }"),
    k("x[0] = box<T>{3}.value;", "typedef double T;\n#define SCALE 3\ntemplate <class V> struct box { V value; };"),
]

BAD = {
    "a syntax error": [k("x[0] = ;")],
    "an undeclared name": [k("x[0] = y;")],
    "a neighbour's type": [k("x[0] = T(1);")],
    "a neighbour's function": [k("x[0] = half_of(1);")],
    "a neighbour's template": [k("x[0] = box<float>{1}.value;")],
    "a neighbour's macro": [k("x[0] = SCALE;")],
    "a neighbour's kernel": [k("auto f = &k; x[0] = f != nullptr;", name="other")],
    "a function of the host": [k("x[0] = f();", "__host__ float f() { return 1; }")],
    "INFINITY without its header": [k("x[0] = INFINITY;")],
    "float16 without its header": [k("x[0] = float16(1);")],
    "two kernels of one name": [k("", 'extern "C" __global__ void k(int* y) {}')],
    "a kernel with a header's name": [k("", name="sinf")],
    "a kernel with the name of a header's class": [k("", name="CIndexer")],
    "a type with a header's name": [k("", "typedef float atomicAdd;")],
    "a function that hides a header's": [
        k("x[0] = max(1, 2.0f);", "__device__ float max(float a, float b) { return a; }")
    ],
    "a redefined class": [k("", "template <typename T> class complex {};\nstruct CIndexer {};")],
    "too much shared memory": [k("__shared__ float s[1 << 16]; s[threadIdx.x] = *x; __syncthreads(); *x = s[5];")],
    "a function that is only declared": [k("x[0] = nowhere(1);", "__device__ float nowhere(float);")],
    "a condition that does not end": [k("", "#if 1")],
    "a brace too many": [k("}")],
    "a brace too few": [k("{")],
    "text swallowed from one to the next": [k("", "#ifdef NEVER"), k("", "#endif")],
    "a comment from one to the next": [k("/*"), k("*/")],
    "braces from one to the next": [k("", "namespace a {"), k("}")],
    "a helper with C linkage, in another": [
        k("x[0] = f(1);", 'extern "C" __device__ float f(float);'),
        k("x[0] = f(1);", 'extern "C" __device__ float f(float v) { return v; }'),
    ],
    "a template that does not compile": [
        kernel("template<class T> __global__ void k(T* x) { *x = T::no; }", names=["k<float>"])
    ],
}


@pytest.fixture(autouse=True)
def one_architecture(monkeypatch):
    monkeypatch.setattr(nvrtc, "ARCHITECTURES", (90,))


def together(kernels):
    """What nvrtc.py says of each kernel."""
    units = nvrtc.units(kernels)
    found = {k: refusal for unit in units for k, refusal in zip(unit, nvrtc.refusals(unit), strict=True)}
    return [found[k] for k in kernels]


def test_good_kernels_share_a_unit_that_has_them_all(monkeypatch):
    assert nvrtc.units(GOOD) == [GOOD]
    monkeypatch.setattr(nvrtc, "compile", lambda kernel, *architectures: compiled.append(kernel))
    compiled = []
    assert together(GOOD) == [None] * 3
    (unit,) = compiled
    assert re.findall(r"void (\w+)", json.loads(unit)["source"]) == ["k_0", "k_1", "k_2"]


def test_good_kernels_pass():
    real = nvrtc.compile
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nvrtc, "compile", lambda *a: calls.append(a) or real(*a))
        assert together(GOOD) == [None] * 3
    assert len(calls) == 1  # in one unit, which was not refused


@pytest.mark.parametrize("what", BAD)
def test_refused_together_as_alone(what):
    """Among good neighbours, before and behind, a kernel is refused, and no neighbour is."""
    bad = BAD[what]
    alone = [nvrtc.compile(k, 90) for k in bad]
    assert any(alone)
    assert together([*GOOD[:2], *bad, GOOD[2]]) == [None, None, *alone, None]
