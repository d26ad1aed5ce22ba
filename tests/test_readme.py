"""The README's code prints what the README says it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cpu_only("README's code prints on the CPU, some of it from programs of its own")

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\nprints(?:\n\n```\n(.*?)```| `(.*?)`))?", README, re.DOTALL)


def test_there_is_code_to_run() -> None:
    assert len(BLOCKS) == README.count("```python") >= 3


@pytest.mark.parametrize(("code", "block", "line"), BLOCKS, ids=range(len(BLOCKS)))
def test_it_prints_what_is_written(code: str, block: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(code, {})
    assert capsys.readouterr().out == (block or (line and line + "\n"))


def test_the_example_prints_what_is_written() -> None:
    root = Path(__file__).parent.parent
    ran = subprocess.run(
        [sys.executable, root / "examples/check_your_op.py"], capture_output=True, text=True, check=True
    )
    lost = re.findall(r"```\n(row .*?)```", README, re.DOTALL)
    report = [block for _, block, _ in BLOCKS if block.startswith("gradcheck")]
    assert len(lost) == len(report) == 1
    assert all(block in ran.stdout for block in [*lost, *report]), ran.stdout


def test_the_files_it_names_exist() -> None:
    root = Path(__file__).parent.parent
    for name in re.findall(r"`((?:\w+/)*\w+\.(?:py|svg))`", README):
        assert (root / name).exists() or list((root / "minigrad").rglob(name)), name
