"""A program written for torch runs on minigrad unchanged: as a script, a module or a line of code, with torch's names only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.as_torch import MAPPED, VERSION

pytestmark = pytest.mark.cpu_only("programs of their own, which choose no device")

ROOT = Path(__file__).parents[1]


def run(*arguments: str, cwd: Path | None = None, torch_first: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, *([] if torch_first else ["-m", "minigrad.as_torch"]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def said(code: str) -> str:
    """What the line of code prints, under minigrad."""
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def refused(code: str) -> str:
    """The last line of what the line of code dies of."""
    done = run("-c", code)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip()


SCRIPT = """
import sys
from helper_beside_it import shape
import torch
from torch.utils.data import DataLoader

if __name__ == "__main__":
    print(sys.argv[1:], __file__ == sys.path[0] + "/script.py", shape(torch.ones(2, 3)), torch.__version__)
    print(sorted(name for name in sys.modules if name.startswith("torch._")))
    print(type(torch.ones(1)), type(torch.nn.Linear(1, 1).weight))
    sys.exit(7)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "script.py").write_text(SCRIPT)
    (tmp_path / "code" / "helper_beside_it.py").write_text(
        "import torch\ndef shape(x: torch.Tensor): return tuple(x.shape)\n"
    )
    return tmp_path


def test_a_script(folder: Path) -> None:
    before = sorted(folder.rglob("*.py"))
    done = run("code/script.py", "a", "--b", cwd=folder)
    assert done.stdout.splitlines() == [
        f"['a', '--b'] True (2, 3) {VERSION}",
        "[]",
        "<class 'torch.Tensor'> <class 'torch.nn.parameter.Parameter'>",
    ], done.stderr
    assert done.returncode == 7
    assert sorted(folder.rglob("*.py")) == before


def test_the_program_is_compiled_as_python_compiles_it() -> None:
    """Without the `from __future__ import annotations` of as_torch.py."""
    assert said("def f(x: int): pass\nprint(f.__annotations__)") == "{'x': <class 'int'>}"


def test_a_module(folder: Path) -> None:
    done = run("-m", "script", "c", cwd=folder / "code")
    assert done.stdout.startswith("['c'] True (2, 3)") and done.returncode == 7, done.stderr


def test_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import torch\ndef test_it(): assert torch.__version__.endswith('minigrad')\n")
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)
    assert "1 passed" in done.stdout and done.returncode == 0, done.stdout + done.stderr


def test_every_name_is_minigrads() -> None:
    pairs = ", ".join(f"({theirs!r}, {ours!r})" for theirs, ours in MAPPED.items())
    code = f"import importlib, sys\nfor a, b in [{pairs}]: assert importlib.import_module(a) is sys.modules[b], a"
    assert said(code) == ""
    assert said("\n".join(f"import {name} as m; assert m.__name__ == {ours!r}" for name, ours in MAPPED.items())) == ""
    assert (
        said(
            "import torch, torch.nn as nn; from torch.nn import functional as F; print(torch.nn is nn, F is nn.functional)"
        )
        == "True True"
    )


def test_an_error_is_shown_from_the_programs_first_line_on(tmp_path: Path) -> None:
    script = tmp_path / "wrong.py"
    script.write_text("import torch\n\ntorch.ones(2) @ torch.ones(3)\n")
    done = run(str(script))
    lines = done.stderr.splitlines()
    assert (
        done.returncode == 1
        and lines[0].startswith("Traceback")
        and lines[1].strip() == f'File "{script}", line 3, in <module>'
    )
    assert "(2,) @ (3,)" in lines[-1]
    assert "as_torch" not in done.stderr and "runpy" not in done.stderr


@pytest.mark.parametrize(
    ("code", "kind", "facts"),
    [
        ("import torch; torch.conv3d", "AttributeError", ["minigrad", "'conv3d'", "README"]),
        ("import torch; torch.arangee(3)", "AttributeError", ["'arangee'", "did you mean arange"]),
        ("import torch.nn as nn; nn.layernorm(3)", "AttributeError", ["minigrad.nn", "'layernorm'", "LayerNorm"]),
        ("import torch.nn.functional as F; F.cross_entrop", "AttributeError", ["'cross_entrop'", "cross_entropy"]),
        ("import torch; torch.optim.Adamm", "AttributeError", ["minigrad.optim", "Adam"]),
        ("import torch; torch.ones(2).summ()", "AttributeError", ["'Tensor'", "'summ'", "did you mean sum"]),
        ("import torch; torch.ones(2).to_mkldnn_and_more()", "AttributeError", ["'to_mkldnn_and_more'"]),
        ("from torch.nn import Linaer", "ImportError", ["'Linaer'", "did you mean Linear"]),
        ("from torch import nothing_of_the_kind", "ImportError", ["'nothing_of_the_kind'", "README"]),
        ("import torch.utils.tensorboard", "ModuleNotFoundError", ["'torch.utils.tensorboard'", "torch.utils"]),
        ("import torch.fused", "ModuleNotFoundError", ["'torch.fused'"]),
    ],
)
def test_what_is_not_there_is_named_with_what_is(code: str, kind: str, facts: list[str]) -> None:
    error = refused(code)
    assert kind in error
    assert [fact for fact in facts if fact not in error] == []


def test_asking_is_no_error() -> None:
    code = "import torch; print(hasattr(torch, 'onnx'), hasattr(torch.nn, 'CTCLoss'), hasattr(torch.ones(1), 'items'))"
    assert said(code) == "False False False"
    assert said("import torch.nn.functional as F; print(hasattr(F, 'softmax'))") == "True"


def test_too_late() -> None:
    done = run("-c", "import torch; from minigrad.as_torch import install; install()", torch_first=True)
    assert done.returncode == 1 and "torch has been imported already" in done.stderr


def test_twice_is_once() -> None:
    assert (
        said(
            "import sys; from minigrad.as_torch import install; n = len(sys.meta_path); install(); print(len(sys.meta_path) - n)"
        )
        == "0"
    )


def test_minigrad_is_not_its_own_oracle() -> None:
    error = refused(
        "from minigrad.testing import check_against_torch; import torch; check_against_torch(torch.exp, torch.exp, [torch.ones(2)])"
    )
    assert "RuntimeError" in error and "itself" in error


def test_without_arguments_it_says_how() -> None:
    for arguments, code in (([], 2), (["-h"], 0), (["--help"], 0), (["-x"], 2)):
        done = run(*arguments)
        assert done.returncode == code and "python -m minigrad.as_torch script.py" in done.stdout


def test_an_interrupt_is_shown_from_the_programs_first_line_on() -> None:
    done = run("-c", "raise KeyboardInterrupt")
    assert done.returncode == 130 and "KeyboardInterrupt" in done.stderr and "as_torch" not in done.stderr


def test_no_such_script() -> None:
    done = run("nowhere.py")
    assert done.returncode == 1 and "nowhere.py" in done.stderr.splitlines()[-1]
    assert "as_torch" not in done.stderr


SWITCHES = """
import warnings; warnings.simplefilter("error")
import torch
from torch.cuda.amp import GradScaler
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.distributed import init_process_group, destroy_process_group
torch.backends.cuda.matmul.allow_tf32 = True; torch.backends.cudnn.allow_tf32 = True; torch.backends.cudnn.benchmark = False
torch.set_float32_matmul_precision("high"); torch.set_num_threads(1); torch.use_deterministic_algorithms(True)
torch.cuda.manual_seed_all(1); torch.cuda.manual_seed(1); torch.cuda.empty_cache()
from torch.utils.checkpoint import checkpoint
assert not torch.accelerator.is_available() and torch.accelerator.current_accelerator() is None and not torch.xpu.is_available()
assert torch.version.cuda is None and torch.jit.script(abs) is abs and checkpoint(max, 1, 2, use_reentrant=False) == 2
assert not isinstance(torch.nn.ReLU(), DDP)
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
model = torch.compile(torch.nn.Linear(2, 1)); scaler = torch.amp.GradScaler(device, enabled=False)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
with torch.amp.autocast(device_type=device, enabled=False):
    loss = model(torch.ones(1, 2)).sum()
scaler.scale(loss).backward(); scaler.unscale_(opt); scaler.step(opt); scaler.update()
f = torch.compile(lambda x: x + 1, mode="max-autotune")
assert torch.bfloat16 != torch.float16 and str(torch.bfloat16) == "torch.bfloat16" and torch.ones(1).dtype is not torch.bfloat16
print(device, f(torch.zeros(1)), torch.cuda.device_count(), torch.get_float32_matmul_precision(), GradScaler(enabled=False).get_scale())
"""


def test_switches_that_have_nothing_to_switch() -> None:
    assert said(SWITCHES) == "cpu tensor([1.]) 0 high 1.0"


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        ("import torch; torch.autocast('cpu')", ["NotImplementedError", "bfloat16", "enabled=False"]),
        (
            "import torch.distributed as d; d.init_process_group('gloo', world_size=2, rank=0)",
            ["RuntimeError", "mpiexec -n 2 python -m mpi4py -m minigrad.as_torch"],
        ),
        ("from torch.nn.parallel import DistributedDataParallel as D; D(None)", ["RuntimeError", "init_process_group"]),
        ("import torch; torch.set_float32_matmul_precision('best')", ["ValueError", "'best'"]),
        ("import torch; torch.ones(2, dtype=torch.bfloat16)", ["TypeError", "bfloat16", "float32"]),
        ("import torch; torch.ones(2).to(torch.bfloat16)", ["TypeError", "bfloat16", "float32"]),
        ("import torch; torch.nn.Linear(2, 2).to(dtype=torch.bfloat16)", ["TypeError", "bfloat16", "float32"]),
        ("import torch; torch.set_num_threads(0)", ["RuntimeError", "positive"]),
    ],
)
def test_what_cannot_be_switched_on_says_so(code: str, facts: list[str]) -> None:
    error = refused(code)
    assert [fact for fact in facts if fact not in error] == []
