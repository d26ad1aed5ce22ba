"""Has NVRTC compile every kernel of the emulator's cache for four GPUs: the proof that a GPU would accept what g++ did.

    python tests/cupy_without_gpu/emulator/nvrtc.py [--jobs N]

No GPU is needed to compile. What has passed is remembered in .emulator/nvrtc_passed; a refused kernel is printed and the
exit status is 1.

Most of the time one kernel takes is spent on headers, so many share a unit, made to accept nothing that would be refused
alone. What a unit cannot hold, and all of a unit that is refused, is compiled one by one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

BUILD = Path(__file__).resolve().parents[3] / ".emulator"
PASSED = BUILD / "nvrtc_passed"
ARCHITECTURES = (75, 80, 90, 120)
TOGETHER = 100  # kernels in a unit: headers then take a twentieth of the time


def compile(kernel: str, *architectures: int) -> str | None:
    """What NVRTC says against the kernel (JSON of source, options and name expressions); None if it compiles for all."""
    from cupy.cuda import compiler

    parts = json.loads(kernel)
    for architecture in architectures:
        # -ftz and the execution space are CuPy's; -Ofc=min optimises less, in two thirds of the time
        chosen = (f"-arch=sm_{architecture}", "-ftz=true", "--device-as-default-execution-space", "-Ofc=min")
        # CuPy's own way of compiling asks the device for its architecture; this class does not
        program = compiler._NVRTCProgram(
            parts["source"], "kernel.cu", (), (), name_expressions=parts["names"], method="cubin"
        )
        try:
            program.compile((*parts["options"], *chosen))
        except compiler.CompileException as error:
            return f"sm_{architecture}: {error}"
    return None


# ---------------------------------------------------------------------------------------------------- many kernels in a unit

_INCLUDES = re.compile(r"(?:[^\S\n]*(?:#\s*include\b.*)?\n)*")  # and empty lines: what a source may begin with
_KERNEL = re.compile(r'(extern\s+"C"\s+__global__\s+(?:void\s+|__launch_bounds__\s*\([^)]*\)\s*)+)(\w+)(?=\s*\()')
_MACRO = re.compile(r"#\s*(?:define|undef)\s+(\w+)")


def _headers(source: str) -> tuple[str, ...]:
    lines = _INCLUDES.match(source)[0].splitlines()  # type: ignore[index]
    return tuple(line.strip() for line in lines if line.strip())


def _body(source: str) -> str:
    return source[_INCLUDES.match(source).end() :]  # type: ignore[union-attr]


def _fits(kernel: dict[str, Any]) -> bool:
    """Whether a unit can hold the kernel: it is no template, and headers and C linkage are where they can be seen."""
    body = _body(kernel["source"])
    kernels = len(_KERNEL.findall(body))
    return not kernel["names"] and kernels > 0 and body.count('"C"') == kernels and not re.search(r"#\s*include", body)


def _declared(body: str) -> set[str]:
    """The names that a source declares outside all brackets; rather too many than too few."""
    flat = re.sub(r"//.*|/\*[\s\S]*?\*/|^\s*#(?:.*\\\n)*.*", " ", body, flags=re.MULTILINE)
    for brackets, stand_in in ((r"\{[^{}]*\}", ";"), (r"\([^()]*\)", "@"), (r"<[^<>]*>", " ")):
        while flat != (flat := re.sub(brackets, stand_in, flat)):
            pass
    return {name for name in re.findall(r"(\w+)\s*[@;,=\[]", flat) if name.isidentifier() and name[:2] != "__"}


def _unit(sources: list[str]) -> str:
    """One source of many with the same headers, each in a namespace, its kernels numbered, as C has no namespaces.

    A namespace would hide that a source declares what the headers have, so such names are refused for all; likewise
    macros, which are undefined after each source. Were a source to swallow what follows it, the end would miss a name.
    """
    bodies = [_body(source) for source in sources]
    macros = sorted({name for body in bodies for name in _MACRO.findall(body)})
    names = sorted(set().union(*map(_declared, bodies)))
    lines = [
        *_headers(sources[0]),
        *(f"#ifdef {name}\n#error {name} is a macro of the headers\n#endif" for name in macros),
        *(f"namespace {name} {{}}" for name in names),
    ]
    for i, body in enumerate(bodies):
        lines += [f"namespace unit_{i} {{", _KERNEL.sub(rf"\1\2_{i}", body), f"}} struct end_{i} {{}};"]
        lines += [f"#undef {name}" for name in dict.fromkeys(_MACRO.findall(body))]
    lines += [f"static_assert(sizeof(::end_{i}));" for i in range(len(bodies))]
    return "\n".join([*lines, ""])


def units(kernels: list[str]) -> list[list[str]]:
    """The kernels (JSON), those that can be compiled together in one list."""
    groups: defaultdict[object, list[str]] = defaultdict(list)
    for kernel in kernels:
        parts = json.loads(kernel)
        groups[(_headers(parts["source"]), *parts["options"]) if _fits(parts) else kernel].append(kernel)
    return [group[i : i + TOGETHER] for group in groups.values() for i in range(0, len(group), TOGETHER)]


def refusals(kernels: list[str]) -> list[str | None]:
    """compile() for each kernel of a unit, on every architecture."""
    if len(kernels) > 1:
        parts = [json.loads(kernel) for kernel in kernels]
        unit = parts[0] | {"source": _unit([part["source"] for part in parts])}
        if compile(json.dumps(unit), *ARCHITECTURES) is None:
            return [None] * len(kernels)
    return [compile(kernel, *ARCHITECTURES) for kernel in kernels]


# ------------------------------------------------------------------------------------------------------------------ the cache


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--jobs", type=int, default=1)
    jobs = arguments.parse_args().jobs
    passed = set(PASSED.read_text().split()) if PASSED.exists() else set()
    kernels = {path.read_text(): path for path in sorted((BUILD / "cache").glob("*.json"))}
    here = Path(__file__).read_text()  # other flags, another proof
    digests = {kernel: hashlib.sha256((here + kernel).encode()).hexdigest() for kernel in kernels}
    new = units([kernel for kernel in kernels if digests[kernel] not in passed])
    refused = []
    with ProcessPoolExecutor(jobs) as pool, PASSED.open("a") as remember:
        for unit, found in zip(new, pool.map(refusals, new), strict=True):
            for kernel, refusal in zip(unit, found, strict=True):
                if refusal is None:
                    print(digests[kernel], file=remember, flush=True)
                else:
                    refused.append(f"{kernels[kernel]} (to be deleted if no code has this kernel any more)\n{refusal}")
    print(f"NVRTC: {len(kernels)} kernels x {len(ARCHITECTURES)} architectures compiled, {len(refused)} refused")
    print("\n\n".join(refused[:3]), end="", file=sys.stderr)
    return 1 if refused or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
