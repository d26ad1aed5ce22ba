"""Mutation testing: change one thing in the engine, run the tests that execute it, and see whether one of them fails.

    python tests/mutate.py                                  # every mutant; the score and the survivors are printed at the end
    python tests/mutate.py --share 0.1 --seed 1             # a random tenth of them
    python tests/mutate.py --files minigrad/core.py         # only these files
    python tests/mutate.py --resume                         # go on where a run was interrupted
    python tests/mutate.py --survivors --budget 30      # test again what survived, with better tests or for longer
    python tests/mutate.py --show-survivors                 # the report of the last run, nothing is run

How it works. The tests are collected once. First each runs alone, traced: which lines of the engine it executes, and how
long it takes. Then, for each mutant, a warmed worker forks a child; the child replaces the code of the live function and
runs tests that execute the mutated statement, cheapest first, one of each test function before a second of any, until one
fails or `--budget` seconds are spent. Hypothesis draws the same `--examples` cases each time and shrinks nothing.

What is changed: function bodies, the defaults of functions, and the literal constants of modules and classes. What runs only
while minigrad is imported (decorators, tables built of calls) is not: the tests have imported it before it could change.
State lies in .mutation/, which git ignores by itself.
"""

from __future__ import annotations
import __future__

import argparse
import ast
import copy
import gc
import hashlib
import itertools
import json
import mmap
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".mutation"
RESULTS = STATE / "results.jsonl"
KILLED = {"killed", "timeout", "crash"}
SLOWEST = 10.0  # seconds: slower tests are left out

EQUIVALENT: dict[str, str] = json.loads(Path(__file__).with_name("equivalent_mutants.json").read_text(encoding="utf-8"))
"""Mutants that no test can kill: id, or the beginning of one and a *, and why. They count neither as killed nor as survivors."""

# --------------------------------------------------------------------------------------------------------------- mutations

STATED = ("strict", "stacklevel", "timeout")
"""Keywords that are left as they are: zip(…, strict=True) states what holds anyway, the others decide where a warning points and
how long is waited."""
SPEED = ("fresh", "moves")
"""Attributes of ops that let the engine write into memory instead of copying it: without them it is slower, and right."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip


def mutations(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in a node's place, and the name of each change."""
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                yield "comparison", _with(node, ops=[*ops[:i], COMPARISONS[type(op)](), *ops[i + 1 :]])
        case ast.BinOp(op=ast.MatMult()):
            yield "operands swapped", _with(node, left=node.right, right=node.left)
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_text_or_sequence(node.left, node.right):
            yield "arithmetic", _with(node, op=ARITHMETIC[type(node.op)]())
        case ast.BoolOp():
            yield "and/or", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        case ast.UnaryOp():
            yield "operator removed", copy.copy(node.operand)
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int() | float()):
            yield "constant", ast.Constant(node.value + 1)
        case ast.Call():
            for i in [i for i, keyword in enumerate(node.keywords) if keyword.arg and keyword.arg not in STATED]:
                yield "keyword dropped", _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
            if len(node.args) > 1 and all(isinstance(x, ast.Name) for x in node.args[:2]):
                yield "arguments swapped", _with(node, args=[node.args[1], node.args[0], *node.args[2:]])
        case ast.Slice():
            for bound in [name for name in ("lower", "upper", "step") if getattr(node, name)]:
                yield "bound dropped", _with(node, **{bound: None})
        case ast.comprehension(ifs=ifs):
            for i in range(len(ifs)):
                yield "filter dropped", _with(node, ifs=ifs[:i] + ifs[i + 1 :])
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant) or value.value is not None:
            yield "returns None", _with(node, value=ast.Constant(None))
        case ast.AugAssign():
            yield "only assigned", ast.Assign(targets=[node.target], value=node.value)
        case ast.Expr(value=ast.Call()) | ast.Delete():
            yield "statement deleted", ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple(elts=[ast.Attribute(), *_])]):
            yield "statement deleted", ast.Pass()
        case ast.Continue():
            yield "continue/break", ast.Break()
        case ast.Break():
            yield "continue/break", ast.Continue()
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(node.test, ast.Constant):
        yield "condition negated", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    """A shallow copy of the node with other fields."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _is_text_or_sequence(*nodes: ast.expr) -> bool:
    """A sum of these joins strings or lists: it is part of a message, or a difference would always raise."""
    return any(
        isinstance(x, ast.JoinedStr | ast.List | ast.Tuple)
        or (isinstance(x, ast.Constant) and isinstance(x.value, str))
        for x in nodes
    )


@dataclass
class Mutant:
    """One change. `parent.field` (its item `index`, where it is a list) is `node`, and becomes `replacement`."""

    file: str
    qualname: str
    kind: str  # "code" of a function, "default" of an argument, or "attribute" of a module or class
    operator: str
    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    replacement: ast.AST
    statement: ast.stmt  # the smallest around the node, or the node itself
    top: ast.stmt  # the statement of the module that it stands in
    lines: range | set[int]  # a test that executes one of these can see the difference
    id: str = ""
    before: str = field(init=False)
    after: str = field(init=False)

    def __post_init__(self) -> None:
        ast.copy_location(self.replacement, self.node)  # keeps the line numbers that tests and messages may read
        ast.fix_missing_locations(self.replacement)
        self.before = _header(self.statement)
        self.put(self.replacement)
        self.after = _header(self.replacement if self.node is self.statement else self.statement)  # type: ignore[arg-type]
        self.put(self.node)
        place = self.node if hasattr(self.node, "lineno") else self.statement
        self.line, self.column = place.lineno, place.col_offset  # type: ignore[attr-defined]

    def put(self, node: ast.AST) -> None:
        """Let that node stand in the place."""
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def description(self) -> dict[str, Any]:
        """What is written down about it."""
        names = ("id", "file", "qualname", "line", "column", "operator", "before", "after")
        return {name: getattr(self, name) for name in names}

    def codes(self) -> tuple[CodeType, CodeType]:
        """The code of the whole statement of the module, before and after."""
        old = _compiled(self.top, self.file)
        self.put(self.replacement)
        try:
            return old, _compiled(self.top, self.file)
        finally:
            self.put(self.node)


def _compiled(top: ast.stmt, file: str) -> CodeType:
    module = ast.Module(body=[top], type_ignores=[])
    flags = __future__.annotations.compiler_flag  # every file of the engine has that import
    return compile(module, str(ROOT / file), "exec", flags=flags, dont_inherit=True)


def _header(statement: ast.stmt) -> str:
    """The statement in one line; of one that has a body, what stands before the body."""
    empty: dict[str, Any] = {"body": [ast.Pass()], "orelse": [], "handlers": [], "finalbody": [], "decorator_list": []}
    fields = {name: value for name, value in empty.items() if hasattr(statement, name)}
    return ast.unparse(_with(statement, **fields)).splitlines()[0]


def _places(
    node: ast.AST, above: tuple[ast.AST, ...] = ()
) -> Iterator[tuple[tuple[ast.AST, ...], str, int | None, ast.AST]]:
    """Every node that may be changed, with those above it and where it stands in the last of them."""
    above = (*above, node)
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases") or _is_for_type_checkers(node, name):
            continue
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            stated = isinstance(child, ast.keyword) and child.arg in STATED
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr | ast.Raise) and not stated:
                yield above, name, i, child
                yield from _places(child, above)


def _is_for_type_checkers(node: ast.AST, name: str) -> bool:
    if not isinstance(node, ast.If) or "TYPE_CHECKING" not in ast.unparse(node.test):
        return False
    return name == "test" or (name == "body" and isinstance(node.test, ast.Name))


def mutants_of(file: str) -> list[Mutant]:
    """Every mutant of a file whose bytecode differs from the original's and from every other mutant's."""
    tree = ast.parse((ROOT / file).read_text())
    seen: set[Any] = set()
    count: Counter[str] = Counter()
    result = []
    for above, name, i, node in _places(tree):
        statements = [x for x in (*above, node) if isinstance(x, ast.stmt)]
        scope = [x for x in above if isinstance(x, ast.FunctionDef | ast.ClassDef | ast.Lambda)]
        kind, lines = _kind(tree, above, scope, statements[-1])
        if kind == "none":
            continue
        qualname = ".".join([getattr(x, "name", "<lambda>") for x in scope]) or "<module>"
        for operator, new in mutations(node):
            place = (above[-1], name, i, node, new, statements[-1], statements[0])
            m = Mutant(file, qualname, kind, operator, *place, lines)
            try:
                old, changed = (_signature(code) for code in m.codes())
            except SyntaxError:  # `return` where only `yield` may stand, and the like
                continue
            change = m.top.lineno, hash(repr(changed))  # as text, since 1 == True
            if repr(old) == repr(changed) or change in seen:
                continue
            seen.add(change)
            m.id = f"{file}::{qualname}::{m.before} -> {m.after}"
            count[m.id] += 1
            if count[m.id] > 1:  # the same line twice in one function
                m.id += f" #{count[m.id]}"
            result.append(m)
    return result


def _kind(
    tree: ast.Module, above: tuple[ast.AST, ...], scope: list[Any], statement: ast.stmt
) -> tuple[str, range | set[int]]:
    """How a change below these nodes is made in the running program, if it can be, and which lines show it."""
    in_arguments = any(isinstance(x, ast.arguments) for x in above)
    if any(not isinstance(x, ast.ClassDef) for x in (scope[:-1] if in_arguments else scope)):
        body = getattr(statement, "body", None)
        end = body[0].lineno - 1 if body else statement.end_lineno or 0
        return "code", range(statement.lineno, max(end, statement.lineno) + 1)
    if in_arguments:  # a function's defaults are made by the code around it
        f = scope[-1]
        known = isinstance(above[-1], ast.arguments) and isinstance(f, ast.FunctionDef)
        return ("default", range(f.body[0].lineno, f.end_lineno + 1)) if known else ("none", set())
    if not _target(statement) or _target(statement) in SPEED or _constant(statement) is None:
        return "none", set()
    if not scope:
        names = [x for x in ast.walk(tree) if isinstance(x, ast.Name) and x.id == _target(statement)]
        return "attribute", {line for x in names for line in range(x.lineno, (x.end_lineno or 0) + 1)}
    if any(isinstance(x, ast.FunctionDef) for x in scope[-1].body) and not scope[-1].decorator_list:
        return "attribute", range(scope[-1].lineno, scope[-1].end_lineno + 1)
    return "none", set()  # the fields of a dataclass or a NamedTuple, whose values were copied


def _target(statement: ast.stmt) -> str:
    """The one name that a statement assigns to, or nothing."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    return target.id if isinstance(target, ast.Name) and isinstance(statement, ast.Assign | ast.AnnAssign) else ""


def _constant(statement: Any) -> Any:
    """The value that a statement assigns, if it is written in numbers; else None."""
    try:
        return eval(ast.unparse(statement.value), {"__builtins__": {}})
    except (NameError, TypeError, AttributeError):
        return None


# ---------------------------------------------------------------------------------------------------- in the running program


class Program:
    """The imported engine, the collected tests, and what each test executes. Workers are forked from the process that holds it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.baseline: dict[str, Any] = {}  # by test: seconds, lines by file, or why it is left out
        self.mutants: list[Mutant] = []
        self.functions: dict[Any, list[FunctionType]] = defaultdict(list)
        self.caches: list[Any] = []
        self.tests: dict[tuple[str, int], list[int]] = defaultdict(list)  # by line: which tests execute it
        self.at_import: set[tuple[str, int]] = set()
        self.kills: dict[str, Counter[int]] = defaultdict(Counter)  # by function: which tests killed mutants of it
        self.failed = False  # the test that runs, or ran last
        self.is_child = False  # this process has a mutant in it
        self.started_processes = False
        self.options = argparse.Namespace()

    # ---- pytest's hooks

    def pytest_runtestloop(self, session: Any) -> bool:
        self.items = session.items
        run(self)
        return True

    def pytest_runtest_makereport(self, call: Any) -> None:
        from _pytest.outcomes import Skipped

        if call.excinfo is not None and not isinstance(call.excinfo.value, Skipped):
            self.failed = True
            if self.is_child:
                os._exit(1)  # the first failure decides, and its report would take longer than most tests

    # ---- one test

    def run_test(self, i: int) -> bool:
        """Run one test with all its fixtures. True if it passed."""
        self.failed = False
        self.items[i].config.hook.pytest_runtest_protocol(item=self.items[i], nextitem=None)
        return not self.failed

    def measure(self, i: int) -> tuple[str, dict[str, Any]]:
        """The seconds a test takes and the lines of the engine that it executes."""
        lines: dict[str, set[int]] = defaultdict(set)
        engine = str(ROOT / "minigrad")

        def on_call(frame: FrameType, event: str, argument: Any) -> Any:
            return on_line if frame.f_code.co_filename.startswith(engine) else None

        def on_line(frame: FrameType, event: str, argument: Any) -> Any:
            lines[frame.f_code.co_filename].add(frame.f_lineno)
            return on_line

        for function in self.caches:  # a cached result hides who needs it
            function.cache_clear()
        self.started_processes = False
        threading.settrace(on_call)
        sys.settrace(on_call)
        self.run_test(i)
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        start = time.perf_counter()
        passed = self.run_test(i)
        seconds = time.perf_counter() - start
        why = (
            "fails" if not passed
            else "starts a process" if self.started_processes
            else "slow" if seconds > SLOWEST
            else ""
        )  # fmt: skip
        relative = {str(Path(file).relative_to(ROOT)): sorted(found) for file, found in lines.items()}
        return self.items[i].nodeid, {"seconds": seconds, "left_out": why, "lines": relative}

    # ---- one mutant

    def find_functions(self) -> None:
        """Every live function of the engine, wherever it hides: in classes, properties, closures, under decorators."""
        for x in gc.get_objects():
            if type(x) is FunctionType and x.__code__.co_filename.startswith(str(ROOT / "minigrad")):
                self.functions[_key(x.__code__)].append(x)
            elif type(x) is _lru_cache_wrapper and x.__module__.startswith("minigrad"):
                self.caches.append(x)

    def apply(self, m: Mutant) -> bool:
        """Change the running program. False if that cannot be done."""
        if m.kind == "code":
            changed = [(f, new) for old, new in _pairs(*m.codes()) for f in self.functions[_key(old)]]
            if not changed or any(f.__code__.co_freevars != new.co_freevars for f, new in changed):
                return False
            for f, new in changed:
                f.__code__ = new
        elif m.kind == "default":
            value = ast.literal_eval(m.replacement)
            definition = next(x for x in ast.walk(m.top) if getattr(x, "args", None) is m.parent)
            found = [f for key, fs in self.functions.items() for f in fs if key[:2] == (str(ROOT / m.file), m.qualname)]
            for f in found:
                if m.field == "defaults" and f.__defaults__:
                    f.__defaults__ = tuple(value if i == m.index else x for i, x in enumerate(f.__defaults__))
                elif f.__kwdefaults__:
                    f.__kwdefaults__ = {**f.__kwdefaults__, definition.args.kwonlyargs[m.index].arg: value}
            return bool(found)
        else:
            module = sys.modules[".".join(Path(m.file).with_suffix("").parts).removesuffix(".__init__")]
            owner = module
            for name in m.qualname.split(".") if m.qualname != "<module>" else ():
                owner = getattr(owner, name)
            m.put(m.replacement)
            setattr(owner, _target(m.statement), _constant(m.statement))
        return True

    def covering(self, m: Mutant) -> set[int]:
        """The tests that execute the mutated statement."""
        return {i for line in m.lines for i in self.tests.get((m.file, line), ())}

    def choose(self, m: Mutant) -> list[int]:
        """The tests to run: the cheapest of each test function, then the next of each, until the budget is spent."""
        found = self.covering(m)
        by_function = defaultdict(list)
        for i in sorted(found, key=self.seconds):
            by_function[self.items[i].nodeid.partition("[")[0]].append(i)
        rounds = itertools.zip_longest(*by_function.values())
        order = [i for tests in rounds for i in sorted([i for i in tests if i is not None], key=self.seconds)]
        spent = itertools.accumulate([self.seconds(i) for i in order], initial=0.0)
        chosen = [i for i, before in zip(order, spent, strict=False) if before < self.options.budget]
        kills = self.kills[f"{m.file}::{m.qualname}"]
        return sorted(chosen, key=lambda i: -kills[i])  # what killed a neighbour first; which tests run stays the same

    def seconds(self, i: int) -> float:
        return self.baseline[self.items[i].nodeid]["seconds"]

    def test(self, i: int) -> dict[str, Any]:
        """Fork a child that changes the program and runs the tests; what became of the mutant."""
        m, start = self.mutants[i], time.perf_counter()
        tests = self.choose(m)
        last = mmap.mmap(-1, 8)  # shared with the child: the number of tests it has begun
        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if child == 0:
                try:
                    self._run_child(m, tests, last, folder)
                finally:
                    os._exit(4)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        words = {0: "survived", 1: "killed", 3: "not applicable"}
        words |= {-signal.SIGPROF: "timeout", -signal.SIGALRM: "timeout"}
        word = words.get(status, "crash")
        begun = int.from_bytes(last[:8], "little")
        by = tests[begun - 1] if begun and word in KILLED else None
        if by is not None:
            self.kills[f"{m.file}::{m.qualname}"][by] += 1
        return {
            **m.description(),
            "status": word,
            "by": None if by is None else self.items[by].nodeid,
            "tests": begun,
            "of": len(self.covering(m)),
            "seconds": round(time.perf_counter() - start, 2),
        }

    def _run_child(self, m: Mutant, tests: list[int], last: mmap.mmap, folder: str) -> None:
        self.is_child = True
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.environ.update(HOME=folder, TMPDIR=folder, PYTEST_DEBUG_TEMPROOT=folder)
        tempfile.tempdir = folder
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + (4 << 30)  # a loop that only appends shall not take the machine down
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        if not self.apply(m):
            os._exit(3)
        for function in self.caches:
            function.cache_clear()
        for n, i in enumerate(tests, start=1):
            last[:8] = n.to_bytes(8, "little")
            limit = 5 + 20 * self.seconds(i)
            signal.setitimer(signal.ITIMER_PROF, limit)  # processor time, so that a busy machine kills no mutant
            signal.setitimer(signal.ITIMER_REAL, 4 * limit)  # for one that waits
            self.run_test(i)
        os._exit(0)


def _signature(code: CodeType) -> Any:
    """All that decides what the code does; where it stands in the file does not."""
    constants = [_signature(c) if isinstance(c, CodeType) else c for c in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_exceptiontable, constants


def _key(code: CodeType) -> Any:
    """What names a code object: its function, and where it ends, which tells two lambdas of one line apart."""
    return code.co_filename, code.co_qualname, code.co_firstlineno, list(code.co_positions())[-1]


def _pairs(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """The code objects that differ, before and after, from the outside in."""
    if repr(_signature(old)) != repr(_signature(new)):
        yield old, new
        inner = defaultdict(list)
        for code in new.co_consts:
            if isinstance(code, CodeType):
                inner[code.co_name].append(code)
        for code in old.co_consts:
            if isinstance(code, CodeType) and inner[code.co_name]:
                yield from _pairs(code, inner[code.co_name].pop(0))


# ------------------------------------------------------------------------------------------------------------------ the run

PROGRAM = Program()  # a global: forked workers find it by name


def _measure(i: int) -> tuple[str, dict[str, Any]]:
    return PROGRAM.measure(i)


def _test(i: int) -> dict[str, Any]:
    return PROGRAM.test(i)


def _warm_up(tests: list[int]) -> None:
    """In a new worker: first calls take long in torch, and memory that the garbage collector leaves alone stays shared."""
    for i in tests:
        PROGRAM.run_test(i)
    gc.collect()
    gc.freeze()


def _watch_processes() -> None:
    """In a new worker: see whether a test starts a process."""

    def on_event(event: str, arguments: Any) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec"):
            PROGRAM.started_processes = True

    sys.addaudithook(on_event)


def measure_tests(program: Program) -> None:
    """Fill program.baseline, from the file of an earlier run where neither the engine nor the test's file has changed."""
    store = STATE / f"baseline-{program.options.examples}.json"
    old = json.loads(store.read_text()) if store.exists() else {}
    shared = [*sorted((ROOT / "minigrad").rglob("*.py")), ROOT / "tests" / "helpers.py", ROOT / "tests" / "conftest.py"]
    engine = hashlib.sha256(b"".join(path.read_bytes() for path in shared))
    keys = {}
    for path in {item.path for item in program.items}:
        key = engine.copy()
        key.update(path.read_bytes())
        keys[path] = key.hexdigest()
    known = {i.nodeid: old[i.nodeid] for i in program.items if old.get(i.nodeid, {}).get("key") == keys[i.path]}
    stale = [n for n, item in enumerate(program.items) if item.nodeid not in known]
    if stale:
        say(f"running {len(stale)} tests, to see what each executes")
        with multiprocessing.get_context("fork").Pool(program.options.jobs, _watch_processes) as pool:
            measured = dict(pool.imap_unordered(_measure, stale, chunksize=8))
        key_of = {item.nodeid: keys[item.path] for item in program.items}
        known |= {nodeid: {**record, "key": key_of[nodeid]} for nodeid, record in measured.items()}
        store.write_text(json.dumps(known))
    program.baseline = known
    for i, item in enumerate(program.items):
        if not known[item.nodeid]["left_out"]:
            for file, lines in known[item.nodeid]["lines"].items():
                for line in lines:
                    program.tests[file, line].append(i)


def run(program: Program) -> None:
    """Measure the tests, then test the mutants, writing down each result at once."""
    options = program.options
    start = time.perf_counter()
    program.find_functions()
    measure_tests(program)
    for why in ("fails", "starts a process", "slow"):
        found = [nodeid for nodeid, record in program.baseline.items() if record["left_out"] == why]
        if found:
            say(f"left out, {why}: {len(found)}\n    " + "\n    ".join(sorted(found)))
    say(f"{len(program.items)} tests measured after {time.perf_counter() - start:.0f} s")
    mutants = [m for file in options.files for m in mutants_of(file)]
    done = results() if options.resume or options.survivors else {}
    done = {m.id: done[m.id] for m in mutants if m.id in done}  # the engine may have changed since
    if options.survivors:
        again = {id for id, record in done.items() if record["status"] in ("survived", "not reached")}
        mutants = [m for m in mutants if m.id in again]
    elif options.resume:
        mutants = [m for m in mutants if m.id not in done]
    program.mutants = random.Random(options.seed).sample(
        mutants, round(len(mutants) * options.share)
    )  # in random order
    if RESULTS.exists():
        RESULTS.replace(RESULTS.with_suffix(".old"))
    with RESULTS.open("w") as out:
        for record in itertools.chain(done.values(), test_mutants(program)):
            out.write(json.dumps(record) + "\n")
            out.flush()


def test_mutants(program: Program) -> Iterator[dict[str, Any]]:
    """The result of every mutant, as they come in."""
    todo = []
    for n, m in enumerate(program.mutants):
        lines = {(m.file, line) for line in m.lines}
        if equivalent(m.id):
            yield {**m.description(), "status": "equivalent"}
        elif not lines.isdisjoint(program.tests):
            todo.append(n)
        else:
            status = "not reached" if lines.isdisjoint(program.at_import) else "import only"
            yield {**m.description(), "status": status}
    say(f"{len(program.mutants)} mutants, {len(todo)} of them to be tested")
    first = {program.items[i].nodeid.partition("[")[0]: i for tests in program.tests.values() for i in tests[:1]}
    warm = [i for i in sorted(first.values()) if program.seconds(i) < 0.1]
    start = time.perf_counter()
    count: Counter[str] = Counter()
    with multiprocessing.get_context("fork").Pool(program.options.jobs, _warm_up, (warm,)) as pool:
        for n, record in enumerate(pool.imap_unordered(_test, todo), start=1):
            yield record
            count[record["status"]] += 1
            if n % 100 == 0:
                minutes = (time.perf_counter() - start) / 60
                say(f"{n} of {len(todo)}: {dict(count)}, {minutes:.1f} min, {minutes / n * (len(todo) - n):.0f} more")


# --------------------------------------------------------------------------------------------------------------- the report


def results() -> dict[str, dict[str, Any]]:
    """What is known of each mutant, by id; the last result counts."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {record["id"]: record for record in map(json.loads, lines)}


def equivalent(id: str) -> bool:
    return any(id == known or (known.endswith("*") and id.startswith(known[:-1])) for known in EQUIVALENT)


def report(records: Iterable[dict[str, Any]]) -> str:
    """The score, the survivors, and what no test reaches."""
    by_status: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in sorted(records, key=lambda r: (r["file"], r["line"], r["column"], r["id"])):
        by_status["equivalent" if r["status"] == "survived" and equivalent(r["id"]) else r["status"]].append(r)
    survivors = by_status["survived"]
    killed = sum(len(by_status[status]) for status in KILLED)
    lines = [f"{r['file']}:{r['line']}  [{r['operator']}]\n  - {r['before']}\n  + {r['after']}" for r in survivors]
    for status, what in (("not reached", "reached by no test"), ("import only", "run only while minigrad is imported")):
        functions = Counter(f"{r['file']}::{r['qualname']}" for r in by_status[status])
        lines.append(f"{what}: {len(by_status[status])}{' (in: ' if functions else ''}")
        lines += [f"    {name} {count}" for name, count in functions.items()]
    others = len(by_status["not reached"])
    counts = ", ".join(f"{status}: {len(found)}" for status, found in sorted(by_status.items()) if found)
    lines.append(f"{sum(map(len, by_status.values()))} mutants. {counts}")
    lines.append(f"mutation score: {_share(killed, killed + len(survivors))} of what the tests reach")
    lines.append(f"                {_share(killed, killed + len(survivors) + others)} of all")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part} / {whole} = {part / max(whole, 1):.1%}"


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", help="the files to mutate (default: minigrad/ but for minigrad/testing/)")
    parser.add_argument("--share", type=float, default=1.0, help="test a random share of the mutants")
    parser.add_argument("--seed", type=int, default=0, help="which share, and in which order")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--budget", type=float, default=4.0, help="seconds of tests per mutant")
    parser.add_argument("--examples", type=int, default=10, help="cases that hypothesis draws")
    parser.add_argument("--resume", action="store_true", help="keep the results of the last run")
    parser.add_argument(
        "--survivors", action="store_true", help="test again what survived the last run, or was not reached"
    )
    parser.add_argument("--show-survivors", action="store_true", help="print the report of the last run")
    options = parser.parse_args()
    engine = [path.relative_to(ROOT) for path in sorted((ROOT / "minigrad").rglob("*.py"))]
    options.files = options.files or [str(path) for path in engine if path.parts[1] != "testing"]
    STATE.mkdir(exist_ok=True)
    (STATE / ".gitignore").write_text("*\n")
    if not options.show_survivors:
        PROGRAM.options = options
        run_pytest(PROGRAM)
    say(report(results().values()))


def run_pytest(program: Program) -> None:
    """Import everything and collect the tests; pytest then calls back, where it would run them."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # pools of threads would not survive a fork
    os.environ.update(HYPOTHESIS_PROFILE="mutation", HYPOTHESIS_STORAGE_DIRECTORY=str(STATE / "hypothesis"))
    sys.path.insert(0, str(ROOT))
    import pytest
    import torch
    from hypothesis import HealthCheck, Phase, settings

    torch.set_num_threads(1)
    settings.register_profile(
        "mutation",
        max_examples=program.options.examples,
        phases=[Phase.explicit, Phase.generate],  # a failure is enough, it need not be small
        report_multiple_bugs=False,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    program.at_import = imported_lines()
    arguments = ["-s", "-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:terminal"]
    code = pytest.main([*arguments, f"--rootdir={ROOT}", str(ROOT / "tests")], plugins=[program])
    if code not in (0, 5):
        sys.exit(f"pytest could not collect the tests: {code!r}; see what `pytest --collect-only` says")


def imported_lines() -> set[tuple[str, int]]:
    """The lines of functions that run while minigrad is imported."""
    lines: set[tuple[str, int]] = set()

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        if (
            file.startswith(str(ROOT / "minigrad")) and frame.f_code.co_flags & 1
        ):  # CO_OPTIMIZED: a function, not a class
            lines.add((str(Path(file).relative_to(ROOT)), frame.f_lineno))
            return on_call
        return None

    sys.settrace(on_call)
    import minigrad  # noqa: F401

    sys.settrace(None)
    return lines


if __name__ == "__main__":
    main()
