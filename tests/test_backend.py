"""CPU and GPU: nothing of CuPy before someone asks, one sentence when it cannot be had, and no number moved silently.

No GPU is needed: what goes wrong with CuPy is played by small fake packages in subprocesses, and a GPU by the strict fake of
CuPy, which refuses to meet NumPy's arrays.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_printing_of_ops
import torch
from cupy_without_gpu import fakecupy
from helpers import CPU
from test_printing_of_ops import EXPRESSIONS, IN_PLACE, split

import minigrad as mg
from minigrad import backend, gpt, kernels

PACKAGE = Path(mg.__file__).parent


def python(code: str, path: Path | None = None) -> Any:
    """Run code in a new interpreter, with packages of `path` first; what it prints last is JSON."""
    places = [str(p) for p in (path, PACKAGE.parent) if p]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# ------------------------------------------------------------------------------------------------------- what import costs

HEAVY = [
    *(
        "cupy",
        "cupyx",
        "torch",
        "tiktoken",
        "hypothesis",
        "pytest",
        "safetensors",
        "tqdm",
        "mpi4py",
        "matplotlib",
        "scipy",
    ),
    *("multiprocessing", "urllib.request", "gzip", "minigrad.testing", "minigrad.explain", "minigrad.distributed"),
]
CAN_WAIT = [  # until they are used
    *(
        "numpy.random",
        "concurrent.futures",
        "logging",
        "pathlib",
        "urllib",
        "hashlib",
        "dataclasses",
        "difflib",
        "zlib",
    ),
    *("minigrad.data", "minigrad.checkpoint", "minigrad.utils"),
]


@pytest.mark.parametrize(
    "use", ["", "mg.nn.Linear(2, 2)(mg.ones(1, 2)).sum().backward()", "mg.ones(2).to('cpu'), mg.device('cuda')"]
)
def test_importing_and_using_minigrad_imports_no_heavy_package(use: str) -> None:
    code = f"import sys, json, minigrad as mg\n{use}\nprint(json.dumps([n for n in {HEAVY} if n in sys.modules]))"
    assert python(code) == []


def test_importing_minigrad_imports_what_it_needs_and_numpy() -> None:
    """Older NumPys import some of it themselves."""
    code = "import sys, json, numpy; before = {*sys.modules}; import minigrad; new = {*sys.modules} - before; "
    assert python(code + f"print(json.dumps([name for name in {HEAVY + CAN_WAIT} if name in new]))") == []


def test_rooms_and_names_that_can_wait_are_there_when_asked_for() -> None:
    code = """
import json, sys, minigrad as mg
assert {"data", "distributed", "utils", "load", "save"} <= set(dir(mg)) and "minigrad.data" not in sys.modules
assert mg.data.DataLoader is mg.utils.data.DataLoader and mg.load is mg.checkpoint.load is vars(mg)["load"]
from minigrad import *
print(json.dumps([distributed.get_world_size(), save.__name__]))
"""
    assert python(code) == [1, "save"]


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


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """This run's CuPy; where it is on NumPy, the strict fake, while the test runs."""
    if not CPU:
        yield sys.modules["cupy"]
        return
    monkeypatch.setattr(backend._cupy, "module", fakecupy.install(), raising=False)
    monkeypatch.setattr(kernels, "fused_kernels", False)  # the fake has no compiler
    yield fakecupy.cupy
    fakecupy.uninstall()


def on_gpu(values: Any) -> mg.Tensor:
    return mg.tensor(values, device="cuda")


def on_cpu(values: Any) -> mg.Tensor:
    return mg.tensor(values, device="cpu")


def test_namespace_goes_by_the_arrays(cupy: Any) -> None:
    array, gpu = np.ones(2), cupy.asarray([1.0, 2.0])
    assert backend.namespace(array, 2.0, 3, True) is np
    assert backend.namespace(2.0) is np and backend.namespace() is np
    assert backend.namespace(gpu) is cupy and backend.namespace(2.0, gpu, 1, gpu) is cupy
    assert backend.is_array(gpu) and backend.is_array(array) and not backend.is_array([1.0])
    assert str(backend.device_of(gpu)) == "cuda:0" and str(backend.device_of(array)) == "cpu"
    assert backend.to_numpy(gpu).tolist() == [1.0, 2.0] and backend.to_numpy(array) is array


@pytest.mark.parametrize("order", [1, -1])
def test_namespace_refuses_a_mixture_and_names_both_devices(cupy: Any, order: int) -> None:
    arrays = [np.ones(2), 1.0, cupy.asarray([1.0, 2.0])][::order]
    with pytest.raises(RuntimeError) as info:
        backend.namespace(*arrays)
    for fact in ("cpu", "cuda:0", '.to("cuda")'):
        assert fact in str(info.value)


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
def test_an_op_on_two_devices_names_both_and_moves_nothing(cupy: Any, name: str, places: Any) -> None:
    with pytest.raises(RuntimeError) as info:
        MIXED[name](*places)
    for fact in ("cpu", "cuda:0", '.to("'):
        assert fact in str(info.value)


def test_an_index_on_the_gpu_does_not_read_a_tensor_on_the_cpu(cupy: Any) -> None:
    with pytest.raises(RuntimeError, match=r"cpu.*cuda:0|cuda:0.*cpu"):
        on_cpu([[1.0], [2.0]])[on_gpu([0, 1])]


def test_numbers_and_tensors_of_one_place_do_meet(cupy: Any) -> None:
    table = mg.nn.functional.embedding(on_gpu([0, 1]), on_gpu([4.0, 6.0]).reshape(2, 1)).reshape(2)
    for y in (on_gpu([1.0, 2.0]) + on_gpu([3.0, 4.0]), on_gpu([2.0, 3.0]) * 2.0, table):
        assert isinstance(y.array, cupy.ndarray) and y.array.get().tolist() == [4.0, 6.0]
        assert str(y.device) == "cuda:0" and y.is_cuda


def test_a_gpu_tensor_becomes_no_numpy_array_by_itself(cupy: Any) -> None:
    x = on_gpu([1.0, 2.0])
    for convert in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"cpu\(\)"):
            convert()
    assert x.cpu().numpy().tolist() == [1.0, 2.0]


def test_to_cpu_is_the_same_tensor() -> None:
    for x in (on_cpu([1.0]), on_cpu(3), on_cpu([1.0]).requires_grad_(), on_cpu([[1.0, 2.0]]).t()):
        assert x.to("cpu") is x and x.cpu() is x and x.to(mg.device("cpu")) is x and x.to(device="cpu") is x
    layer = mg.nn.Linear(2, 2, device="cpu")
    array = layer.weight.array
    assert layer.to("cpu") is layer and layer.cpu() is layer and layer.weight.array is array


# -------------------------------------------------------------------------------------- results live where their inputs do


@pytest.fixture
def made_on_the_cpu(cupy: Any) -> Iterator[None]:
    """New tensors are made on the CPU, although there is a GPU."""
    before = mg.get_default_device()
    mg.set_default_device("cpu")
    yield
    mg.set_default_device(before)


PLACES = """
t.tensor([1.0]) | t.tensor(array) | t.tensor(c) | t.as_tensor(array) | t.as_tensor(c) | t.as_tensor([1, 2]) | t.asarray(array)
t.asarray(c) | t.from_numpy(array) | t.zeros_like(c) | c.new_zeros(2) | c.new_tensor([1.0]) | t.zeros(2) | t.arange(3) | t.eye(2)
t.randperm(3) | t.tril_indices(2, 2) | t.multinomial(c, 1) | t.nn.Linear(2, 2).weight | t.nn.BatchNorm1d(2).running_mean | c + 1
collate([array, array])[0] | collate([1, 2]) | collate([1.0, 2.0]) | collate([np.float32(1)]) | collate([c, c])
t.utils.data.WeightedRandomSampler([1.0], 1).weights
t.get_rng_state() | t.bernoulli(c / 2) | t.rand_like(c) | c.softmax(0) | t.nn.functional.dropout(c)
"""


@pytest.mark.parametrize("code", split(PLACES))
def test_a_default_device_is_that_of_the_calls_torch_applies_it_to(cupy: Any, code: str) -> None:
    """torch's is "meta", where nothing is computed."""
    found = []
    for library, default in ((mg, "cuda"), (torch, "meta")):
        c = library.tensor([1.0, 2.0], device="cpu")
        names = {"t": library, "np": np, "array": np.ones(2), "c": c, "collate": library.utils.data.default_collate}
        before = library.get_default_device()
        library.set_default_device(default)
        try:
            found.append(eval(code, names).device.type == default)
        finally:
            library.set_default_device(before if library is mg else None)
    assert found[0] == found[1], f"on the default device: {found[0]}, in torch: {found[1]}"


def in_parts(x: Any) -> list[mg.Tensor]:
    return (
        [x] if isinstance(x, mg.Tensor) else [t for y in x for t in in_parts(y)] if isinstance(x, list | tuple) else []
    )


def names_on_gpu(library: Any) -> dict[str, Any]:
    """The names of test_printing_of_ops, with a library that is on the GPU where it makes tensors."""
    found = test_printing_of_ops.names(library)
    moved = {
        k: x.detach().to("cuda").requires_grad_(x.requires_grad) for k, x in found.items() if isinstance(x, mg.Tensor)
    }
    return found | moved | {"y": moved["x"] * 1}


def makes_its_own(code: str) -> bool:
    return bool(re.search(r"t\.(ones|zeros|arange|FloatTensor|tril_indices|tensor\(\[|manual_seed|rand)|cpu", code))


@pytest.mark.parametrize("code", [c for c in split(EXPRESSIONS) if not makes_its_own(c)])
def test_what_is_computed_on_a_gpu_stays_there_whatever_the_default(made_on_the_cpu: None, code: str) -> None:
    """So do its gradients, recorded or not."""
    names = names_on_gpu(mg)
    for y in in_parts(eval(code, names)):
        assert y.is_cuda
        leaves = [names[k] for k in "xvwb"]
        for record in (False, True) if y.requires_grad else ():
            gradients = mg.autograd.grad(y.sum(), leaves, retain_graph=True, create_graph=record, allow_unused=True)
            assert all(g.is_cuda for g in gradients if g is not None)


@pytest.mark.parametrize("code", split(IN_PLACE))
def test_what_is_written_on_a_gpu_stays_there(made_on_the_cpu: None, code: str) -> None:
    names = names_on_gpu(mg)
    exec(code, names)
    assert names["y"].is_cuda


MADE_ON_GPU = """
nn.Linear(8, 8)(x) | nn.Embedding(5, 8)(i) | nn.Embedding(5, 8, padding_idx=0, max_norm=1.0)(i) | nn.LayerNorm(8)(x)
nn.Dropout()(x) | nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x) | nn.EmbeddingBag(5, 8)(i) | nn.RMSNorm(8)(x)
nn.TransformerEncoderLayer(8, 2, 16)(x) | nn.TransformerDecoderLayer(8, 2, 16)(x, x) | nn.Transformer(8, 2, 1, 1, 16)(x, x)
nn.RNN(8, 4)(x) | nn.LSTM(8, 4, bidirectional=True)(x) | nn.GRU(8, 4, 2, dropout=0.5)(x) | nn.LSTMCell(8, 4)(x[0])
nn.Conv1d(3, 4, 3)(x) | nn.BatchNorm1d(3)(x) | nn.GroupNorm(3, 3)(x) | nn.Bilinear(8, 8, 3)(x, x) | nn.PReLU()(x)
F.cross_entropy(x[0], x[0] * 0.1) | F.gumbel_softmax(x, hard=True) | F.one_hot(i) | F.normalize(x) | F.embedding_bag(i, w, mode='max')
F.scaled_dot_product_attention(x, x, x, dropout_p=0.5, is_causal=True) | F.pad(x, (1, 1), mode='reflect') | t.bernoulli(p)
t.normal(x, p) | t.normal(x, 1.0) | t.normal(0.0, p) | t.multinomial(p[0], 2) | t.multinomial(p[0], 5, True) | t.rand_like(x)
x.new_tensor([1.0]) | x.new_full((2,), 1.0) | t.nn.utils.rnn.pad_sequence([x[0], x[0][:1]]) | nn.utils.clip_grad_norm_([w], 1.0)
D.Categorical(p).sample() | D.Categorical(p).enumerate_support() | D.Normal(x, 1.0).sample((2,)) | D.Normal(0.0, p).log_prob(x)
D.Bernoulli(p).entropy() | D.Uniform(x, 9.0).sample() | D.Independent(D.Normal(x, 1.0), 1).log_prob(x)
gpt.GPT(config)(i) | gpt.GPT(config).generate(i[:1], 3) | gpt.GPT(config).generate(i[:1], 3, temperature=0.0)
"""


@pytest.mark.parametrize("code", split(MADE_ON_GPU))
def test_layers_and_what_is_drawn_stay_on_the_gpu(made_on_the_cpu: None, code: str) -> None:
    code = re.sub(r"^(nn\.[A-Z]\w*\(.*?\)|gpt\.GPT\(config\))(?=[(.])", r"\1.to('cuda')", code)
    x = mg.rand(2, 3, 8, device="cuda", requires_grad=True)
    w = mg.rand(5, 8, device="cuda", requires_grad=True)
    names = {"t": mg, "nn": mg.nn, "F": mg.nn.functional, "D": mg.distributions, "gpt": gpt, "x": x, "w": w}
    names |= {"p": mg.rand(2, 3, 8, device="cuda"), "i": mg.tensor([[1, 2, 3], [4, 0, 1]], device="cuda")}
    names["config"] = gpt.GPTConfig(vocab_size=9, context_length=8, emb_dim=8, n_heads=2, n_layers=2)
    w.grad = w.detach() * 1
    found = in_parts(eval(code, names))
    assert found and all(y.is_cuda for y in found)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "SparseAdam"])
def test_an_optimizers_state_is_beside_the_parameters_but_for_the_step(made_on_the_cpu: None, name: str) -> None:
    layer = mg.nn.Embedding(5, 3, sparse=name == "SparseAdam").to("cuda")
    optimizer = getattr(mg.optim, name)(layer.parameters(), **({"lr": 0.1, "momentum": 0.9} if name == "SGD" else {}))
    for _ in range(2):
        layer(mg.tensor([1, 1, 4], device="cuda")).sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    (state,) = optimizer.state_dict()["state"].values()
    assert {k: str(v.device) for k, v in state.items() if isinstance(v, mg.Tensor)} == {
        k: "cpu" if k == "step" else "cuda:0" for k, v in state.items() if isinstance(v, mg.Tensor)
    }


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
    here = {name for name in dir(mg) if not name.startswith("_") and name != "annotations"}
    rooms = {path.stem for path in PACKAGE.iterdir()} - set(mg.__all__)
    assert all(hasattr(mg, name) for name in here)  # also those that are imported only now
    assert here - rooms - {"TYPE_CHECKING"} == set(mg.__all__)
    with pytest.raises(AttributeError, match="'transpos': did you mean transpose"):
        _ = mg.transpos
