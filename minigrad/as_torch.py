"""Run a program that was written for torch on minigrad, unchanged.

    python -m minigrad.as_torch script.py [arguments]
    python -m minigrad.as_torch -m module [arguments]      such as -m pytest tests
    python -m minigrad.as_torch -c "import torch; print(torch.ones(2))"

`import torch` then finds minigrad, in this process and nowhere else: nothing is written to disk, and a torch that is
installed is not touched. Programs that the program starts in turn find their own torch.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from importlib import import_module
from io import open_code
from types import ModuleType
from typing import Any

from .names import hint, public

MAPPED = {
    "torch": "minigrad",
    "torch.amp": "minigrad.amp",
    "torch.autograd": "minigrad.autograd",
    "torch.autograd.function": "minigrad.autograd",
    "torch.autograd.functional": "minigrad.autograd",
    "torch.backends": "minigrad.backends",
    "torch.cuda": "minigrad.cuda",
    "torch.cuda.amp": "minigrad.amp",
    "torch.distributed": "minigrad.distributed",
    "torch.distributions": "minigrad.distributions",
    "torch.linalg": "minigrad.linalg",
    "torch.nn": "minigrad.nn",
    "torch.nn.functional": "minigrad.nn.functional",
    "torch.nn.init": "minigrad.nn.init",
    "torch.nn.modules": "minigrad.nn",
    "torch.nn.modules.module": "minigrad.nn.module",
    "torch.nn.parallel": "minigrad.distributed",
    "torch.nn.parameter": "minigrad.nn",
    "torch.nn.utils": "minigrad.nn.utils",
    "torch.nn.utils.rnn": "minigrad.nn.utils.rnn",
    "torch.optim": "minigrad.optim",
    "torch.optim.optimizer": "minigrad.optim",
    "torch.optim.lr_scheduler": "minigrad.optim.lr_scheduler",
    "torch.random": "minigrad.random",
    "torch.testing": "minigrad.testing",
    "torch.utils": "minigrad.utils",
    "torch.utils.checkpoint": "minigrad.utils.checkpoint",
    "torch.utils.data": "minigrad.utils.data",
    "torch.utils.data.dataset": "minigrad.utils.data",
    "torch.utils.data.distributed": "minigrad.utils.data",
    "torch.utils.data.dataloader": "minigrad.utils.data",
    "torch.utils.data.sampler": "minigrad.utils.data",
}
"""What `import` finds under each of torch's names."""

VERSION = "2.13.0+minigrad"
"""What torch.__version__ says: the torch whose numbers are reproduced."""


class Unmapped:
    """Refuses imports of parts of torch that are not mapped (an importlib.abc.MetaPathFinder)."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(
                f"minigrad, running as torch, has no module {name!r}: {hint(name, MAPPED)}", name=name
            )


def install() -> None:
    """From now on `import torch` finds minigrad.

    Raises:
        RuntimeError: torch itself has been imported already.
    """
    minigrad: Any = import_module("minigrad")
    if sys.modules.get("torch", minigrad) is not minigrad:
        raise RuntimeError("torch has been imported already: minigrad can take its place only before that")
    for name, ours in MAPPED.items():
        sys.modules[name] = import_module(ours)
        parent, _, child = name.rpartition(".")
        if parent and not hasattr(
            sys.modules[parent], child
        ):  # `import torch.nn.parallel as p` asks for torch.nn's attribute
            setattr(sys.modules[parent], child, sys.modules[name])
    if not any(isinstance(finder, Unmapped) for finder in sys.meta_path):
        sys.meta_path.insert(0, Unmapped())
    if minigrad.distributed.is_available():  # what torch's launcher would have set
        os.environ.update(minigrad.distributed.environment())
    minigrad.__version__ = VERSION
    minigrad.Tensor.__module__, minigrad.nn.Parameter.__module__ = "torch", "torch.nn.parameter"  # type(x) prints so


def run(arguments: list[str]) -> None:
    """Run what the command line names as __main__, as python itself would."""
    match arguments:
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["-c", code, *rest]:
            sys.argv = ["-c", *rest]
            _execute(code, "<string>")
        case [script, *rest] if not script.startswith("-"):
            sys.argv = [script, *rest]
            path = os.path.abspath(script)
            sys.path[0] = os.path.dirname(os.path.realpath(path))
            with open_code(path) as file:
                _execute(file.read(), path, __file__=path)
        case _:
            print(__doc__)
            sys.exit(0 if arguments in (["-h"], ["--help"]) else 2)


def _execute(code: str | bytes, name: str, **attributes: Any) -> None:
    main = ModuleType("__main__")
    vars(main).update(attributes)
    sys.modules["__main__"] = main
    exec(compile(code, name, "exec", dont_inherit=True), vars(main))


def main(arguments: list[str]) -> int:
    """Install and run; what the program raises is shown from the program's own first line on."""
    install()
    try:
        run(arguments)
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, ImportError) and (
            found := re.match(r"cannot import name '(\w+)' from '(minigrad[\w.]*)'", str(error))
        ):
            error.add_note(hint(found[1], public(found[2])))
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__name__") in (__name__, "runpy"):
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


if __name__ == "__main__":
    from minigrad import as_torch  # not __main__, which is the program's from here on

    sys.exit(as_torch.main(sys.argv[1:]))
