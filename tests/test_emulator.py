"""The CuPy emulator against NumPy: what minigrad uses of CuPy, and that each kind of mistake is seen."""

import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cupy_without_gpu import emulator

if not emulator.installed():
    reason = emulator.unavailable() or "pytest --backend=cupysim"
    pytest.skip(f"these tests run on the CuPy emulator: {reason}", allow_module_level=True)

import cupy as cp
import cupyx

FLOATS = ["float16", "float32", "float64"]
rng = np.random.default_rng(0)


def same(f, *arrays, rtol=0.0):
    """f(xp, *arrays) gives NumPy's values, dtypes and shapes."""
    want = f(np, *arrays)
    got = f(cp, *(cp.asarray(a) for a in arrays))
    for x, y in zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]:
        x, y = np.asarray(x), cp.asnumpy(y)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_allclose(y.astype("f8"), x.astype("f8"), rtol=rtol, atol=rtol)


def tolerance(dtype):
    return {"float16": 4e-3, "float32": 2e-6, "float64": 1e-14}[dtype]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "abs", "sign", "trunc", "floor", "log1p", "expm1"])
def test_elementwise(name, dtype):
    x = rng.uniform(0.1, 2, (3, 4, 5)).astype(dtype)
    same(lambda xp, a: getattr(xp, name)(a), x, rtol=tolerance(dtype))
    same(lambda xp, a: getattr(xp, name)(a.T[1:]), x, rtol=tolerance(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["sum", "max", "min", "mean", "argmax", "any", "count_nonzero", "cumsum", "sort", "var"]
)
@pytest.mark.parametrize("axis", [0, -1])
def test_reductions_and_sorting(name, dtype, axis):
    x = rng.integers(-3, 4, (6, 80)).astype(dtype)
    same(
        lambda xp, a: getattr(xp, name)(a, axis=axis), x, rtol=0.0 if name not in ("mean", "var") else tolerance(dtype)
    )


def test_a_long_reduction_uses_every_thread_of_a_block():
    x = rng.integers(-9, 9, (3, 10_000)).astype("f8")
    same(lambda xp, a: (a.sum(), a.sum(axis=0), a.sum(axis=1), a.cumsum(), a.max(axis=1)), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_products(dtype):
    a, b = (rng.integers(-3, 4, shape).astype(dtype) for shape in [(2, 3, 7, 5), (2, 3, 5, 9)])
    same(lambda xp, a, b: a @ b, a, b)
    same(lambda xp, a, b: a @ b[0], a, b)
    same(lambda xp, a: a @ a.swapaxes(-1, -2), a)
    same(lambda xp, a, b: a.transpose(1, 0, 2, 3) @ b.transpose(1, 0, 2, 3), a, b)
    same(
        lambda xp, a, b: (a[0, 0] @ b[0, 0], a[0, 0, 0] @ b[0, 0], a[0, 0] @ b[0, 0, :, 0], a[0, 0, 0] @ b[0, 0, :, 0]),
        a,
        b,
    )
    same(lambda xp, a, b: xp.einsum("bhij,bhjk->bihk", a, b), a, b)
    same(lambda xp, a, b: xp.tensordot(a, b, axes=([1, 3], [1, 2])), a, b)


def test_stable_sort_search_and_counting():
    x = rng.integers(0, 9, 300)
    same(lambda xp, a: xp.argsort(a, kind="stable"), x)
    same(lambda xp, a: xp.searchsorted(xp.sort(a), xp.arange(10)), x)
    same(lambda xp, a: (*xp.unique(a, return_inverse=True, return_counts=True), xp.bincount(a), *xp.nonzero(a > 4)), x)
    same(lambda xp, a: xp.argsort(a), np.array([1.0, np.nan, -np.inf, 0.0, np.inf]))


def test_indexing():
    x = rng.standard_normal((5, 4, 3)).astype("f4")
    index = np.array([[0, 4], [-1, 2]])
    same(lambda xp, a, i: (a[i], a[:, i % 4], xp.take(a, i, axis=0), a[a > 0]), x, index)
    same(lambda xp, a: xp.take_along_axis(a, a.argsort(axis=1)[:, :2], axis=1), x)

    def scatter(xp, a, i):
        out = xp.zeros(5)
        xp.add.at(out, i, 2.0)
        return out

    same(scatter, x, index)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_erf(dtype):
    from cupyx.scipy.special import erf

    x = np.linspace(-4, 4, 99).astype(dtype)
    want = np.array([math.erf(v) for v in x.tolist()])
    np.testing.assert_allclose(erf(cp.asarray(x)).get(), want, rtol=tolerance(dtype))


def test_what_is_absent_is_an_error():
    with pytest.raises(ImportError, match="libcurand"):
        cp.random.seed(0)
    with pytest.raises(ImportError, match="libcusolver"):
        cp.linalg.qr(cp.eye(3))


# ------------------------------------------------------------------------------------------------------------ our own kernels


def kernel(body, parameters="float* x", name="k"):
    return cp.RawKernel(f'extern "C" __global__ void {name}({parameters}) {{ {body} }}', name)


def test_threads_exchange_values_at_barriers_and_in_warps():
    x = cp.arange(256, dtype="f4")
    kernel(
        "extern __shared__ float s[]; __shared__ float t[256]; int i = threadIdx.x;"
        "s[i] = x[i]; __syncthreads(); t[i] = s[255 - i]; __syncthreads(); x[i] = __shfl_down_sync(~0u, t[i], 1);"
    )((1,), (256,), (x,), shared_mem=1024)
    want = np.arange(255, -1, -1)
    want = np.where(np.arange(256) % 32 == 31, want, want - 1)  # the last lane keeps its own
    np.testing.assert_array_equal(x.get(), want)


def test_several_host_threads_may_launch_kernels():
    """The host's threads run at the same time; a device that is one of a kind must take their kernels one by one.

    What one thread frees the pool may give to another: whole, or a part of it.
    """
    found = []

    def work(i):
        for n in range(300):
            size = 1000 * (n * (i + 1) % 7 + 1)
            found.append(float(cp.full((size,), float(i)).sum()) == size * i)

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert found == [True] * 1200


def test_a_template_kernel():
    module = cp.RawModule(
        code="template<class T> __global__ void fill(T* x, T v) { x[threadIdx.x] = v; }",
        name_expressions=["fill<float>", "fill<long long>"],
        options=("--std=c++17",),
    )
    for dtype, name in (("f4", "fill<float>"), ("i8", "fill<long long>")):
        x = cp.empty(3, dtype)
        module.get_function(name)((1,), (3,), (x, np.dtype(dtype).type(7)))
        assert x.tolist() == [7, 7, 7]


@pytest.mark.parametrize("order", [0, 1, 7])
def test_the_order_of_threads_is_chosen_by_sim_order(order, monkeypatch):
    monkeypatch.setenv("SIM_ORDER", str(order))
    turns = cp.zeros(6, "i4")
    count = cp.zeros(1, "i4")
    kernel("turns[blockIdx.x * 2 + threadIdx.x] = atomicAdd(count, 1);", "int* turns, int* count")(
        (3,), (2,), (turns, count)
    )
    assert sorted(turns.tolist()) == list(range(6))
    assert (turns.tolist() == list(range(6)), turns.tolist() == list(range(5, -1, -1))) == (order == 0, order == 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x % 2) __syncthreads(); else __syncwarp();", "barrier divergence"),
        ("if (threadIdx.x == 0) x[64] = 1;", "wrote before or after a block of 256 bytes"),
        ("if (threadIdx.x == 0) x[-1] = 1;", "wrote before or after a block of 256 bytes"),
        ("x[1ll << 40] = 1;", "illegal memory access"),
        ("x[0] = 1 / (int)(threadIdx.x - threadIdx.x);", "divided by zero"),
        ("assert(threadIdx.x < 3);", "device-side assert: threadIdx.x < 3"),
    ],
)
def test_a_wrong_kernel_raises_and_the_next_one_runs(body, message):
    x = cp.zeros(64, "f4")
    with pytest.raises(cp.cuda.driver.CUDADriverError, match=message):
        kernel(body)((1,), (64,), (x,))
    assert float((x * 0 + 1).sum()) == 64


def test_fresh_memory_is_soiled():
    for dtype in FLOATS:
        assert bool(cp.isnan(cp.empty(100, dtype)).all())
    x = cp.zeros(1, "f4")
    kernel("__shared__ float s; x[0] = s;")((1,), (1,), (x,))
    assert math.isnan(float(x[0]))


def test_memory_ends():
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.empty(5 << 30, "u1")


def test_a_hidden_synchronisation_is_seen():
    x = cp.arange(5)
    with cupyx.allow_synchronize(False):
        y = x + 1
        with pytest.raises(cupyx.DeviceSynchronized):
            float(y[0])


def test_nothing_is_installed_after_cupy():
    code = "import cupy; from cupy_without_gpu import emulator; emulator.install()"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert "cupy is imported already" in done.stderr
