"""Random programs run in minigrad and in torch, and agree; and an engine that is broken on purpose is found out."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from test_mutants import first_of_duplicates, overwrite

from minigrad import backend, core
from minigrad.tensor import Tensor
from minigrad.testing import Program, check_program, programs

MORE = settings(max_examples=8 * settings.default.max_examples)


@given(programs())
@MORE
def test_random_programs(program):
    check_program(program)


@given(programs(anywhere=True))
@MORE
def test_random_programs_that_write_anywhere(program):
    """In place into views, bases and saved tensors: what torch refuses is refused, and what both run gives the same numbers."""
    check_program(program, stricter=True)


WORDS = [
    "backward",
    "opt.step",
    "no_grad",
    "detach",
    "embedding",
    "cat",
    "softmax",
    "cross_entropy",
    "create_graph",
    "+=",
]
WORDS += ["@", "split", "retain_graph", "attempt", ".T", "Adam", "AdamW", "momentum", "[...]", "masked_fill_"]


def test_programs_are_various():
    """The generator reaches every rule, and its programs do go backward and come to the end."""
    count: Counter[str] = Counter()
    lengths: list[int] = []

    @given(programs())
    @settings(max_examples=200, phases=[Phase.generate], derandomize=True, database=None)
    def look(program):
        lengths.append(len(program))
        count.update(word for word in WORDS if any(word in line for line in program))

    look()
    assert min(count[word] for word in WORDS) >= 5, count
    assert np.mean(lengths) > 15
    assert max(lengths) > 50


# ----------------------------------------------------------------------------------------------- broken engines are found out


def keeps_history(right):
    """An in-place op that changes the memory, and leaves the tensor its old history."""

    def rewrite(x, y, old, what):
        op = x.op
        right(x, y, old, what)
        x.op = op
        return x

    return rewrite


BROKEN = {
    "scatter-add overwrites": (backend, "scatter_add", overwrite),
    "scatter-add keeps one row of several": (backend, "coalesce", first_of_duplicates),
    "in place forgets the new op": (Tensor, "rewrite", keeps_history),
    "in place is not counted as a write": (Tensor, "written", lambda right: lambda x: None),
    "in place into a copy": (Tensor, "writable", lambda right: lambda x, what: right(x, what).copy()),
    "the graph is never freed": (core.Op, "free", lambda right: lambda op: None),
    "the graph is freed although it is retained": (
        core.Op, "gradients", lambda right: lambda op, g: (right(op, g), op.free())[0],
    ),
}  # fmt: skip


ON_THE_CPU = {
    "scatter-add keeps one row of several": pytest.mark.cpu_only("coalesce makes a gradient's rows: a GPU keeps none")
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=ON_THE_CPU.get(name, ())) for name in BROKEN])
def test_a_broken_engine_is_found_out(name, monkeypatch):
    """Within the examples that test_random_programs draws in this profile, or 200; the program that is shown fails, and is short."""
    where, attribute, wrong = BROKEN[name]
    monkeypatch.setattr(where, attribute, wrong(getattr(where, attribute)))
    anywhere = name == "in place is not counted as a write"  # other programs do not change what backward needs

    @given(programs(anywhere=anywhere))
    @settings(
        max_examples=max(200, MORE.max_examples),
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    def check(program):
        check_program(program, stricter=anywhere)

    with pytest.raises(AssertionError) as caught:
        check()
    text = str(caught.value)
    assert "import minigrad as torch" in text
    assert len(caught.value.program) <= 15, text
    with pytest.raises(AssertionError):
        check_program(caught.value.program, stricter=anywhere)


# ----------------------------------------------------------------------------------------------------- a program as a script


@pytest.mark.parametrize("library", ["minigrad", "torch"])
def test_a_program_prints_as_a_script_that_runs_under_either_import(library):
    program = Program(
        [
            "w1 = numbers((2, 3), 1).requires_grad_()",
            "opt = torch.optim.SGD([w1], lr=0.1)",
            "v2 = F.embedding(torch.tensor([1, 1]), w1)",
            "v2.backward(numbers((2, 3), 3))",
            "opt.step()",
            "print(w1.detach())",
        ]
    )
    script = repr(program).replace("import minigrad as torch", f"import {library} as torch")
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    expected = "tensor([[ 0.0236,  0.9009, -0.7117],\n        [ 0.9637, -0.2425, -0.2002]], dtype=torch.float64)\n"
    assert ran.stdout == expected


def test_shortened_keeps_what_fails():
    from minigrad.testing.random_programs import shortened

    lines = [f"line {i}" for i in range(20)]
    assert shortened(lines, lambda p: "line 3" in p and "line 17" in p) == ["line 3", "line 17"]
