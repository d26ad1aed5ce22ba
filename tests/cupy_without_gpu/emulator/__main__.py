"""Run a script on the emulator: python tests/cupy_without_gpu/emulator examples/token_embeddings.py --device cuda"""

import runpy
import sys
from pathlib import Path

if len(sys.argv) < 2:
    raise SystemExit(__doc__)
sys.path.insert(0, str(Path(__file__).parents[2]))
from cupy_without_gpu import emulator

try:
    emulator.install()
except emulator.NotBuilt as error:
    raise SystemExit(str(error)) from None
del sys.argv[0]
sys.path[0] = str(Path(sys.argv[0]).parent)  # as if Python had been started with the script
runpy.run_path(sys.argv[0], run_name="__main__")
