"""Five options of the whole run.

HYPOTHESIS_PROFILE=dev (the default), ci (also chosen by CI=true), device (few cases, for slow backends) or thorough: how
many cases hypothesis draws.

--backend=numpy (the default), fakecupy, cupysim or cupy: what tensors are made of. The last three put the default device
to "cuda": fakecupy is a strict stand-in for CuPy over NumPy's memory, cupysim the real CuPy computing on a CPU (see
cupy_without_gpu/README.md), cupy the real CuPy on a real GPU.

--oracles: what test_positions_oracles.py compares with (pip install -e '.[oracles]') must be there: without this option tests
that miss it are skipped, with it they fail.

--browser: the same for the browser of the tests *_browser.py: chromium, chromedriver and pip install -e '.[browser]'.

--mpi: the same for tests that start several ranks: pip install -e '.[mpi]'.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from chromium import start as start_chromium
from cupy_without_gpu import emulator, fakecupy
from hypothesis import HealthCheck, Phase, settings

from minigrad import kernels

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]  # torch's first call of an op takes long, whatever is drawn

settings.register_profile("dev", max_examples=25, deadline=None, print_blob=True, suppress_health_check=SLOW)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.register_profile("device", settings.get_profile("ci"), max_examples=4, phases=[Phase.explicit, Phase.generate])
settings.register_profile("thorough", settings.get_profile("dev"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=["numpy", "fakecupy", "cupysim", "cupy"], default="numpy", help=__doc__)
    parser.addoption(
        "--oracles", action="store_true", help="fail, not skip, where a package to compare with is missing"
    )
    parser.addoption("--browser", action="store_true", help="fail, not skip, where the browser is missing")
    parser.addoption("--mpi", action="store_true", help="fail, not skip, where mpiexec or mpi4py is missing")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cpu_only(reason): what is tested belongs to the CPU; skipped on other backends")
    backend = config.getoption("--backend")
    try:
        if backend == "fakecupy":
            fakecupy.install()
            kernels.fused_kernels = False  # the fake has no compiler: it runs the array forms
        elif backend == "cupysim":
            emulator.install()
        if backend != "numpy":
            import minigrad

            minigrad.set_default_device("cuda")
    except RuntimeError as error:  # not built, no GPU: the message says what to do
        raise pytest.UsageError(f"--backend={backend}: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--backend") == "numpy":
        return
    for item in items:
        if mark := item.get_closest_marker("cpu_only"):
            item.add_marker(pytest.mark.skip(reason=f"only on the CPU: {mark.args[0]}"))


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """An error that waits for the next copy to the host belongs to the test that caused it, and so does a default device."""
    import minigrad

    before = minigrad.get_default_device()
    yield
    minigrad.backend.settle()
    now = minigrad.get_default_device()
    minigrad.set_default_device(before)
    assert now == before, f"this test left the default device {now} behind"


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A real browser. Where there is none the test is skipped or, with --browser, fails."""
    try:
        driver = start_chromium()
    except (ImportError, FileNotFoundError) as error:
        if request.config.getoption("--browser"):
            raise
        pytest.skip(f"no browser ({error}): apt install chromium chromium-driver, and pip install -e '.[browser]'")
    yield driver
    driver.quit()


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """Where the tensors of this run are made: "cpu" or "cuda"."""
    return "cpu" if request.config.getoption("--backend") == "numpy" else "cuda"


@pytest.fixture(scope="session")
def mpiexec(request: pytest.FixtureRequest) -> list[str]:
    """What starts ranks: tests add `-n N sys.executable -m mpi4py ...`. Where it is missing they are skipped or, with --mpi, fail."""
    beside = Path(sys.executable).with_name("mpiexec")
    path = str(beside) if beside.exists() else shutil.which("mpiexec")
    if missing := [what for what, there in (("mpiexec", path), ("mpi4py", find_spec("mpi4py"))) if not there]:
        sentence = f"no {' and no '.join(missing)}: pip install -e '.[mpi]'"
        if request.config.getoption("--mpi"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return [str(path)]
