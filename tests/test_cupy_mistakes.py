"""The tool that seeds mistakes: a change arrives in the running program."""

from __future__ import annotations

import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest
from cupy_mistakes import Copy

pytestmark = pytest.mark.cpu_only("tests a tool, not the engine")


def test_a_change_of_the_same_size_in_the_same_second_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    copy, seen = Copy(str(tmp_path)), []
    source = copy.root / "minigrad" / "toy.py"
    for text in ("x = 1", "x = 2"):
        copy.change("toy.py", text)
        os.utime(source, (1, 1))
        code = SourceFileLoader("toy", str(source)).get_code("toy")
        assert code is not None
        seen.append(code.co_consts[0])
    assert seen == [1, 2]
