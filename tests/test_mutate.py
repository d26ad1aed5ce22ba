"""The tool that changes the engine: what it changes, and that the change arrives in the running program."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import mutate
import pytest

pytestmark = pytest.mark.cpu_only("tests a tool, not the engine")

TOY = '''"""A docstring."""
from __future__ import annotations
from typing import TYPE_CHECKING, Any
if TYPE_CHECKING:
    LIMIT = 1
else:
    LIMIT = 2

class Box:
    light = True

    def half(self, x: int = 8) -> float:
        """Half of x: 2."""
        if x < 0:
            raise ValueError(f"got {x + 1}")
        return x / 2

def size(*, many: bool = False) -> Any:
    return (lambda n: n + LIMIT)(5 if many else 3)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module above, as a part of an engine in another folder."""
    file = tmp_path / "minigrad" / "toy.py"
    file.parent.mkdir()
    file.write_text(TOY)
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    spec: Any = importlib.util.spec_from_file_location("minigrad.toy", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "minigrad.toy", module)
    return module


def refuses(f: Any, x: int) -> bool:
    """True if f(x) raises ValueError."""
    with pytest.raises(ValueError):
        f(x)
    return True


CHANGES = {
    "LIMIT = 2 -> LIMIT = 3": lambda toy: toy.size() == 6,
    "light = True -> light = False": lambda toy: toy.Box.light is False,
    "def half(self, x: int=8) -> float: -> def half(self, x: int=9) -> float:": lambda toy: toy.Box().half() == 4.5,
    "if x < 0: -> if x <= 0:": lambda toy: refuses(toy.Box().half, 0),
    "if x < 0: -> if not x < 0:": lambda toy: refuses(toy.Box().half, 1),
    "if x < 0: -> if x < 1:": lambda toy: refuses(toy.Box().half, 0),
    "return x / 2 -> return None": lambda toy: toy.Box().half() is None,
    "return x / 2 -> return x * 2": lambda toy: toy.Box().half() == 16,
    "return x / 2 -> return x / 3": lambda toy: toy.Box().half(9) == 3,
    "def size(*, many: bool=False) -> Any: -> def size(*, many: bool=True) -> Any:": lambda toy: toy.size() == 7,
    "return (lambda n: n + LIMIT)(5 if many else 3) -> return None": lambda toy: toy.size() is None,
    "return (lambda n: n + LIMIT)(5 if many else 3) -> return (lambda n: n - LIMIT)(5 if many else 3)": lambda toy: (
        toy.size() == 1
    ),
    "return (lambda n: n + LIMIT)(5 if many else 3) -> return (lambda n: n + LIMIT)(5 if not many else 3)": lambda toy: (
        toy.size() == 7
    ),
    "return (lambda n: n + LIMIT)(5 if many else 3) -> return (lambda n: n + LIMIT)(6 if many else 3)": lambda toy: (
        toy.size(many=True) == 8
    ),
    "return (lambda n: n + LIMIT)(5 if many else 3) -> return (lambda n: n + LIMIT)(5 if many else 4)": lambda toy: (
        toy.size() == 6
    ),
}


def test_what_is_changed(toy: ModuleType) -> None:
    """And nothing else: no docstring, annotation, message, or line for type checkers."""
    assert sorted(m.id.split("::")[2] for m in mutate.mutants_of("minigrad/toy.py")) == sorted(CHANGES)


@pytest.mark.parametrize("change", CHANGES)
def test_the_change_arrives(toy: ModuleType, change: str) -> None:
    program = mutate.Program()
    program.find_functions()
    (mutant,) = [m for m in mutate.mutants_of("minigrad/toy.py") if m.id.endswith(change)]
    assert (toy.Box.light, toy.Box().half(), toy.Box().half(0), toy.size(), toy.size(many=True)) == (True, 4, 0, 5, 7)
    assert program.apply(mutant)
    assert CHANGES[change](toy)


def test_ids_outlive_moving_lines(toy: ModuleType) -> None:
    before = [m.id for m in mutate.mutants_of("minigrad/toy.py")]
    file = Path(toy.__file__ or "")
    file.write_text(TOY.replace("class Box", "\n\nclass Box"))
    assert [m.id for m in mutate.mutants_of("minigrad/toy.py")] == before


def test_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = ["killed", "timeout", "survived", "survived", "not reached"]
    record = {"file": "f", "qualname": "q", "line": 1, "column": 0, "operator": "constant", "before": "1", "after": "2"}
    records = [{**record, "id": f"f::q::{i}", "status": status} for i, status in enumerate(statuses)]
    assert "2 / 4 = 50.0% of what the tests reach" in mutate.report(records)
    assert "2 / 5 = 40.0% of all" in mutate.report(records)
    monkeypatch.setitem(mutate.EQUIVALENT, "f::q::2", "a reason")
    assert "2 / 3 = 66.7% of what the tests reach" in mutate.report(records)
