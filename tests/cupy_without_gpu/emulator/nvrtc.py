"""Has NVRTC compile every kernel of the emulator's cache for four GPUs: the proof that a GPU would accept what g++ did.

    python tests/cupy_without_gpu/emulator/nvrtc.py [--jobs N]

No GPU is needed to compile. What has passed is remembered in .emulator/nvrtc_passed; a refused kernel is printed and the
exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

BUILD = Path(__file__).resolve().parents[3] / ".emulator"
PASSED = BUILD / "nvrtc_passed"
ARCHITECTURES = (75, 80, 90, 120)


def compile(kernel: str, *architectures: int) -> str | None:
    """What NVRTC says against the kernel (JSON of source, options and name expressions); None if it compiles for all."""
    from cupy.cuda import compiler

    parts = json.loads(kernel)
    for architecture in architectures:
        # -ftz and the execution space are CuPy's; -pch halves the time, as headers are parsed once in a process, and tells of it
        chosen = (
            f"-arch=sm_{architecture}",
            "-ftz=true",
            "--device-as-default-execution-space",
            "-pch",
            "-pch-messages=false",
            "-diag-suppress=629",
        )
        # CuPy's own way of compiling asks the device for its architecture; this class does not
        program = compiler._NVRTCProgram(
            parts["source"], "kernel.cu", (), (), name_expressions=parts["names"], method="cubin"
        )
        try:
            program.compile((*parts["options"], *chosen))
        except compiler.CompileException as error:
            return f"sm_{architecture}: {error}"
    return None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _refusal(path: Path) -> str | None:
    return compile(path.read_text(), *ARCHITECTURES)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jobs", type=int, default=1)
    jobs = arguments.parse_args().jobs
    passed = set(PASSED.read_text().split()) if PASSED.exists() else set()
    kernels = {_digest(path): path for path in sorted((BUILD / "cache").glob("*.json"))}
    new = [digest for digest in kernels if digest not in passed]
    refused = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TMPDIR"] = folder  # NVRTC leaves its precompiled headers there
        with ProcessPoolExecutor(jobs) as pool, PASSED.open("a") as remember:
            for digest, refusal in zip(new, pool.map(_refusal, [kernels[digest] for digest in new]), strict=True):
                if refusal is None:
                    print(digest, file=remember, flush=True)
                else:
                    refused.append(f"{kernels[digest]} (to be deleted if no code has this kernel any more)\n{refusal}")
    print(f"NVRTC: {len(kernels)} kernels x {len(ARCHITECTURES)} architectures compiled, {len(refused)} refused")
    print("\n\n".join(refused[:3]), end="", file=sys.stderr)
    return 1 if refused or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
