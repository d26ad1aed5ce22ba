"""examples/puzzles.py: the solutions pass, the wrong answers that people give do not, and what is said to them can be read."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import puzzles_check as check

pytestmark = pytest.mark.cpu_only("the puzzles are NumPy's, and what checks them chooses the CPU")

EXAMPLES = Path(check.__file__).parent
SOLUTIONS = (EXAMPLES / "puzzles_solutions.py").read_text(encoding="utf-8")
ABOVE = f"{SOLUTIONS.partition('if __name__')[0]}\n\nimport minigrad as mg\n\n"
NAMES = [puzzle.name for puzzle in check.PUZZLES]

PLACES = {
    "windows": "at = np.arange(0, len(tokens) - length, stride)[:, None] + np.arange(length)",
    "overlap_add": "at = stride * np.arange(len(g))[:, None] + np.arange(g.shape[1])",
}
"""What these functions begin with, below: the places that windows read."""

# Each is the body of a function that is wrong, in the puzzle's own arguments.
WRONG = {
    "gather": """
table[: len(ids)] ; table[:, ids] ; table[ids - 1] ; table[np.sort(ids)] ; table[np.unique(ids)] ; table[ids[0]] ; table[ids].T
table[ids].astype(int) ; table[ids].tolist() ; table[(ids + 1) % len(table)] ; table[ids[::-1]] ; table ; np.take(table, ids)
table[ids[:, None]] ; table[ids] + 1e-3 ; np.take(table, ids, axis=1) ; table[ids == ids]
""",
    "one_hot": """
(ids[None] == np.arange(V)[:, None]).astype(float) ; ids[:, None] == np.arange(V) ; np.eye(V) ; np.eye(len(ids))[ids] ; np.eye(V)[:, ids]
np.eye(V)[ids - 1] ; (ids == np.arange(V)).astype(float) ; np.eye(ids.max() + 1)[ids] ; np.ones((len(ids), V)) ; None
(ids[:, None] >= np.arange(V)).astype(float) ; np.eye(V, V + 1)[ids] ; 1 - np.eye(V)[ids] ; np.where(ids[:, None] == np.arange(V), "1", "0")
""",
    "gather_by_product": """
table[ids] ; table.T @ one_hot(ids, len(table)).T ; one_hot(ids, len(table)).T @ table ; one_hot(ids, len(table)) * table
one_hot(ids, table.shape[1]) @ table ; one_hot(np.sort(ids), len(table)) @ table ; one_hot(ids, len(table))[:, ::-1] @ table
np.eye(len(table)) @ table ; (one_hot(ids, len(table)) @ table).T ; one_hot(ids, ids.max() + 1) @ table ; np.take(table, ids, 0)
""",
    "counts": """
one_hot(ids, V).sum(axis=1) ; np.unique(ids, return_counts=True)[1] ; np.bincount(ids) ; one_hot(ids, V).sum() ; ids.sum() ; np.ones(V)
one_hot(ids, V).max(axis=0) ; one_hot(ids, V).mean(axis=0) ; (ids[:, None] == np.arange(V)).any(axis=0).astype(float) ; ids
one_hot(ids, V).sum(axis=0, keepdims=True) ; np.bincount(ids, minlength=V + 1) ; np.histogram(ids, V)[0] ; np.full(V, len(ids) / V)
out = np.zeros(V); out[ids] += 1; return out
""",
    "scatter_add": """
out = np.zeros((V, g.shape[1])); out[ids] += g; return out
out = np.zeros((V, g.shape[1])); out[ids] = g; return out
out = np.zeros((V, g.shape[1]), dtype=int); np.add.at(out, ids, g.astype(int)); return out
out = np.zeros((V, g.shape[1])); np.add.at(out, np.arange(len(ids)), g); return out
out = np.zeros((ids.max() + 1, g.shape[1])); np.add.at(out, ids, g); return out
out = np.zeros((V, g.shape[1])); np.add.at(out, ids - 1, g); return out
out = np.ones((V, g.shape[1])); np.add.at(out, ids, g); return out
out = np.zeros((V, g.shape[1])); np.maximum.at(out, ids, g); return out
out = np.zeros((V, g.shape[1])); np.add.at(out, ids[::-1], g); return out
out = np.zeros((V, g.shape[1])); np.add.at(out, np.unique(ids), g[np.unique(ids, return_index=True)[1]]); return out
(one_hot(ids, V).T @ g) / np.maximum(counts(ids, V), 1)[:, None] ; one_hot(ids, V) @ g ; g.T @ one_hot(ids, V) ; g[ids]
np.repeat(counts(ids, V)[:, None], g.shape[1], axis=1) ; one_hot(ids, V).T @ np.ones_like(g) ; one_hot(ids, V).T @ g.cumsum(axis=0)
np.repeat(np.bincount(ids, g[:, 0], V)[:, None], g.shape[1], axis=1) ; one_hot(ids, V).T @ abs(g) ; gather(g, ids)
""",
    "position_gradient": """
g.sum(axis=0) ; np.resize(g.sum(axis=0), (C, g.shape[2])) ; np.broadcast_to(g.sum(axis=(0, 1)), (C, g.shape[2]))
out = np.zeros((C, g.shape[2])); out[: g.shape[1]] = g.mean(axis=0); return out
out = np.zeros((C, g.shape[2])); out[: g.shape[0]] = g.sum(axis=1); return out
out = np.zeros((C, g.shape[2])); out[: g.shape[1]] = g[0]; return out
out = np.zeros((C, g.shape[2])); out[: g.shape[1]] = g[-1]; return out
out = np.zeros((C, g.shape[2])); out[-g.shape[1] :] = g.sum(axis=0); return out
out = np.zeros((C, g.shape[2])); out[: g.shape[1]] += g; return out
out = np.zeros((C, g.shape[2])); out[:] = g.sum(axis=0); return out
out = np.zeros((C, g.shape[2])); out[: len(g)] = g.sum(axis=0)[: len(g)]; return out
np.pad(g.sum(axis=1), ((0, C - len(g)), (0, 0))) ; np.pad(g.sum(axis=0), ((0, C - g.shape[1]), (0, 0)), mode="edge")
np.pad(g.reshape(-1, len(g), g.shape[2]).sum(1), ((0, C - g.shape[1]), (0, 0)))
""",
    "windows": """
tokens[at] ; at, at + 1 ; tokens[at], tokens[at] ; tokens[at], tokens[at] + 1 ; tokens[at], tokens[at - 1] ; tokens[at + 1], tokens[at]
tokens[at], tokens[at + stride] ; tokens[at], np.roll(tokens[at], -1, axis=1) ; tokens[at] * 1.0, tokens[at + 1] * 1.0 ; tokens, tokens
at = np.arange(0, len(tokens) - length + 1, stride)[:, None] + np.arange(length); return tokens[at], tokens[(at + 1) % len(tokens)]
at = np.arange(0, len(tokens) - length + 1, stride)[:, None] + np.arange(length); return tokens[at], tokens[at + 1]
at = np.arange(0, len(tokens) - length - 1, stride)[:, None] + np.arange(length); return tokens[at], tokens[at + 1]
at = np.arange(0, len(tokens), stride)[:, None] + np.arange(length); return tokens[at], tokens[at + 1]
at = np.arange(0, len(tokens), stride)[:, None] + np.arange(length); at = np.minimum(at, len(tokens) - 2); return tokens[at], tokens[at + 1]
at = np.arange(len(tokens) - length)[:, None] + np.arange(length); return tokens[at], tokens[at + 1]
at = np.arange(0, len(tokens) - length, length)[:, None] + np.arange(length); return tokens[at], tokens[at + 1]
at = np.arange(0, len(tokens) - length, stride) + np.arange(length)[:, None]; return tokens[at], tokens[at + 1]
""",
    "overlap_add": """
out = np.zeros(N); out[at] += g; return out
out = np.zeros(N); out[at] = g; return out
out = np.zeros(N); np.maximum.at(out, at, g); return out
np.bincount(at.ravel(), g.ravel()) ; np.bincount(at.ravel(), minlength=N) ; np.bincount(at.ravel(), g.T.ravel(), N)
np.bincount(at.ravel() + 1, g.ravel(), N) ; np.bincount(at.ravel(), g.ravel(), N) / counts(at.ravel(), N)
at = np.arange(len(g))[:, None] + np.arange(g.shape[1]); return np.bincount(at.ravel(), g.ravel(), N)
at = len(g[0]) * np.arange(len(g))[:, None] + np.arange(g.shape[1]); return np.bincount(at.ravel(), g.ravel(), N)
scatter_add(g.reshape(-1, 1), at.reshape(-1), N) ; g.sum(axis=0) ; np.resize(g, N) ; np.pad(g.ravel(), (0, max(0, N - g.size)))
""",
    "segment_sum": """
np.add.reduceat(g, np.cumsum(lengths) - lengths) ; np.add.reduceat(g, lengths) ; np.cumsum(g, axis=0)[np.cumsum(lengths) - 1]
np.diff(np.cumsum(g, axis=0)[np.cumsum(lengths) - 1], axis=0, prepend=0)
total = np.cumsum(g, axis=0); ends = np.cumsum(lengths); return total[ends - 1] - total[ends - lengths - 1]
total = np.cumsum(g, axis=0); ends = np.cumsum(lengths); return total[ends - 1] - total[ends - lengths]
total = np.concatenate([np.zeros((1, g.shape[1])), np.cumsum(g, axis=0)]); return total[np.cumsum(lengths)]
total = np.cumsum(np.concatenate([0 * g[:1], g]))[:, None]; ends = np.cumsum(lengths); return total[ends] - total[ends - lengths]
total = np.concatenate([np.zeros((1, g.shape[1])), np.cumsum(g, axis=0)]); return np.diff(total[np.cumsum(lengths)], axis=0)
scatter_add(g, np.repeat(np.arange(len(lengths)), lengths), len(lengths) + 1) ; scatter_add(g, lengths, len(lengths))
scatter_add(g, np.repeat(np.arange(len(lengths)), lengths), len(lengths)) / np.maximum(lengths, 1)[:, None]
out = np.zeros((len(lengths), g.shape[1])); out[np.repeat(np.arange(len(lengths)), lengths)] += g; return out
g[: len(lengths)] * lengths[:, None]
""",
    "tied_gradient": """
g.T @ table[ids] ; scatter_add(g @ table, ids, len(table)) ; 2 * g.T @ table[ids] ; table[ids].T @ g ; (g.T @ table[ids]) * 2
out = g.T @ table[ids]; out[ids] += g @ table; return out
out = np.zeros_like(table); out[ids] = g @ table; return out + g.T @ table[ids]
g.T @ table[ids] + g @ table ; g.T @ table[ids] - scatter_add(g @ table, ids, len(table))
(g.T @ table[ids] + scatter_add(g @ table, ids, len(table))) / 2
scatter_add(g @ table + table[ids], ids, len(table)) ; g.T @ (table[ids] + g @ table)
g.T @ gather(table, ids) + scatter_add(table[ids], ids, len(table))
out = g.T @ table[ids]; out += scatter_add(g @ table[: g.shape[1]], ids[:1], len(table)); return out
""",
}  # fmt: skip

# Other right answers.
RIGHT = {
    "gather": ["np.take(table, ids, axis=0)", "table[ids].copy()", "mg.tensor(table)[mg.tensor(ids)]"],
    "one_hot": ["np.eye(V)[ids]", "np.eye(V, dtype=int)[ids]", "mg.nn.functional.one_hot(mg.tensor(ids), V)"],
    "gather_by_product": ["np.eye(len(table))[ids] @ table", 'np.einsum("nv,vd->nd", one_hot(ids, len(table)), table)'],
    "counts": ["np.bincount(ids, minlength=V)", "(ids == np.arange(V)[:, None]).sum(axis=1)"],
    "scatter_add": [
        "out = np.zeros((V, g.shape[1])); np.add.at(out, ids, g); return out",
        "mg.zeros(V, g.shape[1], dtype=mg.float64).index_add(0, mg.tensor(ids), mg.tensor(g))",
        "out = np.zeros((V, g.shape[1]), np.float32); np.add.at(out, ids, g.astype(np.float32)); return out",
    ],
    "position_gradient": ["np.pad(g.sum(axis=0), ((0, C - g.shape[1]), (0, 0)))"],
    "windows": [
        "w = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::stride]; return w[:, :-1], w[:, 1:]",
        "return list(mg.data.sliding_windows(tokens, length, stride))",
    ],
    "overlap_add": [
        "np.bincount(at.ravel(), g.ravel(), N)", "out = np.zeros(N); np.add.at(out, at, g); return out"
    ],
    "segment_sum": ["scatter_add(g, np.repeat(np.arange(len(lengths)), lengths), len(lengths))"],
    "tied_gradient": [
        "t = mg.tensor(table, requires_grad=True); (t[mg.tensor(ids)] @ t.T).backward(mg.tensor(g)); return t.grad"
    ],
}  # fmt: skip


def listed(texts: dict[str, str]) -> list[tuple[str, str]]:
    bodies = []
    for name, text in texts.items():
        for line in text.strip().splitlines():
            bodies += [(name, body.strip()) for body in ([line] if "return " in line else line.split(" ; "))]
    return bodies


def function(name: str, body: str) -> str:
    head = f"def {name}({', '.join(inspect.signature(getattr(check, name)).parameters)}):"
    steps = [PLACES.get(name, ""), body if "return " in body else f"return {body}"]
    return "\n    ".join([head, *filter(None, steps)]) + "\n"


@pytest.fixture
def answers(tmp_path: Path) -> Any:
    """The solutions, but for the functions in a text."""

    def read(text: str) -> check.Answers:
        path = tmp_path / "mine.py"
        path.write_text(ABOVE + text, encoding="utf-8")
        return check.Answers(path)

    return read


def verdict(name: str, answers: check.Answers) -> check.Verdict:
    return check.verdict(check.PUZZLES[NAMES.index(name)], answers)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_solves_it(name: str, answers: Any) -> None:
    assert verdict(name, answers("")) == check.Verdict("solved")


@pytest.mark.parametrize(("name", "body"), [(name, body) for name in RIGHT for body in RIGHT[name]])
def test_other_right_answers_solve_it(name: str, body: str, answers: Any) -> None:
    assert verdict(name, answers(function(name, body))) == check.Verdict("solved")


@pytest.mark.parametrize(("name", "body"), listed(WRONG))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_answer_is_found(name: str, body: str, answers: Any) -> None:
    found = verdict(name, answers(function(name, body)))
    assert found.state == "wrong"
    shown = found.said.splitlines()
    assert len(shown) < 25 and max(map(len, shown)) < 250
    raised = "It raised" in found.said and "of mine.py: " in found.said
    compared = "should be" in found.said and ("Yours " in found.said or re.search(r"at \[.*\]: ", found.said))
    assert (
        raised
        or compared
        or "It returned" in found.said
        or "no matrix product" in found.said
        or "two arrays" in found.said
    )


def test_there_are_wrong_answers_of_every_kind() -> None:
    assert list(WRONG) == list(RIGHT) == NAMES
    assert all(len([n for n, _ in listed(WRONG) if n == name]) >= 10 for name in NAMES)


def test_the_mistake_everybody_makes_once(answers: Any) -> None:
    """All that is said about it, word for word."""
    body = "out = np.zeros((V, g.shape[1])); out[ids] += g; return out"
    assert (
        verdict("scatter_add", answers(function("scatter_add", body))).said
        == """\
The smallest input found on which it goes wrong:

    g (2, 1)    ids (2,)    V
    [[ 1],      [0, 0]      1
     [10]]

    yours (1, 1)    should be (1, 1)
    [[10]]          [[11]]

The difference is at [0, 0]: 10, should be 11. Row 0 was read by ids[0] and ids[1]: 1 + 10. An indexed += keeps only the
last of them."""
    )


def test_the_sum_over_the_wrong_axis_where_B_is_T(answers: Any) -> None:
    body = "np.pad(g.sum(axis=1 if len(g) == g.shape[1] else 0), ((0, C - g.shape[1]), (0, 0)))"
    said = verdict("position_gradient", answers(function("position_gradient", body))).said
    assert "g (2, 2, 1)" in said
    assert "at [0, 0]: 11, should be 101. Row 0 was read at position 0 in 2 sequences: 1 + 100." in said


def test_the_same_is_said_each_time(answers: Any) -> None:
    mine = answers(function("scatter_add", "g * 2"))
    assert verdict("scatter_add", mine) == verdict("scatter_add", mine)


# ------------------------------------------------------------------------------------------------------- the files agree


def test_the_three_files_have_the_same_functions() -> None:
    heads = {}
    for file in ("puzzles", "puzzles_solutions"):
        tree = ast.parse((EXAMPLES / f"{file}.py").read_text(encoding="utf-8"))
        heads[file] = [(f.name, ast.unparse(f.args)) for f in tree.body if isinstance(f, ast.FunctionDef)]
    assert heads["puzzles"] == heads["puzzles_solutions"]
    assert [name for name, _ in heads["puzzles"]] == NAMES
    for puzzle, (_, arguments) in zip(check.PUZZLES, heads["puzzles"], strict=True):
        signature = str(inspect.signature(puzzle.answer)).replace("'", "")
        assert signature.rpartition(" -> ")[0] == f"({arguments})"


def test_the_puzzles_are_not_begun() -> None:
    """As they should be in the repository: an answer that was left there fails here."""
    shipped = check.Answers(EXAMPLES / "puzzles.py")
    assert [check.verdict(puzzle, shipped).state for puzzle in check.PUZZLES] == ["not begun"] * 10


@pytest.mark.parametrize("puzzle", check.PUZZLES, ids=NAMES)
def test_the_worked_examples_are_right(puzzle: check.Puzzle, answers: Any) -> None:
    task = getattr(check.Answers(EXAMPLES / "puzzles.py").module, puzzle.name).__doc__
    assert task.startswith(f"{puzzle.number}. ")
    examples = doctest.DocTestParser().get_examples(task)
    assert examples
    for example in examples:
        call = ast.parse(example.source, mode="eval").body
        assert isinstance(call, ast.Call) and ast.unparse(call.func) == puzzle.name
        literals = [ast.literal_eval(argument) for argument in call.args]
        arguments = tuple(np.array(a) if isinstance(a, list) else a for a in literals)
        wanted = ast.literal_eval(example.want)
        wanted = tuple(map(np.array, wanted)) if isinstance(wanted, tuple) else np.array(wanted)
        assert check.difference(puzzle, wanted, arguments) is None
        assert check.judge(puzzle, answers(""), arguments) is None


def test_the_adjoint_pair_has_the_numbers_that_are_told() -> None:
    table, ids = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([2, 0, 2])
    g = np.array([[1.0, 2], [10, 20], [100, 200]])
    lost = np.zeros_like(table)
    lost[ids] += g
    learned = check.PUZZLES[4].learned
    assert (check.gather(table, ids) * g).sum() == (table * check.scatter_add(g, ids, 3)).sum() == 1767
    assert (table * lost).sum() == 1750
    assert (
        "table = [[1, 2], [3, 4], [5, 6]], ids = [2, 0, 2] and g = [[1, 2], [10, 20], [100, 200]] both are 1767"
        in learned
    )
    assert "gets 1750" in learned


# ------------------------------------------------------------------------------------------- functions that do other things

ODD = [
    ("gather", "raise KeyError('no')", ["It raised KeyError: 'no'", "line N of mine.py: raise KeyError('no')"]),
    ("gather", "return rows", ["It raised NameError: name 'rows' is not defined", "line N of mine.py: return rows"]),
    ("gather", "table[ids] = 0; return table", ["read-only", "Arguments are read-only here", "line N"]),
    ("gather", "x = table[ids]", ["It returned nothing: is `return` missing?"]),
    ("gather", "return 'rows'", ["It returned 'rows' (type str) in place of an array."]),
    ("gather", "return table[ids].astype(object)", ["Yours is an array of object: numbers are wanted."]),
    (
        "gather",
        "return np.array([table[i] for i in ids])",
        ["There is a loop in line N of mine.py: return np.array([ta"],
    ),
    ("gather", "while True: pass", ["There is a loop in line N of mine.py: while True: pass"]),
    (
        "gather",
        "return gather(table, ids)",
        ["It raised RecursionError", "line N of mine.py: return gather(table, ids)"],
    ),
    ("gather", "exit()", ["It raised SystemExit", "line N of mine.py: exit()"]),
    ("gather", "print('ids', ids); return table", ["It printed:\nids [0]"]),
    ("gather", "return np.full((len(ids), table.shape[1]), np.nan)", ["nan, should be 1."]),
    ("counts", "return sum(one_hot(ids, V))[0]", ["Yours has shape (), and should have (1,)."]),
    ("one_hot", "return np.eye(V)[ids] > 0", ["Yours is an array of bool: turn it into numbers with .astype(float)."]),
    (
        "windows",
        "return tokens",
        ["It should return two arrays, inputs and targets, but returned array([10, 11]) (type ndarray)"],
    ),
    ("gather", "return np.zeros((3000, 3000))", ["yours (3000, 3000)", "...", "Yours has shape (3000, 3000)"]),
    ("windows", "return tokens, None", ["Yours has shape (2,), and should have (1, 1)."]),
    ("tied_gradient", "return one_hot(ids, 99) @ table", ["In A @ B, A has as many columns as B has rows."]),
]


@pytest.mark.parametrize(("name", "body", "said"), ODD, ids=[body for _, body, _ in ODD])
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_it_is_said_what_was_odd(name: str, body: str, said: list[str], answers: Any, capfd: Any) -> None:
    head = function(name, "return 0").splitlines()[0]
    found = verdict(name, answers(f"{head}\n    {body}\n"))
    assert found.state == "wrong"
    parts = [part.replace("line N", f"line {ABOVE.count(chr(10)) + 2}") for part in said]
    assert [part for part in parts if part not in found.said] == [], found.said
    assert capfd.readouterr().out == ""


def test_a_function_that_remembers(answers: Any) -> None:
    text = "import itertools\n\ncalls = itertools.count()\n" + function("gather", "table[ids] + (next(calls) == 3)")
    found = verdict("gather", answers(text))
    assert found.state == "wrong" and "should be" in found.said
    assert found.said.endswith("The same input gave another result before: does it depend on more than its arguments?")


def test_a_function_that_calls_one_that_is_not_begun(answers: Any) -> None:
    text = "def one_hot(ids, V):\n    'a task'\n    ...\n"
    assert verdict("one_hot", answers(text)).state == "not begun"
    found = verdict("gather_by_product", answers(text))
    assert (found.state, found.said) == ("wrong", "It calls one_hot, puzzle 2, which is not begun.")


def test_a_loop_or_a_product_in_a_function_of_ones_own(answers: Any) -> None:
    helper = "def mine(ids, V):\n    return np.array([np.eye(V)[i] for i in ids])\n"
    found = verdict("one_hot", answers(helper + function("one_hot", "mine(ids, V)")))
    assert f"There is a loop in line {ABOVE.count(chr(10)) + 2} of mine.py" in found.said
    helper = "def mine(x, y):\n    return x @ y\n"
    mine = answers(helper + function("gather_by_product", "mine(one_hot(ids, len(table)), table)"))
    assert verdict("gather_by_product", mine).state == "solved"


def test_a_function_with_other_arguments_or_none(answers: Any) -> None:
    found = verdict("gather", answers("def gather(table):\n    return table\n"))
    assert found.said == "gather is called with table, ids, in this order, but takes table."
    mine = answers("")
    del mine.definitions["gather"]
    assert verdict("gather", mine) == check.Verdict(
        "missing", "mine.py has no function of that name: def gather(table, ids):"
    )


# ------------------------------------------------------------------------------------------------------------ the program


def run(*arguments: Any, cwd: Path, file: str = "puzzles.py", **environment: str) -> tuple[int, str, str]:
    command = [sys.executable, str(EXAMPLES / file), *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment})
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def states(printed: str) -> list[str]:
    return [line[23:] for line in printed.splitlines()[:10]]


def test_where_one_stands(tmp_path: Path) -> None:
    code, out, _ = run(cwd=tmp_path)
    assert code == 0 and states(out) == ["not begun"] * 10
    assert "--- puzzle 1, gather: not begun\n1. Look rows up" in out and "puzzles.py --hint 1" in out
    half = SOLUTIONS.replace("one_hot(ids, V).T @ g", "one_hot(ids, V) @ g")
    (tmp_path / "my.py").write_text(half, encoding="utf-8")
    code, out, _ = run("--file", "my.py", cwd=tmp_path)
    assert code == 0
    assert states(out) == ["solved"] * 4 + ["wrong"] + ["solved"] * 2 + ["wrong", "solved", "wrong"]
    assert "--- puzzle 4, counts: solved\nThe columns of X sum" in out and "--- puzzle 5, scatter_add: wrong" in out
    assert "--file my.py --hint 5" in out and "puzzle 8," not in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.py"], "hypothesis left a folder"


def test_the_solutions_as_a_program(tmp_path: Path) -> None:
    code, out, _ = run("--solutions", cwd=tmp_path)
    assert code == 0 and states(out) == ["solved"] * 10 and out.endswith("All ten are solved.\n")
    code, out, _ = run(10, cwd=tmp_path, file="puzzles_solutions.py")
    assert code == 0 and out.startswith("--- puzzle 10, tied_gradient: solved\nThat is what minigrad does")
    assert not list(tmp_path.iterdir()), "hypothesis left a folder"


def test_one_puzzle(tmp_path: Path) -> None:
    code, out, _ = run(3, "--solutions", cwd=tmp_path)
    assert code == 0 and out.startswith("--- puzzle 3, gather_by_product: solved\n")
    code, out, _ = run(3, cwd=tmp_path)
    assert code == 1 and "3. Puzzle 1 again" in out and "Write it in puzzles.py, line " in out
    code, out, _ = run("--hint", 3, cwd=tmp_path)
    assert code == 0 and out.startswith("Puzzle 3, gather_by_product. Look at one row")


@pytest.mark.parametrize("number", ["0", "11", "gather"])
def test_a_puzzle_that_there_is_not(number: str, tmp_path: Path) -> None:
    code, _, said = run(number, cwd=tmp_path)
    assert code == 2 and "1..10" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "my.py cannot be read: No such file or directory"),
        ("def gather(table, ids:\n", "my.py, line 1: "),
        (
            "import nothing_like_it\n",
            "my.py does not run: ModuleNotFoundError: No module named 'nothing_like_it'\n    line 1",
        ),
        ("x = 1\n\nexit(3)\n", "my.py does not run: SystemExit: 3\n    line 3 of my.py: exit(3)"),
    ],
)
def test_a_file_that_does_not_run(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "my.py").write_text(text, encoding="utf-8")
    code, _, err = run("--file", "my.py", cwd=tmp_path)
    assert code == 1 and said in err


@pytest.mark.skipif(os.name != "posix", reason="sends the signal of Ctrl-C")
def test_control_c(tmp_path: Path) -> None:
    text = "import os, signal, time\n\n\ndef gather(table, ids):\n    return os.kill(os.getpid(), signal.SIGINT), time.sleep(9)\n"
    (tmp_path / "my.py").write_text(text, encoding="utf-8")
    code, out, err = run("--file", "my.py", cwd=tmp_path)
    assert code == 130 and err == "" and "Stopped. KeyboardInterrupt\n    line 5 of my.py: return os.kill" in out


def test_without_hypothesis(tmp_path: Path) -> None:
    (tmp_path / "hypothesis.py").write_text("raise ModuleNotFoundError(name='hypothesis')\n")
    code, _, err = run(cwd=tmp_path, PYTHONPATH=f"{tmp_path}{os.pathsep}{EXAMPLES.parent}")
    assert (
        code == 1
        and err == "The puzzles are checked with hypothesis, which is not installed: pip install -e '.[test]'\n"
    )
