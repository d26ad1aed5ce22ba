"""Is what minigrad asks of an array module there in CuPy too, under that name, with those arguments? Read in its source.

The answers stand in cupy_without_gpu/cupy_api.json, a snapshot of the real CuPy. Running the code on the fake finds the
same mistakes, but only on the lines that a test reaches.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from cupy_without_gpu import snapshot
from cupy_without_gpu.fakecupy import API, parse

import minigrad

PACKAGE = Path(minigrad.__file__).parent
NAMESPACES = {"namespace", "module_for", "_cupy"}  # what they return is NumPy or CuPy
NO_ARRAY = {"result_type", "nonzero", "split", "get_default_memory_pool"}  # what these return
UFUNC_KEYWORDS = {"out", "dtype", "casting"}
# NumPy's names that belong to both devices: types, constants, and arithmetic on dtypes, shapes and Python's numbers.
NEUTRAL = {
    "ndarray", "generic", "number", "integer", "floating", "bool_", "dtype", "finfo", "iinfo", "errstate", "ndindex",
    "inf", "nan", "pi", "newaxis", "random", "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "complex64", "complex128", "broadcast_shapes", "can_cast", "issubdtype",
    "prod", "promote_types", "result_type",
}  # fmt: skip
# path: {source: why it is right}
KNOWN: dict[str, dict[str, str]] = {
    "ops/elementwise.py": {"np.log": "of a Python number"},
    "ops/sorting.py": {f"np.{f}": "of ranks, which are computed on the host" for f in ("floor", "ceil", "rint")},
}
HOST = ("cpu.py", "random.py", "testing/")  # the random stream is drawn on the host, and results are compared there


class Lint(ast.NodeVisitor):
    """What CuPy would refuse in one module, as (line, message). In a function that asks `is np`, np may be used."""

    def __init__(self, tree: ast.Module, path: str = "") -> None:
        self.path, self.tree, self.found = path, tree, list[tuple[int, str, str]]()
        self.modules, self.arrays = {"xp", "cupy"}, set[str]()
        self.functions: list[ast.FunctionDef] = []
        self.called: set[ast.AST] = set()
        self.visit(tree)

    def report(self, node: ast.AST, message: str) -> None:
        self.found.append((getattr(node, "lineno", 0), message, ast.unparse(node)))

    # ------------------------------------------------------------------------------------------------ what an expression is

    def api_name(self, node: ast.AST) -> str | None:
        """ "cupy.linalg.norm" for xp.linalg.norm, namespace(x).linalg.norm, ...; else None."""
        if isinstance(node, ast.Name):
            return "cupy" if node.id in self.modules else None
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            return "cupy" if called in NAMESPACES else None
        if isinstance(node, ast.Attribute) and (base := self.api_name(node.value)):
            return f"{base}.{node.attr}"
        return None

    def is_array(self, node: ast.AST) -> bool:
        """Surely an array of either device: by annotation, as a tensor's .array, or computed from one."""
        match node:
            case ast.Name(id=name):
                return name in self.arrays
            case ast.Attribute(attr="array"):
                return True
            case ast.Attribute(value=value, attr="T" | "mT"):
                return self.is_array(value)
            case ast.Call(func=ast.Attribute(value=value, attr=name) as f):
                if called := self.api_name(f):
                    return API.get(called, "class") != "class" and name not in NO_ARRAY
                return self.is_array(value) and name not in ("item", "tolist", "get", "nonzero")
            case ast.BinOp(left=left, right=right):
                return self.is_array(left) or self.is_array(right)
            case ast.UnaryOp(op=op, operand=operand):
                return self.is_array(operand) and not isinstance(op, ast.Not)
            case ast.Subscript(value=value):
                return self.is_array(value)
            case ast.Compare(
                left=left,
                comparators=[right],
                ops=[ast.Eq() | ast.NotEq() | ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()],
            ):
                return self.is_array(left) or self.is_array(right)
        return False

    # ------------------------------------------------------------------------------------------------------------- visiting

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = self.modules.copy(), self.arrays.copy()
        for p in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            annotation = ast.unparse(p.annotation) if p.annotation else ""
            (self.arrays.add if annotation in ("Array", "Array | None") else self.arrays.discard)(p.arg)
        self.functions.append(node)
        self.generic_visit(node)
        self.functions.pop()
        self.modules, self.arrays = before

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        value = node.value
        if isinstance(value, ast.IfExp):  # xp = np if like is None else namespace(like)
            value = value.orelse if self.api_name(value.orelse) else value.body
        for target in node.targets:
            for name in [target] if isinstance(target, ast.Name) else []:
                (self.modules.add if self.api_name(value) == "cupy" else self.modules.discard)(name.id)
                (self.arrays.add if self.is_array(value) else self.arrays.discard)(name.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self.api_name(node)
        if name is None or name.count(".") == 1:
            self.generic_visit(node)
        if name is not None and name != "cupy.__version__":
            base, _, last = name.rpartition(".")
            if API.get(base, "").startswith("ufunc"):
                if last in ("at", "reduceat", "accumulate") and self.path != "backend.py":
                    self.report(node, f"{name}: unordered, imprecise or missing on a GPU")
            elif name not in API:
                self.report(node, f"CuPy has no {name}")
        if node.attr in ("at", "reduceat") and isinstance(node.value, ast.Call) and self.is_getattr(node.value):
            self.report(node, "unordered, imprecise or missing on a GPU")
        bare = ast.unparse(node.value) == "np" and node not in self.called
        if bare and API.get(f"cupy.{node.attr}", "").startswith("ufunc") and not self.on_the_cpu():
            self.report(node, "NumPy's function, for whatever array comes")

    def is_numpy(self, node: ast.AST) -> bool:
        """np.f(...), for an f that makes or takes arrays."""
        return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("np.") and self.of_arrays(node.func)

    def of_arrays(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr not in NEUTRAL

    def on_the_cpu(self) -> bool:
        """In backend.py and HOST, or in a function that asks which of the two it has, NumPy is NumPy."""
        asks = re.compile(r" is (not )?np\b|, np\.ndarray\)")
        return (
            self.path == "backend.py"
            or self.path.startswith(HOST)
            or any(asks.search(ast.unparse(f)) for f in self.functions)
        )

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.generic_visit(node)
        for x, y in ((node.left, node.right), (node.right, node.left)):
            if self.is_numpy(x) and self.is_array(y) and not self.on_the_cpu():
                self.report(node, "NumPy's array meets what may be an array of a GPU")

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        target = node.target
        if isinstance(target, ast.Subscript) and self.is_array(target.slice) and not self.on_the_cpu():
            self.report(node, "which of several values for one place counts is undefined")

    def visit_If(self, node: ast.If) -> None:
        """In `if isinstance(x, np.ndarray):`, x is NumPy's."""
        self.visit(node.test)
        before = self.arrays.copy()
        match node.test:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), kind]) if (
                "np.ndarray" in ast.unparse(kind)
            ):
                self.arrays.discard(name)
        for n in node.body:
            self.visit(n)
        self.arrays |= before
        for n in node.orelse:
            self.visit(n)

    def is_getattr(self, node: ast.Call) -> bool:
        return ast.unparse(node.func) == "getattr" and self.api_name(node.args[0]) == "cupy"

    def visit_Call(self, node: ast.Call) -> None:
        self.called.add(node.func)
        self.generic_visit(node)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if self.is_numpy(node) and any(map(self.is_array, arguments)) and not self.on_the_cpu():
            self.report(node, "NumPy's function of what may be an array of a GPU")
        match node.func:
            case ast.Name(id="getattr") if self.is_getattr(node):
                names = list(self.strings(node.args[1]))
                for name in names:
                    if f"cupy.{name}" not in API:
                        self.report(node, f"CuPy has no cupy.{name}")
                if not names:
                    self.report(node, "which name this is cannot be read here")
            case ast.Attribute(value=value, attr=method) as f:
                if (api := self.api_name(f)) is not None:
                    if (
                        any(map(self.is_numpy, arguments))
                        and method not in ("asarray", "array")
                        and not self.on_the_cpu()
                    ):
                        self.report(node, f"{api} of NumPy's array")
                    if api in API:
                        self.check_call(node, api)
                elif self.is_array(value):
                    if f"cupy.ndarray.{method}" not in API:
                        self.report(node, f"CuPy's arrays have no {method}")
                    else:
                        self.check_call(node, f"cupy.ndarray.{method}")

    def check_call(self, node: ast.Call, name: str) -> None:
        keywords, count = [k.arg for k in node.keywords if k.arg], len(node.args)
        if any(isinstance(a, ast.Starred) for a in node.args):
            count = 0
        if API[name].startswith("ufunc"):  # ufunc.at(...) and the like are judged by their name
            nin, nout = map(int, API[name].split()[1:3])
            if count > nin + nout:
                self.report(node, f"{name} takes {nin} arrays, got {count}")
            if wrong := set(keywords) - UFUNC_KEYWORDS:
                self.report(node, f"{name}: ufuncs take only out, dtype and casting, not {', '.join(sorted(wrong))}")
        elif API[name][0] == "(":
            positional, known, any_positional, any_keyword = parse(API[name])
            if count > len(positional) and not any_positional:
                self.report(node, f"{name}{API[name]} takes {len(positional)} arguments, got {count}")
            if (wrong := set(keywords) - set(known)) and not any_keyword:
                self.report(node, f"{name}{API[name]} has no {', '.join(sorted(wrong))}")
            if name.endswith("sort"):
                kinds = [k.value for k in node.keywords if k.arg == "kind"]
                if any(not isinstance(k, ast.Constant) or k.value not in (None, "stable") for k in kinds):
                    self.report(node, f"{name}: kind is 'stable' or nothing")

    # --------------------------------------------------------------------------------------------------- getattr(xp, name)

    def strings(self, node: ast.AST) -> Iterator[str]:
        """The strings that an expression can be: a constant, an attribute of this file's classes, a caller's argument."""
        match node:
            case ast.Constant(value=str(value)):
                yield value
            case ast.Attribute(attr=name):
                for n in ast.walk(self.tree):
                    match n:
                        case ast.keyword(arg=other, value=ast.Constant() as given) if other == name:
                            yield from self.strings(given)
                        case ast.Assign(targets=[ast.Name(id=other)], value=ast.Constant() as given) if other == name:
                            yield from self.strings(given)
            case ast.Name() | ast.BoolOp(op=ast.Or()):
                parts = node.values if isinstance(node, ast.BoolOp) else [node]
                for call, f in self.calls():
                    by_place = zip((p.arg for p in f.args.args), call.args, strict=False)
                    arguments = {**dict(by_place), **{k.arg or "": k.value for k in call.keywords}}
                    first = next(
                        (arguments[p.id] for p in parts if isinstance(p, ast.Name) and p.id in arguments), None
                    )
                    if isinstance(first, ast.Constant):
                        yield from self.strings(first)

    def calls(self) -> Iterator[tuple[ast.Call, ast.FunctionDef]]:
        """Calls in this file of the functions that this place is in."""
        for f in self.functions:
            for n in ast.walk(self.tree):
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == f.name:
                    yield n, f


def lint(code: str, path: str = "") -> list[str]:
    """The messages about code, without those that KNOWN gives a reason for."""
    found = Lint(ast.parse(code), path).found
    return [
        f"{path}:{line}: {message}: {source}" for line, message, source in found if source not in KNOWN.get(path, ())
    ]


@pytest.mark.parametrize("path", sorted(str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*.py")))
def test_minigrad_asks_of_cupy_only_what_it_has(path: str) -> None:
    source = (PACKAGE / path).read_text()
    assert lint(source, path) == []
    for known in KNOWN.get(path, ()):
        assert known in ast.unparse(ast.parse(source)), "this exception is needed no more"


BAD = r"""
xp.errstate(all='ignore')
xp.block([a])
xp.insert(x.array, 0, 1)
xp.vecdot(a, b)
xp.linalg.vecdot(a, b)
xp.exp(x, where=mask)
xp.add(a, b, order='C')
xp.add(a, b, c, d)
namespace(x).sum(x, where=mask)
namespace(x).sum(x, initial=0)
backend.namespace(x).clip(x, min=0)
xp.take(x, i, axis=0, mode='clip')
xp.argsort(x, stable=True)
xp.argsort(x, kind='quicksort')
xp.sort(x, kind=kind)
xp.zeros(3, device='cpu')
xp.asarray(x, like=x)
xp.zeros(3, float, 'C', 'cpu')
xp.unique(x, sorted=False)
xp.as_strided(x)
xp.lib.stride_tricks.as_strided(x, writeable=False)
xp.maximum.accumulate(x)
xp.add.at(x, i, 1)
namespace(x).add.reduceat(x, i)
xp.multiply.at(x, i, 1)
getattr(xp, 'nope')
getattr(namespace(x), name)
module_for(where).geomspace(1, 2)
cupy.cuda.runtime.getDevices()
x.array.take(i, axis=0, mode='clip')
x.array.sum(where=m)
x.array.max(initial=0)
x.array.clip(min=0, max=1, dtype=float)
x.array.itemset(0, 1)
x.array.argsort(stable=True)
(x.array + 1).resize(3)
x.array[0].sort(kind='heapsort')
np.exp(x.array)
np.where(x.array > 0, 1, 0)
np.asarray(namespace(x).exp(x))
np.ones(3) * x.array
np.asarray(x == 0) & (y.array >= 0)
xp.where(a, np.zeros(3), b)
quiet(np.floor_divide)(x, y)
x.array[y.array] += 1
getattr(namespace(x), 'maximum').at(x, i, y)
def f(x: Array): return np.add(x, 1)
def f(x: Array): return np.sqrt(x * 2)
def f(x: Array): return x.take(0, mode='clip')
def f(x: Array): y = x * 2; y.resize(3)
def f(x): module = namespace(x); return module.block(x)
def f(x): y = namespace(x).exp(x); y.ptp(where=1)
def f(name, x): return getattr(namespace(x), name)(x)\nf('nope', x)
class C:\n    f = 'nope'\n    def g(self, x): return getattr(namespace(x), self.f)
""".strip().splitlines()

GOOD = r"""
xp.exp(x, out=y)
xp.add(a, b, c)
xp.add(a, b, dtype=x.dtype, casting='unsafe')
xp.sum(x, axis=0, keepdims=True)
xp.take(x, i, axis=0)
xp.argsort(x, axis=0, kind='stable')
xp.sort(x)
xp.where(a, b, c)
xp.float32
xp.lib.stride_tricks.as_strided(x, shape, strides)
xp.linalg.norm(x, axis=1)
xp.einsum('ij->i', *arrays, optimize=True)
namespace(x).zeros(3, dtype=x.dtype)
getattr(xp, 'exp')(x)
x.array.take(i, axis=0)
x.array.sum(axis=0, keepdims=True)
x.array.clip(min=0, max=1)
x.array.reshape(1, 2, 3, 4)
x.array.astype(np.float32, copy=False)
x.take(i, mode='clip')
np.where(a, b, c)
np.sqrt(math.pi * to_numpy(x))
np.ones(3) * to_numpy(x)
x.array[0] += 1
def f(x: Array):\n    if isinstance(x, np.ndarray): x.setflags(write=True)
xp.asarray(np.zeros(3))
other.errstate(all='ignore')
module_for(where).cuda.Device(0).use()
cupy.cuda.runtime.getDeviceCount()
np.float32, np.finfo(x.dtype).eps, np.inf
np.errstate(all='ignore')
for i in np.ndindex(2, 3): pass
def f(x):\n    if namespace(x) is np: return np.exp(x)
def f(x: np.ndarray): return x.take(0, mode='clip')
def f(x: Array): x = 'text'; return x.title()
def f(name, x): return getattr(namespace(x), name)(x)\nf('exp', x)
class C:\n    f = 'exp'\n    def g(self, x): return getattr(namespace(x), self.f)
""".strip().splitlines()


@pytest.mark.parametrize("code", BAD)
def test_the_lint_sees_what_cupy_would_refuse(code: str) -> None:
    assert len(lint(code.replace("\\n", "\n"))) == 1


@pytest.mark.parametrize("code", GOOD)
def test_the_lint_leaves_alone_what_both_understand(code: str) -> None:
    assert lint(code.replace("\\n", "\n")) == []


@pytest.mark.skipif(PathFinder.find_spec("cupy") is None, reason="CuPy is not installed: nothing to compare with")
def test_the_snapshot_is_of_the_installed_cupy() -> None:
    """In a process of its own, where no fake stands for it."""
    code = "from cupy_without_gpu import snapshot; print(snapshot.text(), end='')"
    here = {**os.environ, "PYTHONPATH": str(snapshot.FILE.parents[1])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=here)
    assert snapshot.FILE.read_text() == done.stdout, "run tests/cupy_without_gpu/snapshot.py"
