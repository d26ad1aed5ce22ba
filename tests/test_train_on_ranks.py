"""examples/train_gpt.py on several ranks: the numbers of one process, and for each fault one message, a good checkpoint and an end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train_gpt import ROOT, TEXT, TINY, checkpoint, command, environment, train

import minigrad as mg
from minigrad.data.prepare import prepare

pytestmark = pytest.mark.cpu_only("programs of their own, on the CPU; on_ranks.py runs on every device")

# What goes wrong on a rank at a step; the rest of the program is the example's.
FAULTS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "stuck": "time.sleep(3600)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "slow": "time.sleep(0.2)",
    "raises": "raise KeyError('a bug on one rank')",
    "memory": "np.zeros(1 << 50)",
    "flipped bit": "run.parameters[5].array.view(np.uint32).reshape(-1)[3] ^= 1 << 20",  # not a low one, that rounding takes back
    "other dice": "mg.rand(3)",
    "not a number": "run.parameters[5].array[...] = np.nan",
    "leaves": "sys.exit(0)",
    "full disk": "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))",
    "interrupted": "os.kill(os.getpid(), signal.SIGTERM)",
}
FAULTY = """
import os, resource, signal, sys, time, numpy as np, minigrad as mg
train_one = train_gpt.Run.train_one
def faulty(run, x, y):
    if run.world.rank == {rank} and {when}:
        {fault}
    return train_one(run, x, y)
train_gpt.Run.train_one = faulty
train_gpt.main("""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TINY.format(examples=str(ROOT / "examples")))
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def faulty(folder: Path, fault: str, when: str = "run.step == 4", rank: int = 1) -> str:
    """train.py in which a rank comes to grief."""
    code = (folder / "train.py").read_text()
    name = f"{fault.replace(' ', '_')}.py"
    (folder / name).write_text(
        code.replace("train_gpt.main(", FAULTY.format(rank=rank, when=when, fault=FAULTS[fault]))
    )
    return str(folder / name)


def on_ranks(
    mpiexec: list[str],
    n: int,
    folder: Path,
    out: str,
    *more: str,
    program: str = "",
    seconds: float = 60,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Train on n ranks; everything is ended, and the test fails, if that takes too long."""
    plain = command(folder, out, "--data-parallel", *more)
    ours = [*mpiexec, "-n", str(n), sys.executable, "-m", "mpi4py", program or plain[1], *plain[2:]]
    return run_bounded(ours, folder, seconds)


def run_bounded(
    ours: list[str], folder: Path, seconds: float, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    process = subprocess.Popen(
        ours,
        cwd=folder,
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complained = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, complained = process.communicate()
        pytest.fail(f"still running after {seconds} s:\n{said}\n{complained}")
    return subprocess.CompletedProcess(ours, process.returncode, said, complained)


def close(a: dict[str, Any], b: dict[str, Any], tolerance: float = 2e-4) -> bool:
    """The same run, but for how sums were rounded. (Adam turns the rounding of gradients near 0 into steps.)"""
    weights = max(float(abs(x.numpy() - b["model"][name].numpy()).max()) for name, x in a["model"].items())
    losses = np.abs(np.array(a["history"]) - np.array(b["history"])).max()
    same_place = a["step"] == b["step"] and a["batches"] == b["batches"] and (a["random"] == b["random"]).all()
    return bool(weights < tolerance and losses < tolerance and same_place)


# ------------------------------------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("n", [1, 2, 4])
def test_ranks_train_as_one_process(mpiexec: list[str], folder: Path, n: int) -> None:
    """With dropout, through two passes over the text; what is printed is the same, line by line."""
    one = train(folder, "one", "--steps", "12")
    many = on_ranks(mpiexec, n, folder, "many", "--steps", "12")
    assert one.returncode == many.returncode == 0, many.stderr
    assert close(checkpoint(folder, "many"), checkpoint(folder, "one"))
    assert checkpoint(folder, "one")["batches"]["passes"] == 1
    losses = [[line for line in done.stdout.splitlines() if line.startswith("step ")] for done in (one, many)]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    assert (f"on {n} ranks" in many.stdout) == (n > 1) == ("waited" in many.stdout)
    assert sorted(p.name for p in (folder / "one").iterdir()) == sorted(p.name for p in (folder / "many").iterdir())


def test_resumed_with_other_numbers_of_ranks(mpiexec: list[str], folder: Path) -> None:
    assert train(folder, "whole", "--steps", "12").returncode == 0
    for stop, n in ((3, 2), (5, 1), (8, 4), (10, 2)):
        more = ["--steps", "12"] if stop == 3 else ["--steps", "12", "--resume"]
        stopping = faulty(folder, "interrupted", f"run.step == {stop - 1}", rank=n - 1)
        done = on_ranks(mpiexec, n, folder, "parts", *more, program=stopping)
        assert done.returncode == 0 and f"stopped after step {stop}" in done.stdout, done.stderr
        assert done.stderr.count("finishing this step") + done.stdout.count("finishing this step") <= 1
        assert checkpoint(folder, "parts")["step"] == stop
    rest = train(folder, "parts", "--steps", "12", "--resume")
    assert rest.returncode == 0 and "going on from step 10" in rest.stdout
    assert close(checkpoint(folder, "parts"), checkpoint(folder, "whole"))


def test_a_slow_rank_changes_nothing_and_is_told(mpiexec: list[str], folder: Path) -> None:
    assert train(folder, "one", "--steps", "6").returncode == 0
    done = on_ranks(mpiexec, 2, folder, "slow", "--steps", "6", program=faulty(folder, "slow", "True"))
    assert done.returncode == 0 and close(checkpoint(folder, "slow"), checkpoint(folder, "one"))
    waited = done.stdout.split("of the time they waited ")[1].splitlines()[0]
    first, second = (int(share.strip(" %")) for share in waited.split(","))
    assert first > 40 > second, waited


def test_a_program_for_torch_prints_on_ranks_what_it_prints_under_torch(mpiexec: list[str], tmp_path: Path) -> None:
    """torch's own launcher and DistributedDataParallel on one side, mpiexec and ours on the other."""
    program = str(ROOT / "tests" / "programs_on_ranks" / "ddp.py")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    theirs = run_bounded([*launcher, program], tmp_path, 120, env={**environment(), "GLOO_SOCKET_IFNAME": "lo"})
    assert theirs.returncode == 0, theirs.stderr
    ours = run_bounded(
        [*mpiexec, "-n", "2", sys.executable, "-m", "mpi4py", "-m", "minigrad.as_torch", program], tmp_path, 60
    )
    assert ours.returncode == 0, ours.stderr
    assert ours.stdout == theirs.stdout and ours.stdout.count("loss") == 3


# ----------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        ("killed", ["Killed (signal 9)"]),
        ("stuck", ["rank 1", "did not come within 3 s"]),
        ("stopped", ["rank 1", "did not come within 3 s"]),
        ("leaves", ["rank 1", "did not come within 3 s"]),
        ("raises", ["KeyError", "a bug on one rank", "train_one"]),
        ("memory", ["Unable to allocate"]),
        ("flipped bit", ["no longer have the same model", "on rank 1"]),
        ("other dice", ["random stream", "would not train one model"]),
        ("not a number", ["the loss is nan at step 5", "The last checkpoint is untouched"]),
    ],
)
def test_a_fault_on_one_rank_ends_all_and_leaves_a_checkpoint(
    mpiexec: list[str], folder: Path, fault: str, facts: list[str]
) -> None:
    options = ["--steps", "12", "--save-every", "2", "--timeout", "3"]
    done = on_ranks(mpiexec, 2, folder, "out", *options, program=faulty(folder, fault), seconds=40)
    told = done.stdout + done.stderr
    assert done.returncode != 0 and [fact for fact in facts if fact not in told] == [], told
    assert told.count(facts[-1]) == 1, told
    step = checkpoint(folder, "out")["step"]
    assert step in (2, 4)  # rank 0 may have been writing the latter when rank 1 took it along
    rest = on_ranks(mpiexec, 2, folder, "out", *options, "--resume")
    assert rest.returncode == 0 and f"going on from step {step}" in rest.stdout
    assert train(folder, "one", "--steps", "12", "--save-every", "2").returncode == 0
    assert close(checkpoint(folder, "out"), checkpoint(folder, "one"))


@pytest.mark.parametrize("missing", ["--lr=-1", "--nothing", "nowhere.py", "late.py"])
def test_a_rank_that_never_starts_ends_the_others(mpiexec: list[str], folder: Path, missing: str) -> None:
    """MPI would wait for it forever, before Python can say a word."""
    (folder / "late.py").write_text("import time; time.sleep(3600)")
    plain = command(folder, "out", "--data-parallel", "--timeout", "4")
    program = [sys.executable, "-m", "mpi4py", *plain[1:]]
    other = [sys.executable, "-m", "mpi4py", missing] if missing.endswith(".py") else [*program, missing]
    done = run_bounded([*mpiexec, "-n", "1", *program, ":", "-n", "1", *other], folder, 40)
    assert done.returncode != 0 and "wait_until_all_ranks_have_started" in done.stderr, done.stderr
    assert not (folder / "out" / "checkpoint.safetensors").exists()


def test_ctrl_c_at_mpiexec_saves(mpiexec: list[str], folder: Path) -> None:
    plain = command(folder, "out", "--data-parallel", "--steps", "100000")
    process = subprocess.Popen(
        [*mpiexec, "-n", "2", sys.executable, "-m", "mpi4py", *plain[1:]],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        file, deadline = folder / "out" / "checkpoint.safetensors", time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0 and said.count("nothing is lost") == 1, said
    assert f"stopped after step {checkpoint(folder, 'out')['step']};" in said


def test_a_full_disk_is_told_once_and_the_checkpoint_before_stays(mpiexec: list[str], folder: Path) -> None:
    program = faulty(folder, "full disk", rank=0)
    done = on_ranks(mpiexec, 2, folder, "out", "--steps", "12", "--save-every", "4", program=program)
    assert done.returncode == 2 and done.stderr.count("could not write") == 1, done.stderr
    assert "what was there before is untouched" in done.stderr and "Traceback" not in done.stderr
    assert checkpoint(folder, "out")["step"] == 4
    assert [p.name for p in (folder / "out").iterdir() if "saving" in p.name] == []
    assert on_ranks(mpiexec, 2, folder, "out", "--steps", "12", "--resume").returncode == 0


def test_ranks_with_other_text_or_other_code_are_told_apart(mpiexec: list[str], folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    shutil.copy(folder / "train.py", other)
    (other / "text.txt").write_text(TEXT.replace("star", "tsar"))
    shutil.copytree(ROOT / "minigrad", other / "minigrad", ignore=shutil.ignore_patterns("__pycache__"))
    (other / "minigrad" / "core.py").open("a").write("\n# changed on one machine\n")
    plain = command(folder, "out", "--data-parallel")
    program = [sys.executable, "-m", "mpi4py", *plain[1:]]
    elsewhere = ["env", f"PYTHONPATH={other}", *program]
    for second, fact in (
        (["-wdir", str(other), *program], "text: "),
        (elsewhere, "checksum of minigrad's code: "),
        ([*program, "--lr", "0.5"], "lr: "),
        ([*program, "--steps", "11"], "steps: "),
        ([*program, "--save-every", "3"], "save_every: "),
    ):
        ours = [*mpiexec, "-n", "1", *program, ":", "-n", "1", *second]
        done = run_bounded(ours, folder, 60)
        assert done.returncode == 2 and done.stderr.count("would not train one model") == 1, done.stderr
        assert fact in done.stderr and "on rank 1" in done.stderr, done.stderr
        assert not (folder / "out" / "checkpoint.safetensors").exists()


def test_shards_on_ranks_and_one_that_is_corrupt(mpiexec: list[str], folder: Path) -> None:
    """Windows that end with their documents have different numbers of targets on the ranks."""
    (folder / "fish.jsonl").write_text("\n".join(json.dumps({"text": TEXT[: 40 * i]}) for i in range(1, 20)))
    prepare([folder / "text.txt", folder / "fish.jsonl"], folder / "tokens", workers=1, shard_tokens=150)
    data = ["--data", "tokens", "--within-documents", "--steps", "8", "--save-every", "4"]
    for n in (1, 2):
        plain = [a for a in command(folder, f"of{n}", "--data-parallel", *data) if a not in ("--text", "text.txt")]
        done = run_bounded([*mpiexec, "-n", str(n), sys.executable, "-m", "mpi4py", *plain[1:]], folder, 60)
        assert done.returncode == 0, done.stderr
    assert close(checkpoint(folder, "of2"), checkpoint(folder, "of1"))
    shard = folder / "tokens" / "00003.bin"
    content = bytearray(shard.read_bytes())
    content[99] ^= 1
    copy = folder / "copy"  # on another machine, which reads every shard and not only a part of them
    shutil.copytree(folder, copy)
    (copy / "tokens" / "00003.bin").write_bytes(bytes(content))
    program = [sys.executable, "-m", "mpi4py", *plain[1:], "--resume"]
    done = run_bounded([*mpiexec, "-n", "1", *program, ":", "-n", "1", "-wdir", str(copy), *program], folder, 60)
    assert done.returncode == 2 and "00003.bin is damaged" in done.stderr, done.stderr
    for damage, fact in ((bytes(content), "00003.bin is damaged"), (bytes(content[:100]), "00003.bin has 100 bytes")):
        shard.write_bytes(damage)
        done = run_bounded([*mpiexec, "-n", "2", sys.executable, "-m", "mpi4py", *plain[1:], "--resume"], folder, 60)
        assert done.returncode == 2 and done.stderr.count(fact) == 1 and "Traceback" not in done.stderr, done.stderr
        assert checkpoint(folder, "of2")["step"] == 8


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--batch-size", "3"], ["--batch-size 3", "2 ranks"]),
        (["--text", "nowhere.txt"], ["nowhere.txt"]),
        (["--resume"], ["there is no checkpoint", "leave out --resume"]),
        (["--lr", "1e30", "--steps", "5"], ["the loss is", "--lr"]),
    ],
)
def test_wrong_options_are_told_once(mpiexec: list[str], folder: Path, arguments: list[str], facts: list[str]) -> None:
    done = on_ranks(mpiexec, 2, folder, "out", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    for fact in facts:
        assert done.stderr.count(fact) == 1, (fact, done.stderr)


def test_a_launch_that_could_hang_is_refused(mpiexec: list[str], folder: Path) -> None:
    plain = command(folder, "out", "--data-parallel")
    done = run_bounded([*mpiexec, "-n", "2", *plain], folder, 60)
    assert done.returncode != 0 and "mpiexec -n 2 python -m mpi4py" in done.stderr, done.stderr
    alone = run_bounded(
        [*mpiexec, "-n", "2", sys.executable, "-m", "mpi4py", *[a for a in plain[1:] if a != "--data-parallel"]],
        folder,
        60,
    )
    assert alone.returncode == 2 and alone.stderr.count("add --data-parallel") == 1, alone.stderr
    assert not (folder / "out").exists()
    assert mg.distributed.get_world_size() == 1
