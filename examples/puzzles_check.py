"""Checks the functions of puzzles.py, which starts it: the right answers, the inputs to try, and what is said about a wrong one.

A puzzle's right answer is a loop that can be read off its task, or, where the task is a gradient, what minigrad's backward
computes. hypothesis draws inputs, and makes one on which the two differ as small as it can.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import itertools
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from textwrap import fill
from types import ModuleType
from typing import Any

import numpy as np

import minigrad as mg

try:
    from hypothesis import Phase, configuration, find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException, NoSuchExample
except ModuleNotFoundError:
    sys.exit("The puzzles are checked with hypothesis, which is not installed: pip install -e '.[test]'")

# ------------------------------------------------------------------------------------------------------- the inputs to try


def numbers(draw: Any, plain: np.ndarray) -> np.ndarray:
    """These numbers, which are easily told apart, or half of the time random halves of either sign in their place."""
    seed = draw(st.integers(-50, 50))
    return plain if seed <= 0 else np.random.default_rng(seed).integers(-19, 19, plain.shape) / 2


def tables(draw: Any, V: int, D: int) -> np.ndarray:
    """Row 3 is 31, 32, ..."""
    return numbers(draw, 10.0 * np.arange(V)[:, None] + np.arange(1, D + 1))


def gradients(draw: Any, *shape: int) -> np.ndarray:
    """The rows are 1, 2, ...; 10, 20, ...; 100, 200, ...: a sum shows which of them are in it."""
    powers = 10.0 ** np.arange(np.prod(shape[:-1], dtype=int)).reshape(*shape[:-1], 1)
    return numbers(draw, powers * np.arange(1, shape[-1] + 1))


@st.composite
def lookups(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """table (V, D), ids (N,), g (N, D), V."""
    V, D = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    ids = np.array(draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=5)))
    return tables(draw, V, D), ids, gradients(draw, len(ids), D), V


@st.composite
def batches(draw: Any) -> tuple[np.ndarray, int]:
    B, T, D = (draw(st.integers(1, 3)) for _ in range(3))
    return gradients(draw, B, T, D), T + draw(st.integers(0, 2))


@st.composite
def texts(draw: Any) -> tuple[np.ndarray, int, int]:
    length, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    N = length + 1 + draw(st.integers(0, 7))
    return abs(numbers(draw, 10.0 + np.arange(N))).astype(int), length, stride


@st.composite
def cut_texts(draw: Any) -> tuple[np.ndarray, int, int]:
    tokens, length, stride = draw(texts())
    N = len(tokens)
    return gradients(draw, len(range(0, N - length, stride)), length), stride, N


@st.composite
def segments(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any)))
    return gradients(draw, lengths.sum(), draw(st.integers(1, 2))), lengths


@st.composite
def tied(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table, ids, _, V = draw(lookups())
    return table, ids, numbers(draw, 1.0 + np.arange(len(ids) * V).reshape(len(ids), V))


# ------------------------------------------------------------------------------------------------------------- the answers


@dataclass(frozen=True)
class Puzzle:
    number: int
    answer: Callable[..., Any]
    cases: Any
    """A hypothesis strategy of arguments."""
    why: Callable[..., str]
    """why(at, *arguments): a sentence about the number of the right answer that has the index `at`."""
    hint: str
    learned: str
    product: bool = False
    """The answer must be computed by a matrix product."""

    @property
    def name(self) -> str:
        return self.answer.__name__


PUZZLES: list[Puzzle] = []


def puzzle(cases: Any, why: Callable[..., str], hint: str, learned: str, **more: Any) -> Callable[[Any], Any]:
    def keep(answer: Callable[..., Any]) -> Callable[..., Any]:
        PUZZLES.append(Puzzle(len(PUZZLES) + 1, answer, cases, why, hint, learned, **more))
        return answer

    return keep


def of_lookups(*which: int) -> Any:
    """Only these of table, ids, g, V."""
    return lookups().map(lambda case: tuple(case[i] for i in which))


def pulled(y: mg.Tensor, g: np.ndarray, x: mg.Tensor) -> np.ndarray:
    y.backward(mg.tensor(g, device="cpu"))
    return x.grad.numpy()


def leaf(array: np.ndarray) -> mg.Tensor:
    return mg.tensor(array, dtype=mg.float64, device="cpu", requires_grad=True)


def listing(places: Any, before: str, after: str) -> str:
    """Who read a row: "ids[0] and ids[2]", of places 0 and 2."""
    return " and ".join(f"{before}{place}{after}" for place in places) or "nobody"


def read_by(readers: str, g: np.ndarray) -> str:
    """Who read a row, and that their g add up."""
    return f"was read by {readers}: {plus(g)}.{' An indexed += keeps only the last of them.' if len(g) > 1 else ''}"


def number_of(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def plus(terms: Any) -> str:
    return " + ".join(f"{term:.10g}" for term in terms) or "0"


@puzzle(
    of_lookups(0, 1),
    lambda at, table, ids: f"Row {at[0]} of the result is row ids[{at[0]}] = {ids[at[0]]} of the table.",
    "An array of integers may stand between the brackets of an index: x[np.array([2, 0, 2])].",
    "One copy for each id: in the example row 2 is read twice, and is there twice. Remember it until puzzle 5.",
)
def gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.array([table[i] for i in ids])


@puzzle(
    of_lookups(1, 3),
    lambda at, ids, V: f"Row {at[0]} has its 1 in column ids[{at[0]}] = {ids[at[0]]}, and 0 elsewhere.",
    "Compare the ids as a column, ids[:, None], with np.arange(V) as a row. Then make numbers of True and False: "
    ".astype(float).",
    "A column (N, 1) against a row (V,) is compared as (N, V). That repeating is called broadcasting.",
)
def one_hot(ids: np.ndarray, V: int) -> np.ndarray:
    return np.array([[1 if v == i else 0 for v in range(V)] for i in ids])


@puzzle(
    of_lookups(0, 1),
    lambda at, table, ids: f"Row {at[0]} of the result is row ids[{at[0]}] = {ids[at[0]]} of the table.",
    "Look at one row of the one-hot matrix, times the table: only one row of the table is not multiplied by 0. "
    "Puzzle 2 makes that matrix, and V is len(table).",
    "table[ids] is X @ table, where X is one-hot. Nobody computes it so, since X is nearly all zeros; but whatever is "
    "true of products is true of lookups.",
    product=True,
)
def gather_by_product(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.array([table[i] for i in ids])


@puzzle(
    of_lookups(1, 3),
    lambda at, ids, V: f"Id {at[0]} occurs {number_of((ids == at[0]).sum(), 'time')} in ids.",
    "Each time v occurs puts a 1 into column v of the one-hot matrix. Sum along which axis?",
    "The columns of X sum to how often each row of the table is read. The next puzzle weights each reading.",
)
def counts(ids: np.ndarray, V: int) -> np.ndarray:
    return np.array([list(ids).count(v) for v in range(V)])


@puzzle(
    of_lookups(2, 1, 3),
    lambda at, g, ids, V: (
        f"Row {at[0]} {read_by(listing(np.flatnonzero(ids == at[0]), 'ids[', ']'), g[ids == at[0], at[1]])}"
    ),
    "In puzzle 3, X is (N, V) and X @ table copies rows out. X.T is (V, N), and X.T @ g brings them home: try it on "
    "paper. (np.add.at does the same without X. `out[ids] += g` does not: it reads all rows, adds, and writes all back, "
    "so of a row that is named twice only the last sum stays.)",
    "X @ table, and X.T @ g, with the same X: gather and scatter_add are an adjoint pair, each the gradient of the other. "
    "One can see it without X: sum(gather(table, ids) * g) == sum(table * scatter_add(g, ids, V)) for every table and g. "
    "With table = [[1, 2], [3, 4], [5, 6]], ids = [2, 0, 2] and g = [[1, 2], [10, 20], [100, 200]] both are 1767; "
    "whoever keeps only the last g of row 2 gets 1750.",
)
def scatter_add(g: np.ndarray, ids: np.ndarray, V: int) -> np.ndarray:
    table = leaf(np.zeros((V, g.shape[1])))
    return pulled(table[mg.tensor(ids, device="cpu")], g, table)


@puzzle(
    batches(),
    lambda at, g, C: (
        f"Row {at[0]} was read at position {at[0]} in {number_of(len(g), 'sequence')}: {plus(g[:, at[0], at[1]])}."
        if at[0] < g.shape[1]
        else f"Row {at[0]} was read by nobody: T is {g.shape[1]}."
    ),
    "Sum g over the batch, axis 0; that gives the first T rows. Put them into zeros of (C, D).",
    "Adding (T, D) to (B, T, D) reads each row B times, so its gradient is a sum over B: broadcasting and summing are an "
    "adjoint pair, too. Where B == T, a sum along the wrong axis has the right shape, and nobody complains.",
)
def position_gradient(g: np.ndarray, C: int) -> np.ndarray:
    table = leaf(np.zeros((C, g.shape[2])))
    return pulled(mg.tensor(np.zeros(g.shape), device="cpu") + table[: g.shape[1]], g, table)


def why_windows(at: tuple[int, ...], tokens: np.ndarray, length: int, stride: int) -> str:
    place = at[1] * stride + at[2]
    if at[0]:
        return f"A target is one token after its input, and this input is tokens[{place}]."
    return f"Window {at[1]} starts at token {at[1]} * {stride} = {at[1] * stride}, so this is tokens[{place}]."


@puzzle(
    texts(),
    why_windows,
    "A lookup again: make the places to read, (n, length), from the starts as a column and np.arange(length) as a row. "
    "The last start must leave room for length tokens and one more: np.arange(0, len(tokens) - length, stride).",
    "Windows are a lookup, table[ids], with neighbouring ids. So you know what their gradient must be.",
)
def windows(tokens: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    starts = range(0, len(tokens) - length, stride)
    inputs = np.array([tokens[s : s + length] for s in starts])
    return inputs, np.array([tokens[s + 1 : s + length + 1] for s in starts])


def places(g: np.ndarray, stride: int) -> np.ndarray:
    return np.array([[i * stride + k for k in range(g.shape[1])] for i in range(len(g))])


@puzzle(
    cut_texts(),
    lambda at, g, stride, N: (
        f"Number {at[0]} "
        f"{read_by(listing(np.argwhere(places(g, stride) == at[0]).tolist(), 'input ', ''), g[places(g, stride) == at[0]])}"
    ),
    "The places that puzzle 7 reads are ids. Make them again, (n, length), flatten them and g, and scatter_add g, as "
    "rows of one number, to N rows.",
    "Overlapping windows are a repeated id in other clothes: the gradient adds where a number was read more than once.",
)
def overlap_add(g: np.ndarray, stride: int, N: int) -> np.ndarray:
    x = leaf(np.zeros(N))
    return pulled(x[mg.tensor(places(g, stride), device="cpu")], g, x)


@puzzle(
    segments(),
    lambda at, g, lengths: (
        f"Segment {at[0]} has {number_of(lengths[at[0]], 'row')}, from row {lengths[: at[0]].sum()} on: "
        f"{plus(g[lengths[: at[0]].sum() :][: lengths[at[0]], at[1]])}."
    ),
    "np.cumsum(g, axis=0) has the sums of all rows so far, np.cumsum(lengths) the rows where segments end. A segment is "
    "the sum up to its end less the sum up to its start. Mind the start at row 0: put a row of zeros before the sums. "
    "(np.add.reduceat gives a segment of length 0 a row of g.)",
    "Scatter-add without the N times V numbers of X: sort by id, sum the segments. The order of every sum is known then, "
    "so it gives the same digits each time, which adding from many threads at once does not.",
)
def segment_sum(g: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    ends = np.cumsum(lengths)
    return np.array([g[end - n : end].sum(axis=0) for n, end in zip(lengths, ends, strict=True)])


@puzzle(
    tied(),
    lambda at, table, ids, g: (
        f"Row {at[0]} scored a token in every row of y: {(g[:, at[0]] @ table[ids])[at[1]]:.10g}, from g.T @ x. It was "
        f"looked up by {listing(np.flatnonzero(ids == at[0]), 'ids[', ']')}: {plus((g @ table)[ids == at[0], at[1]])}, "
        "from g @ table."
    ),
    "y = x @ table.T: the gradient of table.T is x.T @ g, so that of the table is its transpose. The gradient of x is "
    "g @ table; it is an (N, D) gradient of a lookup, and puzzle 5 takes it to its rows. Add both.",
    "That is what minigrad does: each use of a table gives a gradient, and they add, for the same reason as those of a "
    "repeated id. One rule in all ten: what is read twice gets the sum of what comes back.",
)
def tied_gradient(table: np.ndarray, ids: np.ndarray, g: np.ndarray) -> np.ndarray:
    t = leaf(table)
    return pulled(t[mg.tensor(ids, device="cpu")] @ t.T, g, t)


# --------------------------------------------------------------------------------------------------------- someone's answers


class Unreadable(Exception):
    """A file of answers that does not load, and why."""


REMEDIES = {
    "read-only": "Arguments are read-only here: leave them as they are, and make something new with np.zeros or .copy().",
    "core dimension": "In A @ B, A has as many columns as B has rows. Print their shapes.",
    "broadcast": "Shapes are compared from the right; a pair of sizes fits if they are equal or one is 1. Print the shapes.",
}


def blame(error: BaseException, path: Path) -> str:
    """The error, the lines of the file that led to it, and what is meant where NumPy's words are hard."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    at = "".join(f"\n    line {f.lineno} of {path.name}: {f.line}" for f in [*frames[:-1][:1], *frames[-1:]])
    remedy = "".join(f"\n{remedy}" for words, remedy in REMEDIES.items() if words in str(error))
    return f"{type(error).__name__}: {error}".removesuffix(": ") + at + remedy


class Answers:
    """A file with functions of the puzzles' names: what is written in it, and what running it gave.

    Raises:
        Unreadable: there is no such file, it is not Python, or it raises when run.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source, str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        except (SyntaxError, ValueError) as error:
            line = (getattr(error, "text", None) or "").rstrip()
            at = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise Unreadable(f"{path}{at}: {getattr(error, 'msg', error)}\n{line}".rstrip()) from None
        self.definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self.module = ModuleType(path.stem)
        self.module.__file__ = str(path)
        linecache.checkcache(str(path))
        try:
            exec(compile(tree, str(path), "exec"), self.module.__dict__)
        except (Exception, SystemExit) as error:
            raise Unreadable(f"{path} does not run: {blame(error, path)}") from None

    def begun(self, name: str) -> bool:
        body = self.definitions[name].body[ast.get_docstring(self.definitions[name]) is not None :]
        return [ast.unparse(step) for step in body] not in ([], ["..."], ["pass"], ["raise NotImplementedError"])

    def used_by(self, name: str) -> list[str]:
        """The function and those of this file that it calls, and that they call."""
        found = [name]
        for f in found:
            calls = [node.func for node in ast.walk(self.definitions[f]) if isinstance(node, ast.Call)]
            names = dict.fromkeys(called.id for called in calls if isinstance(called, ast.Name))
            found += [name for name in names if name in self.definitions and name not in found]
        return found

    def nodes(self, name: str) -> Iterator[ast.AST]:
        return itertools.chain.from_iterable(ast.walk(self.definitions[f]) for f in self.used_by(name))


LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
PRODUCTS = {"matmul", "dot", "einsum", "tensordot", "inner", "vdot", "mm"}


def objection(puzzle: Puzzle, answers: Answers) -> str | None:
    """What can be said before the function is run."""
    name, arguments = puzzle.name, list(inspect.signature(puzzle.answer).parameters)
    got = [a.arg for a in answers.definitions[name].args.args]
    if len(got) != len(arguments):
        return f"{name} is called with {', '.join(arguments)}, in this order, but takes {', '.join(got) or 'nothing'}."
    numbers = {p.name: p.number for p in PUZZLES}
    for other in answers.used_by(name)[1:]:
        if other in numbers and not answers.begun(other):
            return f"It calls {other}, puzzle {numbers[other]}, which is not begun."
    for node in answers.nodes(name):
        if isinstance(node, LOOPS):
            line = linecache.getline(str(answers.path), node.lineno).strip()
            return (
                f"There is a loop in line {node.lineno} of {answers.path.name}: {line}\nIt may give the right numbers; "
                "these puzzles ask for whole arrays at once, without for, while or comprehensions."
            )
    if puzzle.product and not any(
        isinstance(node, ast.MatMult) or getattr(node, "attr", getattr(node, "id", "")) in PRODUCTS
        for node in answers.nodes(name)
    ):
        return "There is no matrix product in it: this one asks for X @ table, with an X that you make of the ids."
    return None


# ------------------------------------------------------------------------------------------------------- what is said of them


def shown(value: Any) -> list[str]:
    if not isinstance(value, np.ndarray):
        return [str(value)]
    width = max((len(f"{x:.10g}") for x in value.flat[:100]), default=0) if value.dtype.kind in "iuf" else 0
    plain = {"float_kind": lambda x: f"{x:.10g}".rjust(width), "int_kind": lambda x: f"{x}".rjust(width)}
    return np.array2string(value, separator=", ", formatter=plain, threshold=100, edgeitems=3).splitlines()


def beside(**values: Any) -> str:
    """Numbers and arrays side by side, below their names and shapes."""
    blocks = []
    for name, value in values.items():
        blocks.append([f"{name} {value.shape}" if isinstance(value, np.ndarray) else name, *shown(value)])
    widths = [max(map(len, block)) for block in blocks]
    rows = itertools.zip_longest(*blocks, fillvalue="")
    return "\n".join(
        "    " + "    ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def difference(puzzle: Puzzle, result: Any, arguments: tuple[Any, ...]) -> str | None:
    """What is wrong with a result, or None."""
    right = puzzle.answer(*arguments)
    if result is None:
        return "It returned nothing: is `return` missing?"
    if not isinstance(right, tuple):
        return array_difference(result, right, "yours", lambda at: puzzle.why(at, *arguments))
    if not isinstance(result, tuple | list) or len(result) != len(right):
        return f"It should return two arrays, inputs and targets, but returned {described(result)}."
    said = (
        array_difference(result[i], right[i], name, lambda at, i=i: puzzle.why((i, *at), *arguments))
        for i, name in enumerate(("your inputs", "your targets"))
    )
    return next(filter(None, said), None)


def described(result: Any) -> str:
    return f"{repr(result).partition(chr(10))[0]:.60} (type {type(result).__name__})"


def array_difference(result: Any, right: np.ndarray, name: str, why: Callable[[tuple[int, ...]], str]) -> str | None:
    if hasattr(result, "detach"):  # a tensor
        result = result.detach().cpu().numpy()
    if not isinstance(result, np.ndarray | np.number):
        return f"It returned {described(result)} in place of an array."
    result = np.asarray(result)
    said = mismatch(result, right, why, ids=name != "yours")
    return said and f"{beside(**{name: result, 'should be': right})}\n\n{said}"


def mismatch(result: np.ndarray, right: np.ndarray, why: Callable[[tuple[int, ...]], str], ids: bool) -> str | None:
    if result.dtype.kind not in "iuf":
        remedy = "turn it into numbers with .astype(float)" if result.dtype == bool else "numbers are wanted"
        return f"Yours is an array of {result.dtype}: {remedy}."
    if result.shape != right.shape:
        return f"Yours has shape {result.shape}, and should have {right.shape}."
    if ids and result.dtype.kind == "f":
        return f"Yours are of dtype {result.dtype}, and token ids are integers."
    wrong = np.argwhere(~np.isclose(result, right, rtol=1e-6, atol=1e-9))
    if not len(wrong):
        return None
    at = tuple(wrong[0].tolist())
    first = "The difference is" if len(wrong) == 1 else f"{len(wrong)} numbers differ, first"
    return fill(f"{first} at {list(at)}: {result[at]:.10g}, should be {right[at]:.10g}. {why(at)}", 120)


def judge(puzzle: Puzzle, answers: Answers, arguments: tuple[Any, ...]) -> str | None:
    """What is wrong with the function on these arguments, or None."""
    given = [np.array(a) if isinstance(a, np.ndarray | list) else a for a in arguments]
    for a in given:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            result = getattr(answers.module, puzzle.name)(*given)
    except (Exception, SystemExit) as error:
        said: str | None = f"It raised {blame(error, answers.path)}"
    else:
        said = difference(puzzle, result, tuple(given))
    if said is None:
        return None
    if printed.getvalue():
        said += f"\n\nIt printed:\n{printed.getvalue().rstrip():.2000}"
    return f"{beside(**dict(zip(inspect.signature(puzzle.answer).parameters, given, strict=True)))}\n\n{said}"


def counterexample(puzzle: Puzzle, answers: Answers) -> str | None:
    """What is wrong with the function on the smallest arguments that hypothesis finds, or None."""
    said: list[str] = []

    def fails(arguments: tuple[Any, ...]) -> bool:
        message = judge(puzzle, answers, arguments)
        said.extend([message] if message else [])
        return message is not None

    options = settings(max_examples=100, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
    try:
        smallest = find(puzzle.cases, fails, settings=options, random=Random(0))
    except NoSuchExample:
        return None
    except HypothesisException:
        smallest = None
    again = None if smallest is None else judge(puzzle, answers, smallest)
    if again is None:
        return f"{said[-1]}\n\nThe same input gave another result before: does it depend on more than its arguments?"
    return f"The smallest input found on which it goes wrong:\n\n{again}"


@dataclass(frozen=True)
class Verdict:
    state: str
    """solved, wrong, not begun or missing."""
    said: str = ""


def verdict(puzzle: Puzzle, answers: Answers) -> Verdict:
    """Whether the function solves the puzzle, and if not, what to tell who wrote it."""
    definition = answers.definitions.get(puzzle.name)
    if definition is None:
        head = f"def {puzzle.name}({', '.join(inspect.signature(puzzle.answer).parameters)}):"
        return Verdict("missing", f"{answers.path.name} has no function of that name: {head}")
    if not answers.begun(puzzle.name):
        return Verdict("not begun", f"Write it in {answers.path.name}, line {definition.lineno}.")
    said = objection(puzzle, answers) or counterexample(puzzle, answers)
    return Verdict("wrong", said) if said else Verdict("solved")


# ------------------------------------------------------------------------------------------------------------- the program


def report(puzzle: Puzzle, answers: Answers, found: Verdict, command: str) -> str:
    """A puzzle's task, and what came of it."""
    title = f"--- puzzle {puzzle.number}, {puzzle.name}: {found.state}"
    if found.state == "solved":
        return f"{title}\n{fill(puzzle.learned, 120)}"
    task = inspect.getdoc(getattr(answers.module, puzzle.name, None)) or "(puzzles.py has the task.)"
    hint = f"For a hint: {command} --hint {puzzle.number}"
    return f"{title}\n{task}\n\n{found.said}\n\n{hint}"


def main(file: str, arguments: list[str] | None = None) -> None:
    """The program: check the functions in `file`, or what --file or --solutions names."""
    parser = argparse.ArgumentParser(
        description="Ten puzzles around gather and scatter-add, and what is wrong with yours."
    )
    which = {"type": int, "choices": range(1, len(PUZZLES) + 1), "metavar": f"1..{len(PUZZLES)}"}
    parser.add_argument("puzzle", nargs="?", help="check this puzzle alone; exit code 0 only if it is solved", **which)
    parser.add_argument("--hint", help="print a hint for this puzzle", **which)
    parser.add_argument("--file", help=f"the file with your functions (default: {Path(file).name})")
    parser.add_argument(
        "--solutions", action="store_true", help="check puzzles_solutions.py; exit code 0 only if all are solved"
    )
    options = parser.parse_args(arguments)
    if options.hint:
        asked = PUZZLES[options.hint - 1]
        print(fill(f"Puzzle {asked.number}, {asked.name}. {asked.hint}", 120))
        return
    path = Path(__file__).with_name("puzzles_solutions.py") if options.solutions else Path(options.file or file)
    command = f"python {sys.argv[0]}" + (f" --file {options.file}" if options.file else "")
    # hypothesis keeps what it read in source files: beside what Python keeps of them, not in a folder of the user's
    configuration.set_hypothesis_home_dir(Path(__file__).with_name("__pycache__") / "hypothesis")
    try:
        answers = Answers(path)
        if options.puzzle:
            asked = PUZZLES[options.puzzle - 1]
            found = verdict(asked, answers)
            print(report(asked, answers, found, command))
            sys.exit(found.state != "solved")
        solved = show_all(answers, command)
        sys.exit(options.solutions and not solved)
    except Unreadable as error:
        sys.exit(str(error))
    except KeyboardInterrupt as error:
        print(f"\nStopped. {blame(error, path)}")
        sys.exit(130)


def show_all(answers: Answers, command: str) -> bool:
    """The state of all puzzles, then the first that is not solved. True if there is none."""
    verdicts = []
    for puzzle in PUZZLES:
        verdicts.append(verdict(puzzle, answers))
        print(f"{puzzle.number:2}  {puzzle.name:18} {verdicts[-1].state}", flush=True)
    open_ones = [i for i, found in enumerate(verdicts) if found.state != "solved"]
    first = open_ones[0] if open_ones else len(PUZZLES)
    print()
    if first:
        print(report(PUZZLES[first - 1], answers, verdicts[first - 1], command), end="\n\n")
    if open_ones:
        print(report(PUZZLES[first], answers, verdicts[first], command))
    else:
        print("All ten are solved.")
    return not open_ones


if __name__ == "__main__":
    main(str(Path(__file__).with_name("puzzles.py")))
