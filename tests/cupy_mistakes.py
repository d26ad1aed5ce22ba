"""Mistakes of people who think in NumPy, put into the engine one by one: do the tests notice, without a GPU?

    python tests/cupy_mistakes.py                          # all of them: what caught each, and how many were caught
    python tests/cupy_mistakes.py --backend fakecupy       # without the emulator, which then need not be built
    python tests/cupy_mistakes.py --only add.at            # those with this in their name

Each mistake is one edit of a copy of the package, and is right on NumPy: the tests named beside it pass there. They are run
on the fake of CuPy and, where it notices nothing, on the emulator, and the lint reads the file. Before, without a mistake,
all of them must pass.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SLOWEST = 120  # seconds for the tests of one mistake

V = "test_ops.py::test_values_and_gradients"
N = "test_ops.py::test_values_without_gradient"
NEAR_INFINITY = "test_ops.py::test_infinite_tiny_and_undefined_numbers"
WAITS_NOT = "test_cuda.py::test_does_not_wait"
LATE = "test_cuda.py::test_ids_that_only_the_gpu_knows_are_named_at_the_next_copy"
KERNEL = "test_kernels.py::test_a_kernel_computes_its_array_form"
ORDER = "test_kernels.py::test_the_order_of_threads_changes_no_bit"
SEGMENT_SUM = "test_kernels.py::test_scatter_add_is_the_sequential_sum_bit_for_bit"


class Mistake(NamedTuple):
    name: str
    file: str
    right: str  # stands in the file exactly once
    wrong: str
    test: str  # notices it


MISTAKES = [
    # ------------------------------------------------------------------------------- keywords and names that CuPy lacks
    Mistake(
        "take(mode='clip')",
        "backend.py",
        "return table.take(asarray(index, like=table), axis=0)",
        "return table.take(asarray(index, like=table), axis=0, mode='clip')",
        f"{V}[F.embedding(ids, w)]",
    ),
    Mistake(
        "a ufunc's where=",
        "fused/cross_entropy.py",
        "return y, xp.where(weight != 0, losses * weight, 0)",
        "return y, xp.multiply(losses, weight, out=xp.zeros_like(losses), where=weight != 0)",
        f"{V}[F.cross_entropy(x, ids, ignore_index=ignored)]",
    ),
    Mistake(
        "max(initial=)",
        "fused/softmax.py",
        "return x - x.max(axis=-1, keepdims=True)",
        "return x - x.max(axis=-1, keepdims=True, initial=-float('inf'))",
        f"{V}[F.log_softmax(x, dim=dim)]",
    ),
    Mistake(
        "sum(where=)",
        "fused/attention.py",
        "total = y.sum(axis=-1, keepdims=True)",
        "total = y.sum(axis=-1, keepdims=True, where=y > 0)",
        f"{V}[F.scaled_dot_product_attention(q, k, v)]",
    ),
    Mistake(
        "clip(min=, max=)",
        "kernels.py",
        "a = xp.clip(x, -5, 5)",
        "a = xp.clip(x, min=-5, max=5)",
        f"{NEAR_INFINITY}[t.erf(x)-float32]",
    ),
    Mistake(
        "argsort(kind='mergesort')",
        "ops/sorting.py",
        'return xp.argsort(x, axis=axis, kind="stable")',
        'return xp.argsort(x, axis=axis, kind="mergesort")',
        f"{N}[x.argsort(dim, descending=flag)]",
    ),
    Mistake(
        "argsort(stable=True)",
        "ops/sorting.py",
        'xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)',
        "xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, stable=True), axis)",
        f"{N}[x.argsort(dim, descending=flag)]",
    ),
    Mistake(
        "sort(kind='quicksort')",
        "ops/sorting.py",
        "in_order = namespace(x).sort(x.reshape(-1))",
        "in_order = namespace(x).sort(x.reshape(-1), kind='quicksort')",
        f"{V}[t.median(x)1]",
    ),
    Mistake(
        "vecdot",
        "fused/softmax.py",
        "gx -= y * gx.sum(axis=-1, keepdims=True)",
        "gx -= y * namespace(y).vecdot(y, g)[..., None]",
        f"{V}[F.softmax(x, dim=dim)]",
    ),
    Mistake(
        "xp.errstate",
        "ops/elementwise.py",
        "        return namespace(x).log(x)\n",
        "        with namespace(x).errstate(divide='ignore'):\n            return namespace(x).log(x)\n",
        f"{V}[t.log(x)]",
    ),
    Mistake(
        "as_strided(writeable=False)",
        "ops/windows.py",
        "as_strided(x, shape, strides)",
        "as_strided(x, shape, strides, writeable=False)",
        f"{V}[F.avg_pool1d(line[0], k[1], stride[1], padding[1])]",
    ),
    Mistake(
        "argmax(a, axis, out), by position",
        "ops/reduction.py",
        "    index = getattr(xp, name)(x.array.reshape(1) if x.ndim == 0 else x.array, axis=axis)\n",
        "    array = x.array.reshape(1) if x.ndim == 0 else x.array\n"
        "    index = xp.empty(array.shape[:axis] + array.shape[axis + 1 :], dtype=np.int64)\n"
        "    getattr(xp, name)(array, axis, index)\n",
        f"{V}[t.max(x, dim, flag)]",
    ),
    Mistake(
        "flags.writeable",
        "backend.py",
        "if isinstance(array, np.ndarray) and not array.flags.writeable",
        "if not array.flags.writeable",
        "test_optim.py::test_a_step_keeps_parameters_leaves_and_marks_them_as_changed",
    ),
    Mistake(
        "array.ctypes",
        "tensor.py",
        "return self.array.ctypes.data if isinstance(self.array, np.ndarray) else self.array.data.ptr",
        "return self.array.ctypes.data",
        "test_optim.py::test_a_step_keeps_parameters_leaves_and_marks_them_as_changed",
    ),
    # ----------------------------------------------------------------------------- NumPy's functions and arrays, mixed in
    Mistake(
        "np.where of a device's array",
        "ops/elementwise.py",
        "return namespace(x).where(x != x, 0, y).astype(x.dtype)",
        "return np.where(x != x, 0, y).astype(x.dtype)",
        f"{V}[t.sign(x)]",
    ),
    Mistake(
        "np.arange as an index's part",
        "ops/indexing.py",
        "flat = flat + (xp.arange(n) * strides[i])",
        "flat = flat + (np.arange(n) * strides[i])",
        f"{V}[x.gather(dim, whole)] {V}[t.scatter_add(x, dim, i, src)]",
    ),
    Mistake(
        "np.ones for a missing weight",
        "fused/norm.py",
        "w = xp.ones(size, dtype=g.dtype) if weight is None else weight",
        "w = np.ones(size, dtype=g.dtype) if weight is None else weight",
        f"{V}[F.layer_norm(x, tuple(last), eps=eps)]",
    ),
    Mistake(
        "np.zeros as a gradient",
        "ops/elementwise.py",
        "zeros = namespace(g.array).zeros",
        "zeros = np.zeros",
        f"{V}[t.floor(x)]",
    ),
    Mistake(
        "np.array of 0-d results",
        "nn/utils/__init__.py",
        "each = xp.stack([xp.asarray(_norm(a, p), dtype=kind) for a in arrays])",
        "each = np.array([_norm(a, p) for a in arrays], dtype=kind)",
        "test_nn_utils.py::test_clip_grad_norm",
    ),
    Mistake(
        "np.transpose of a tuple of arrays",
        "ops/indexing.py",
        "return wrap(xp.stack(positions, axis=1)[:, : x.ndim])",
        "return wrap(np.transpose(positions)[:, : x.ndim])",
        f"{N}[t.nonzero(x)]",
    ),
    Mistake(
        "isinstance(x, np.ndarray) for: is it an array",
        "ops/elementwise.py",
        'x.shape if isinstance(x, np.ndarray) or hasattr(x, "shape") else ()',
        "x.shape if isinstance(x, np.ndarray | np.generic) else ()",
        f"{V}[t.floor(x)]",
    ),
    Mistake(
        "an optimizer's state on the host",
        "optim/optimizers.py",
        "exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))\n            if group",
        "exp_avg=wrap(np.zeros(p.shape, p.array.dtype)), exp_avg_sq=zeros_like(p))\n            if group",
        "test_optim.py::test_groups_have_their_own_options test_cuda.py::test_a_module_and_its_optimizer_move_together",
    ),
    Mistake(
        "random numbers used where they were drawn",
        "ops/inplace.py",
        "wrap(backend.to_device(values, x.device))",
        "wrap(values)",
        "test_small_print.py::test_gives_what_torch_gives[t.zeros(50).bernoulli_()]",
    ),
    Mistake(
        "the host's result of unique",
        "ops/sorting.py",
        "found = namespace(x.array).unique(x.array,",
        "found = np.unique(to_numpy(x.array),",
        f"{N}[t.unique(x.detach())]",
    ),
    Mistake(
        "np.asarray for the host's copy",
        "ops/sorting.py",
        "np.asarray(to_numpy(q.array) if isinstance(q, Tensor) else q,",
        "np.asarray(q.array if isinstance(q, Tensor) else q,",
        f"{V}[x.quantile(t.tensor([0.5, 0, 0.9], dtype=x.dtype), dim)]",
    ),
    Mistake(
        "a host algorithm without to_numpy",
        "ops/sorting.py",
        "rows = np.moveaxis(to_numpy(array), axis, -1)",
        "rows = np.moveaxis(array, axis, -1)",
        f"{V}[t.mode(x, dim, keepdim=flag)]",
    ),
    Mistake(
        "np.array for what is saved",
        "checkpoint.py",
        'np.array(backend.to_numpy(array), dtype=kind, order="C", copy=None)',
        'np.array(array, dtype=kind, order="C", copy=None)',
        "test_checkpoint.py::test_a_training_checkpoint_comes_back",
    ),
    Mistake(
        "a copy written to as if it were shared",
        "nn/module.py",
        "own[name].copy_(value)",
        "own[name].numpy(force=True)[...] = value.numpy(force=True)",
        "test_nn.py::test_load_state_dict[embedding]",
    ),
    # ------------------------------------------------------------------------------------------ 0-d arrays as if numbers
    Mistake(
        "a 0-d array as a place in a list",
        "tensor.py",
        "return int(self.item())\n",
        "return self.array.reshape(()).__index__()\n",
        "test_engine.py::test_a_number_leaves_as_pythons",
    ),
    Mistake(
        "in of an array",
        "tensor.py",
        "return bool((self.array == (element.array if isinstance(element, Tensor) else element)).any())",
        "return (element.array if isinstance(element, Tensor) else element) in self.array",
        "test_engine.py::test_a_number_leaves_as_pythons",
    ),
    Mistake(
        "xp.where of a Python bool",
        "backend.py",
        "found = last if largest else xp.where(",
        "found = xp.where(largest, last, last) if largest else xp.where(",
        f"{V}[t.scatter_reduce(x, dim, i, src, 'amax')]",
    ),
    # ------------------------------------------------------------------------------------ indices: repeated, out of range
    Mistake(
        "a[i] += v in scatter_add",
        "backend.py",
        "    if xp is not np:\n        return _segment_sum(y, index, rows)\n    out",
        "    if xp is not np:\n        out = xp.zeros((rows, *y.shape[1:]), dtype=y.dtype)\n"
        "        out[index] += y\n        return out\n    out",
        f"{V}[F.embedding(ids, w)]",
    ),
    Mistake(
        "a[i] += v in add_at",
        "backend.py",
        "        return x + _segment_sum(y, index, len(x))\n",
        "        x = x.copy()\n        x[index] += y\n        return x\n",
        "test_cuda.py::test_an_id_that_is_repeated_counts_every_time[scatter_add]",
    ),
    Mistake(
        "the last of several wins",
        "backend.py",
        "last = values[xp.maximum(end - 1, 0)]",
        "last = xp.zeros(len(x), dtype=values.dtype)\n    last[ids] = values",
        "test_cuda.py::test_an_id_that_is_repeated_counts_every_time[scatter_reduce, amax]",
    ),
    Mistake(
        "maximum.at",
        "backend.py",
        "    if xp is np:\n        out = x.copy()\n        (np.maximum if largest else np.minimum)",
        "    if True:\n        out = x.copy()\n        (xp.maximum if largest else xp.minimum)",
        "test_cuda.py::test_an_id_that_is_repeated_counts_every_time[scatter_reduce, amax]",
    ),
    Mistake(
        "add.reduceat",
        "backend.py",
        "    if out.size:\n        kernel",
        "    return cupy.add.reduceat(y[order], start[:-1])\n    if out.size:\n        kernel",
        f"{V}[F.embedding(ids, w)]",
    ),
    Mistake(
        "add.at in a gradient",
        "backend.py",
        "if not deterministic and y.dtype in",
        "if y.dtype in",
        "test_cuda.py::test_the_order_of_threads_changes_no_bit_of_any_gradient",
    ),
    Mistake(
        "add.at on overlapping windows",
        "ops/windows.py",
        "        for k in np.ndindex(*self.size):\n",
        "        at = out.ndim - len(self.size)\n"
        "        inside, between = ([s * n for s, n in zip(out.strides[at:], by)] for by in (self.dilation, self.stride))\n"
        "        shape, strides = (*self.to[:at], *self.size, *counts), (*out.strides[:at], *inside, *between)\n"
        "        windows = namespace(y).lib.stride_tricks.as_strided(out, shape, strides)\n"
        "        namespace(y).add.at(windows, ..., y)\n"
        "        return out\n"
        "        for k in np.ndindex(*self.size):\n",
        f"{V}[F.fold(F.unfold(x, k, dilation, padding, stride) * 2, x.shape[2:], k, dilation, padding, stride)]",
    ),
    Mistake(
        "ids unchecked: the lookup raises",
        "ops/indexing.py",
        "backend.check_later(ids, low, high, error)",
        "pass",
        f"{LATE}[embedding]",
    ),
    Mistake(
        "unknown ids taken for positive",
        "ops/indexing.py",
        "(known is not None and known[0] >= 0)",
        "(known is None or known[0] >= 0)",
        "test_cuda.py::test_ids_that_only_the_gpu_knows_may_count_from_the_end",
    ),
    # -------------------------------------------------------------------------------------------- waiting for the GPU
    Mistake(
        "if ignored.any()",
        "fused/cross_entropy.py",
        "some = known is None or known[0] <= ignore_index <= known[1]",
        "some = bool(ignored.any())",
        f"{WAITS_NOT}[cross_entropy]",
    ),
    Mistake(
        "min and max of ids, asked for",
        "backend.py",
        "return (int(ids.min()), int(ids.max())) if isinstance(ids, np.ndarray) else None",
        "return int(ids.min()), int(ids.max())",
        f"{LATE}[embedding]",
    ),
    Mistake(
        "a[mask] in backward",
        "nn/functional.py",
        "                padding = wrap((ids == self.padding).reshape(-1, *(1,) * len(width)))\n"
        "                rows = masked_fill(rows, padding, 0)\n",
        "                rows = wrap(rows.array.copy())\n"
        "                rows.array[namespace(ids).nonzero(ids == self.padding)] = 0\n",
        f"{WAITS_NOT}[padding]",
    ),
    Mistake(
        "a table's gradient as rows, as on the CPU",
        "backend.py",
        "    return isinstance(array, np.ndarray)\n",
        "    return True\n",
        f"{WAITS_NOT}[an embedding, Adam]",
    ),
    Mistake(
        "a norm looked at whether asked or not",
        "nn/utils/__init__.py",
        "if error_if_nonfinite and not np.isfinite(total.item()):",
        "if not np.isfinite(total.item()) and error_if_nonfinite:",
        "test_cuda.py::test_a_training_step_does_not_wait_for_the_gpu",
    ),
    Mistake(
        "float(x) in a formula",
        "nn/utils/__init__.py",
        "factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)",
        "factor = wrap(np.asarray(min(1.0, float(max_norm) / (float(total_norm) + 1e-6)), dtype=total_norm.array.dtype))",
        "test_cuda.py::test_a_training_step_does_not_wait_for_the_gpu",
    ),
    Mistake(
        "a loop over tolist()",
        "backend.py",
        "return table.take(asarray(index, like=table), axis=0)",
        "rows = namespace(table).stack([table[i] for i in index.reshape(-1).tolist()])\n"
        "    return rows.reshape(*index.shape, *table.shape[1:])",
        f"{WAITS_NOT}[an index that is a tensor]",
    ),
    # ------------------------------------------------------------------------------------------------- which device
    Mistake(
        "positions on the default device",
        "nn/positions.py",
        "arange(start, length, device=x.device)",
        "arange(start, length)",
        "test_cuda.py::test_learned_positions_are_looked_up_where_the_vectors_are",
    ),
    Mistake(
        "a mask on the default device",
        "nn/positions.py",
        "ones(length, keys, dtype=bool, device=q.device)",
        "ones(length, keys, dtype=bool)",
        "test_cuda.py::test_a_model_generates_where_it_is",
    ),
    Mistake(
        "a table of angles for one device, given to another",
        "nn/positions.py",
        "return _cached(make, dtype or like.dtype, like.device, *how)",
        'return _cached(make, dtype or like.dtype, "cpu", *how)',
        "test_cuda.py::test_nor_does_it_with_any_positions[rope-halves]",
    ),
    Mistake(
        "zeros_like on the default device",
        "ops/creation.py",
        "y = make(*(x.array.shape[axis] for axis in order), dtype=dtype or x.dtype, device=device or x.device)",
        "y = make(*(x.array.shape[axis] for axis in order), dtype=dtype or x.dtype, device=device)",
        "test_cuda.py::test_the_default_device_is_for_new_tensors_only",
    ),
    Mistake(
        "random numbers of the device",
        "ops/creation.py",
        "    draws = _generator(generator).bernoulli_from(backend.to_numpy(x.array))\n",
        "    xp = backend.namespace(x.array)\n"
        "    p = x.array\n"
        "    draws = _generator(generator).bernoulli_from(p) if xp is np else xp.random.random_sample(p.shape) < p\n",
        "test_small_print.py::test_gives_what_torch_gives[t.bernoulli(a / 5)]",
    ),
    # ------------------------------------------------------------------------------------------------------- kernels
    Mistake(
        "a kernel's strides forgotten",
        "backend.py",
        "arguments = (cupy.ascontiguousarray(y), order,",
        "arguments = (y, order,",
        f"{V}[F.embedding(ids, w)] test_cuda.py::test_rows_that_are_not_contiguous_are_summed",
    ),
    Mistake(
        "a grid without its last block",
        "backend.py",
        "kernel(((out.size + 127) // 128,), (128,), arguments)",
        "kernel((max(out.size // 128, 1),), (128,), arguments)",
        SEGMENT_SUM,
    ),
    Mistake("one thread too many", "backend.py", "if (t >= rows * width) return;", "if (t > rows * width) return;", SEGMENT_SUM),
    Mistake("one row too many", "backend.py", "k < start[row + 1]; ++k", "k <= start[row + 1]; ++k", SEGMENT_SUM),
    Mistake(
        "a sum from behind",
        "backend.py",
        "for (long long k = start[row]; k < start[row + 1]; ++k)",
        "for (long long k = start[row + 1] - 1; k >= start[row]; --k)",
        SEGMENT_SUM,
    ),
    Mistake("a sum from what was there", "backend.py", "  T sum = 0;\n", "  T sum = out[t];\n", SEGMENT_SUM),
    Mistake(
        "fused multiply-add allowed",
        "backend.py",
        "return xp.RawKernel(f\"#define T {_C_TYPE[dtype]}\\n{source}\", name, options=KERNEL_OPTIONS)",
        "return xp.RawKernel(f\"#define T {_C_TYPE[dtype]}\\n{source}\", name)",
        "test_kernels.py::test_products_are_rounded_before_they_are_added",
    ),
    Mistake(
        "no barrier before shared memory is read",
        "kernels.py",
        "  part[t] = own;\n  __syncthreads();\n",
        "  part[t] = own;\n",
        ORDER,
    ),
    Mistake(
        "no barrier before shared memory is used again",
        "kernels.py",
        "  __syncthreads();  // before part is written again\n",
        "",
        ORDER,
    ),
    Mistake(
        "a maximum that starts from 0",
        "kernels.py",
        "#define MAX(...) OVER_ROW(Max(), (__VA_ARGS__), __VA_ARGS__)",
        "#define MAX(...) OVER_ROW(Max(), 0, __VA_ARGS__)",
        "test_kernels.py::test_rows_far_below_zero",
    ),
    Mistake(
        "a block for every row, and no more",
        "kernels.py",
        "for (long long i = blockIdx.x; i < rows; i += gridDim.x) {",
        "for (long long i = blockIdx.x; i < rows; i += rows) {",
        "test_kernels.py::test_more_rows_than_blocks_that_sum_them_up",
    ),
    Mistake(
        "fresh memory taken for zeros",
        "kernels.py",
        '(xp.zeros if p.at == "j" else xp.empty)(',
        "xp.empty(",
        f"{KERNEL}[norm_gradients, weight=True, centers=True, needs=(True, True, True)]",
    ),
    Mistake(
        "a kernel's argument in any order in memory",
        "kernels.py",
        "xp.ascontiguousarray(argument, dtype=wanted)",
        "xp.asarray(argument, dtype=wanted)",
        f"{KERNEL}[softmax]",
    ),
    Mistake(
        "a maximum that loses nan",
        "optim/optimizers.py",
        "if (!(top >= v)) top = v;",
        "if (v > top) top = v;",
        "test_kernels.py::test_nan_and_infinity_come_out_where_they_do_in_arrays[adam, amsgrad=True]",
    ),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ running tests

BACKENDS = ("fakecupy", "cupysim")
ON_A_DEVICE = ("test_cuda.py", "test_kernels.py")  # all of it is skipped on NumPy


class Copy:
    """The package and its tests in a folder of their own, where a file may be changed."""

    def __init__(self, folder: str) -> None:
        self.root = Path(folder)
        for name in ("minigrad", "tests"):
            shutil.copytree(ROOT / name, self.root / name)  # with the times, so that compiled files stay valid
        for name in (".emulator", "examples", "pyproject.toml", "README.md"):
            if (ROOT / name).exists():
                (self.root / name).symlink_to(ROOT / name)

    def change(self, file: str, text: str) -> None:
        """Write a file of the package. A compiled file counts as that of its source by size and second: another change may have both."""
        source = self.root / "minigrad" / file
        source.write_text(text, encoding="utf-8")
        Path(importlib.util.cache_from_source(source)).unlink(missing_ok=True)

    def start(self, work: Callable[[], int], log: str) -> tuple[int, Path]:
        """Begin work in a child of this process, which has imported torch already. Returns what `end` takes."""
        output = self.root / log
        child = os.fork()
        if child == 0:
            signal.alarm(SLOWEST)
            with output.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            here = [str(self.root), str(self.root / "tests")]
            os.chdir(self.root)
            os.environ["PYTHONPATH"] = os.pathsep.join(here)
            sys.path[:] = [*here, *(p for p in sys.path if p and Path(p).resolve() not in (ROOT, ROOT / "tests"))]
            os._exit(work())
        return child, output

    def test(self, backend: str, tests: Sequence[str]) -> tuple[int, Path]:
        def work() -> int:
            import pytest

            options = ["-q", "-x", "--tb=short", f"--backend={backend}"]
            plugins = ["no:cacheprovider", "no:unraisableexception", "no:threadexception"]  # they take time
            paths = [f"tests/{test}" for test in tests]
            code = pytest.main([*options, *(word for name in plugins for word in ("-p", name)), *paths])
            used = Path(sys.modules["minigrad"].__file__ or "")
            return int(code) if used.is_relative_to(self.root) else 99

        return self.start(work, backend)

    def lint(self, sources: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether the lint says something about each (path, source)."""

        def work() -> int:
            from test_cupy_lint import lint

            print(json.dumps([bool(lint(source, path)) for path, source in sources]))
            return 0

        return json.loads(end(*self.start(work, "lint"))[1].splitlines()[-1])


def end(child: int, output: Path) -> tuple[bool, str]:
    """Wait for the tests: whether one failed, and what they printed.

    Raises:
        RuntimeError: they could not be run.
    """
    _, status = os.waitpid(child, 0)
    text = output.read_text(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    if code > 1:
        raise RuntimeError(text[-3000:])
    return code != 0, text  # below 0: the tests crashed, or never ended


def tests_of(m: Mistake) -> list[str]:
    return re.split(r" (?=test_\w+\.py)", m.test)


def passes_without_mistakes(copy: Copy, seeded: Sequence[Mistake], backends: Sequence[str]) -> bool:
    tests = sorted({test for m in seeded for test in tests_of(m)})
    for backend in ("numpy", *backends):
        failed, text = end(*copy.test(backend, tests))
        if failed:
            print(f"{text[-3000:]}\nThis fails on {backend} without a mistake: nothing can be said.")
            return False
    return not any(copy.lint([(m.file, (ROOT / "minigrad" / m.file).read_text(encoding="utf-8")) for m in seeded]))


def noticed(copy: Copy, m: Mistake, wrong: str, backends: Sequence[str]) -> dict[str, str]:
    """Who notices, by the tests beside it, and what they say: "numpy" should not; the emulator is asked where the fake does not."""
    copy.change(m.file, wrong)
    tests = tests_of(m)
    by = dict[str, str]()

    def ended(backend: str, child: tuple[int, Path]) -> None:
        failed, text = end(*child)
        if failed:
            says = re.search(r"^(?:E +| *_*Error: )(.*)", text, re.MULTILINE)
            by[backend] = says[1] if says else "it crashed"

    numpy = None if m.test.startswith(ON_A_DEVICE) else copy.test("numpy", tests)  # beside the others
    try:
        for backend in backends:
            without_kernels = backend == "fakecupy" and m.test.startswith("test_kernels.py")
            if not by and not without_kernels:
                ended(backend, copy.test(backend, tests))
    finally:
        if numpy is not None:
            ended("numpy", numpy)
        shutil.copy2(ROOT / "minigrad" / m.file, copy.root / "minigrad" / m.file)
    return by


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--only", default="", metavar="NAME", help="only mistakes with this in their name")
    options = parser.parse_args()
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    seeded = [m for m in MISTAKES if options.only in m.name]
    os.environ |= {"HYPOTHESIS_PROFILE": "device", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = False
    import hypothesis.strategies  # noqa: F401  imported once, here, for all children
    import pytest  # noqa: F401
    import torch

    x = torch.ones(1, requires_grad=True)
    torch.autograd.grad(x * x, x, torch.ones(1), create_graph=True)  # imports more

    start, score = time.perf_counter(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(folder)
        if not passes_without_mistakes(copy, seeded, backends):
            return 1
        right = [(ROOT / "minigrad" / m.file).read_text(encoding="utf-8") for m in seeded]
        wrong = [text.replace(m.right, m.wrong) for m, text in zip(seeded, right, strict=True)]
        linted = copy.lint([(m.file, text) for m, text in zip(seeded, wrong, strict=True)])
        for m, before, after, lint in zip(seeded, right, wrong, linted, strict=True):
            if before.count(m.right) != 1:
                print(f"STALE   {m.name}: minigrad/{m.file} has {before.count(m.right)} times {m.right!r}")
                continue
            try:
                by = noticed(copy, m, after, backends)
            except RuntimeError as error:
                print(f"BROKEN  {m.name}: {error}")
                continue
            on_numpy = "numpy" in by  # then it is no mistake of this kind
            names = ["lint"] * lint + list(by)
            score.update([*names, *(["caught"] if names and not on_numpy else [])])
            mark = "NUMPY  " if on_numpy else "caught " if names else "MISSED "
            print(mark, f"{m.name:48}", f"{', '.join(names):15}", *(why[:70] for why in by.values()), flush=True)
    print(
        f"caught {score['caught']} of {len(seeded)} seeded mistakes (lint {score['lint']}, fake {score['fakecupy']}, "
        f"emulator {score['cupysim']}), {time.perf_counter() - start:.0f} s"
    )
    return 0 if score["caught"] == len(seeded) else 1


if __name__ == "__main__":
    sys.exit(main())
