"""CPU and GPU: nothing of CuPy before someone asks, one sentence when it cannot be had, and no number moved silently.

No GPU is needed: what goes wrong with CuPy is played by small fake packages in subprocesses, and a GPU array by a class that,
as CuPy's, refuses to meet NumPy's.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import backend

PACKAGE = Path(mg.__file__).parent


def python(code: str, path: Path | None = None) -> Any:
    """Run code in a new interpreter, with packages of `path` first; what it prints last is JSON."""
    places = [str(p) for p in (path, PACKAGE.parent) if p]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------------------- what import costs

HEAVY = ["cupy", "cupyx", "torch", "tiktoken", "hypothesis", "pytest"]


@pytest.mark.parametrize(
    "use", ["", "mg.nn.Linear(2, 2)(mg.ones(1, 2)).sum().backward()", "mg.ones(2).to('cpu'), mg.device('cuda')"]
)
def test_importing_and_using_minigrad_imports_no_heavy_package(use: str) -> None:
    code = f"import sys, json, minigrad as mg\n{use}\nprint(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    assert python(code) == []


def test_an_installed_cupy_is_not_touched_before_someone_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise SystemExit('cupy was imported')")
    use = "x = mg.ones(2, requires_grad=True); (x * 2).sum().backward(); mg.optim.SGD([x], lr=0.1).step(); repr(x); x.to('cpu')"
    assert python(f"import minigrad as mg\n{use}\nprint(1)", tmp_path) == 1


# ----------------------------------------------------------------------------------------------- when "cuda" cannot be had

FAKE = """
__version__ = "14.2.0"
class CUDARuntimeError(RuntimeError): pass
class ndarray:
    def reshape(self, *shape): return self
    def sum(self): return 1.0
    def __float__(self): return 1.0
    def __matmul__(self, other): {matmul}
    __mul__ = __add__ = __matmul__
def arange(*args, **options): {kernel}
ones = zeros = full = asarray = array = empty = arange
class runtime:
    def getDeviceCount(): {count}
class cuda: pass
cuda.runtime = runtime
"""
GOOD = {"matmul": "return self", "kernel": "return ndarray()", "count": "return 1"}
NO_DRIVER = 'raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")'
NO_NVRTC = (
    '''raise RuntimeError("""Failure finding "libnvrtc.so.13 or libnvrtc.so.12"\\nsearched here\\nand there""")'''
)
NO_CUBLAS = '''raise ImportError("""Failure finding "libcublasLt.so.13"\\nsearched here\\nand there""")'''

# Which CuPy there is: its source (None: none), and what the sentence must say: the reason and the next step.
MISSING: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "not installed": (None, ("not installed", "pip install", "cuda12", "cuda13")),
    "a package it needs is missing": (
        "import fastrlock_that_is_missing",
        ("CuPy is installed", "fastrlock_that_is_missing"),
    ),
    "a library it needs is missing": (
        'raise ImportError("libcudart.so.12: cannot open")',
        ("CuPy is installed", "libcudart.so.12"),
    ),
    "made for another NumPy": (
        'raise AttributeError("numpy has no attribute x")',
        ("CuPy is installed", "numpy has no attribute x"),
    ),
    "no driver": (
        FAKE.format(**{**GOOD, "count": NO_DRIVER}),
        ("14.2.0", "cudaErrorInsufficientDriver", "driver", "cpu"),
    ),
    "no device": (FAKE.format(**{**GOOD, "count": "return 0"}), ("no GPU", "CUDA_VISIBLE_DEVICES")),
    "no NVRTC": (
        FAKE.format(**{**GOOD, "kernel": NO_NVRTC}),
        ("GPU is present", "libnvrtc.so", "pip install", "[ctk]"),
    ),
    "no cuBLAS": (
        FAKE.format(**{**GOOD, "matmul": NO_CUBLAS}),
        ("GPU is present", "libcublasLt.so", "pip install", "[ctk]"),
    ),
}

ASK = """
import json, sys
{hide}
import minigrad as mg
x, layer = mg.ones(2), mg.nn.Linear(2, 2)
before = layer.weight.tolist()
asking = [lambda: mg.tensor([1], device="cuda"), lambda: mg.ones(2, device="cuda:0"), lambda: x.to("cuda"), lambda: x.cuda(),
          lambda: layer.to("cuda"), lambda: layer.cuda(), lambda: mg.arange(3, device="cuda"),
          lambda: mg.nn.Embedding(3, 2, device="cuda"), lambda: x.to(mg.device("cuda")), lambda: mg.ones_like(x, device="cuda")]
said = []
for ask in asking:
    try:
        ask()
        said.append(["nothing", ""])
    except BaseException as error:
        said.append([type(error).__name__, str(error)])
print(json.dumps({{
    "said": said, "status": mg.cuda.status(), "available": mg.cuda.is_available(), "count": mg.cuda.device_count(),
    "synchronize": mg.cuda.synchronize(), "seeded": mg.cuda.manual_seed_all(1), "same": x.to("cpu") is x, "cpu": x.cpu() is x,
    "module": layer.to("cpu") is layer, "untouched": layer.weight.tolist() == before and str(layer.weight.device) == "cpu",
    "works": (x + x).tolist(),
}}))
"""


def ask(directory: Path, source: str | None) -> dict[str, Any]:
    if source is not None:
        (directory / "cupy.py").write_text(source)
    return python(ASK.format(hide="sys.modules['cupy'] = None" if source is None else ""), directory)


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_gpu_is_one_sentence_with_the_next_step(case: str, tmp_path: Path) -> None:
    source, facts = MISSING[case]
    answer = ask(tmp_path, source)
    message = answer["status"]
    for fact in facts:
        assert fact in message
    assert "\n" not in message and len(message) < 300
    assert answer["said"] == [["BackendUnavailable", message]] * len(answer["said"])
    assert answer["available"] is False and answer["count"] == 0
    assert answer["synchronize"] is None and answer["seeded"] is None
    assert answer["same"] and answer["cpu"] and answer["module"] and answer["untouched"]
    assert answer["works"] == [2.0, 2.0]


def test_the_sentences_differ(tmp_path: Path) -> None:
    messages = set()
    for i, (source, _) in enumerate(MISSING.values()):
        (tmp_path / str(i)).mkdir()
        messages.add(ask(tmp_path / str(i), source)["status"])
    assert len(messages) == len(MISSING)


def test_a_usable_gpu_is_named(tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text(FAKE.format(**GOOD))
    code = "import json, minigrad as mg\nprint(json.dumps([mg.cuda.is_available(), mg.cuda.device_count(), mg.cuda.status()]))"
    available, count, status = python(code, tmp_path)
    assert available and count == 1 and "14.2.0" in status and "1 GPU" in status


def test_backend_unavailable_is_a_runtime_error() -> None:
    assert issubclass(mg.BackendUnavailable, RuntimeError)
    assert mg.BackendUnavailable is backend.BackendUnavailable


# ---------------------------------------------------------------------------------------- arrays of two places never meet


def down(x: Any) -> Any:
    """What is inside of GPU arrays; an array of NumPy's among them is an error, as it is CuPy's."""
    if isinstance(x, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(x, list | tuple):
        return type(x)(down(y) for y in x)
    return x._values if isinstance(x, GPUArray) else x


def up(x: Any) -> Any:
    return GPUArray(x) if isinstance(x, np.ndarray | np.generic) else x


def on_device(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **options: up(f(*map(down, args), **{name: down(x) for name, x in options.items()}))


class GPUArray:
    """An array that says it is on GPU 0 and, as CuPy's, neither becomes a NumPy array nor computes with one."""

    __array_ufunc__ = None
    device = SimpleNamespace(id=0)
    base = None

    def __init__(self, values: Any):
        self._values = np.asarray(values)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._values, name)
        return on_device(attribute) if callable(attribute) and not isinstance(attribute, np.dtype) else attribute

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self) -> np.ndarray:
        return self._values.copy()

    def __getitem__(self, key: Any) -> GPUArray:
        return up(self._values[key if isinstance(key, np.ndarray) else down(key)])  # CuPy does take NumPy's as an index

    def __setitem__(self, key: Any, value: Any) -> None:
        self._values[key if isinstance(key, np.ndarray) else down(key)] = down(value)


def forward(name: str) -> Callable[..., Any]:
    """The operator of that name, of the values inside; Python numbers (int, float, len) stay what they are."""
    return lambda self, *args: up(getattr(self._values, f"__{name}__")(*map(down, args)))


ARITHMETIC = [
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "rtruediv",
    "pow",
    "neg",
    "matmul",
    "rmatmul",
    "iadd",
    "imul",
]
COMPARISON = ["lt", "le", "gt", "ge", "eq", "ne", "and", "or", "invert"]
for _name in [*ARITHMETIC, *COMPARISON, "int", "float", "bool", "index", "len"]:
    setattr(GPUArray, f"__{_name}__", forward(_name))


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that stands for CuPy while the test runs."""
    module = ModuleType("cupy")
    module.ndarray = GPUArray
    module.asarray = lambda x, dtype=None: GPUArray(np.asarray(x._values if isinstance(x, GPUArray) else x, dtype))
    module.__getattr__ = lambda name: on_device(getattr(np, name))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def on_gpu(values: Any) -> Any:
    x = mg.tensor(values)
    x.array = GPUArray(x.array)
    return x


def test_namespace_goes_by_the_arrays(cupy: ModuleType) -> None:
    array, gpu = np.ones(2), GPUArray([1.0, 2.0])
    assert backend.namespace(array, 2.0, 3, True) is np
    assert backend.namespace(2.0) is np and backend.namespace() is np
    assert backend.namespace(gpu) is cupy and backend.namespace(2.0, gpu, 1, gpu) is cupy
    assert backend.is_array(gpu) and backend.is_array(array) and not backend.is_array([1.0])
    assert str(backend.device_of(gpu)) == "cuda:0" and str(backend.device_of(array)) == "cpu"
    assert backend.to_numpy(gpu).tolist() == [1.0, 2.0] and backend.to_numpy(array) is array


@pytest.mark.parametrize("order", [1, -1])
def test_namespace_refuses_a_mixture_and_names_both_devices(cupy: ModuleType, order: int) -> None:
    arrays = [np.ones(2), 1.0, GPUArray([1.0, 2.0])][::order]
    with pytest.raises(RuntimeError) as info:
        backend.namespace(*arrays)
    for fact in ("cpu", "cuda:0", '.to("cuda")'):
        assert fact in str(info.value)


def on_cpu(values: Any) -> Any:
    return mg.tensor(values)


MIXED: dict[str, Callable[[Callable[[Any], Any], Callable[[Any], Any]], Any]] = {
    "add": lambda a, b: a([1.0, 2.0]) + b([1.0, 2.0]),
    "mul": lambda a, b: a([1.0, 2.0]) * b([1.0, 2.0]),
    "sub": lambda a, b: a([1.0, 2.0]) - b([1.0, 2.0]),
    "less": lambda a, b: a([1.0, 2.0]) < b([1.0, 2.0]),
    "maximum": lambda a, b: mg.maximum(a([1.0, 2.0]), b([1.0, 2.0])),
    "matmul": lambda a, b: a([[1.0]]) @ b([[1.0]]),
    "linear": lambda a, b: mg.nn.functional.linear(a([[1.0]]), b([[1.0]])),
    "cat": lambda a, b: mg.cat([a([1.0]), b([2.0])]),
    "stack": lambda a, b: mg.stack([a([1.0]), b([2.0])]),
    "where": lambda a, b: mg.where(a([True]), b([1.0]), b([2.0])),
    "masked_fill": lambda a, b: a([1.0]).masked_fill(b([True]), 0.0),
    "embedding": lambda a, b: mg.nn.functional.embedding(a([0, 1]), b([[1.0], [2.0]])),
    "cross_entropy": lambda a, b: mg.nn.functional.cross_entropy(a([[1.0, 2.0]]), b([1])),
    "gather": lambda a, b: mg.gather(a([[1.0, 2.0]]), 1, b([[0]])),
    "index_select": lambda a, b: mg.index_select(a([[1.0], [2.0]]), 0, b([0])),
    "copy by add_": lambda a, b: a([1.0, 2.0]).add_(b([1.0, 2.0])),
    "gradient": lambda a, b: (a([1.0, 2.0]).requires_grad_() * 2).backward(b([1.0, 2.0])),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("places", [(on_cpu, on_gpu), (on_gpu, on_cpu)], ids=["cpu first", "gpu first"])
def test_an_op_on_two_devices_names_both_and_moves_nothing(cupy: ModuleType, name: str, places: Any) -> None:
    with pytest.raises(RuntimeError) as info:
        MIXED[name](*places)
    for fact in ("cpu", "cuda:0", '.to("'):
        assert fact in str(info.value)


def test_an_index_on_the_gpu_does_not_read_a_tensor_on_the_cpu(cupy: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"cpu.*cuda:0|cuda:0.*cpu"):
        on_cpu([[1.0], [2.0]])[on_gpu([0, 1])]


def test_numbers_and_tensors_of_one_place_do_meet(cupy: ModuleType) -> None:
    table = mg.nn.functional.embedding(on_gpu([0, 1]), on_gpu([4.0, 6.0]).reshape(2, 1)).reshape(2)
    for y in (on_gpu([1.0, 2.0]) + on_gpu([3.0, 4.0]), on_gpu([2.0, 3.0]) * 2.0, table):
        assert isinstance(y.array, GPUArray) and y.array.get().tolist() == [4.0, 6.0]
        assert str(y.device) == "cuda:0" and y.is_cuda


def test_a_gpu_tensor_becomes_no_numpy_array_by_itself(cupy: ModuleType) -> None:
    x = on_gpu([1.0, 2.0])
    for convert in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"cpu\(\)"):
            convert()
    assert x.cpu().numpy().tolist() == [1.0, 2.0]


def test_to_cpu_is_the_same_tensor() -> None:
    for x in (mg.ones(2), mg.tensor(3), mg.ones(2, requires_grad=True), mg.ones(2, 2).t()):
        assert x.to("cpu") is x and x.cpu() is x and x.to(mg.device("cpu")) is x and x.to(device="cpu") is x
    layer = mg.nn.Linear(2, 2)
    array = layer.weight.array
    assert layer.to("cpu") is layer and layer.cpu() is layer and layer.weight.array is array


# ------------------------------------------------------------------------------------------------------------------- lint


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def cupy_names(tree: ast.AST) -> Iterator[ast.AST]:
    """Where code, other than a sentence in a string, imports or names CuPy."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names] + [alias.asname or "" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.arg):
            names = [node.arg]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " not in node.value:
            names = [node.value]
        if any(name.split(".")[0].lower() in ("cupy", "cupyx", "_cupy") for name in names):
            yield node


def test_only_backend_names_cupy() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): [n.lineno for n in cupy_names(ast.parse(path.read_text()))]
        for path in sources()
    }
    assert found.pop("backend.py")  # the lint sees what it looks for
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code", ["import cupy", "from cupy import x", "import cupyx.y as z", "a.cupy", 'm["cupy"]', "cupy = 1"]
)
def test_the_lint_sees_every_way_to_name_it(code: str) -> None:
    assert list(cupy_names(ast.parse(code)))
    assert not list(cupy_names(ast.parse('"""CuPy is an array library; cupy is its name."""')))


def test_the_engine_imports_only_numpy_and_the_standard_library() -> None:
    """At the top of a module, that is: a tokenizer may import its encoder when it is made. And it does not know its tools."""
    allowed = {"numpy", *sys.stdlib_module_names}
    for path in sources():
        if path.parent.name == "testing" or path.name == "as_torch.py":  # the tools
            continue
        offers = path.name in ("__init__.py", "autograd.py")  # under torch's names, imported when asked for
        assert "testing" not in path.read_text() or offers, path.name
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert {name.split(".")[0] for name in names} <= allowed, f"{path.name}: {names}"


def public() -> dict[str, Any]:
    """Every function and class of minigrad that a public name leads to, and the public methods of the classes."""
    found: dict[str, Any] = {}
    modules = [mg, *(__import__(m.name, fromlist=["_"]) for m in pkgutil.walk_packages([str(PACKAGE)], "minigrad."))]
    for module in modules:
        for name, x in vars(module).items():
            if name.startswith("_") or not (inspect.isfunction(x) or inspect.isclass(x)):
                continue
            if module is mg or name in getattr(module, "__all__", ()):
                found[f"{module.__name__}.{name}"] = x
    return {name: x for name, x in found.items() if x.__module__.startswith("minigrad")}


def test_every_public_name_is_documented() -> None:
    names = public()
    assert {"minigrad.Tensor", "minigrad.matmul", "minigrad.nn.Embedding", "minigrad.optim.Adam"} <= set(names)
    assert [name for name, x in names.items() if not (x.__doc__ or "").strip()] == []


def test_every_public_method_of_a_tensor_is_documented() -> None:
    methods = {name: x for name, x in inspect.getmembers(mg.Tensor, callable) if not name.startswith("_")}
    assert {"matmul", "backward", "sum", "add_", "masked_fill", "item"} <= set(methods)
    assert [name for name, x in methods.items() if not (x.__doc__ or "").strip()] == []


def test_every_public_method_of_a_module_is_documented() -> None:
    methods = {n: x for n, x in inspect.getmembers(mg.nn.Module, inspect.isfunction) if not n.startswith("_")}
    assert {"parameters", "state_dict", "load_state_dict", "to", "apply"} <= set(methods)
    assert [name for name, x in methods.items() if not (x.__doc__ or "").strip()] == []


def test_every_file_says_what_it_is_for() -> None:
    assert [path.name for path in sources() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_public_names_are_listed():
    """__all__, which editors and type checkers read, is what `import minigrad` offers; another name gets a hint."""
    here = {name for name, value in vars(mg).items() if not name.startswith("_") and name != "annotations"}
    rooms = {path.stem for path in PACKAGE.iterdir()} - set(mg.__all__)
    assert here - rooms - {"TYPE_CHECKING"} == set(mg.__all__)
    with pytest.raises(AttributeError, match="'transpos': did you mean transpose"):
        _ = mg.transpos
