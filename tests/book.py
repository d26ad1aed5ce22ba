"""The tests of "Build a Large Language Model (From Scratch)" itself, with torch replaced by minigrad.

python tests/book.py               # chapters 3 and 4, among them GPT-2's size under seed 123: half a minute
python tests/book.py 2 3 4 5       # 2 and 5 need the story: see minigrad.data.fetch_verdict_text. 5 trains 124M parameters

Installs the book's package, llms-from-scratch 1.0.19, beside the environment's own packages and without what it depends on;
the vocabulary is the one that minigrad uses. Chapter 5 needs matplotlib.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from minigrad.data.text import cache_dir
from minigrad.data.tokenizer import ENCODER

PACKAGE = "llms-from-scratch==1.0.19"
VOCABULARY_URL = "https://openaipublic.blob.core.windows.net/gpt-2/encodings/main/"
OFFLINE = """
import io, pathlib, urllib.request

def urlopen(url, *args, **kwargs):
    if not url.endswith("the-verdict.txt"):
        raise OSError(f"no network in this test: {url}")
    return io.BytesIO(pathlib.Path("the-verdict.txt").read_bytes())

urllib.request.urlopen = urlopen
"""


def main(chapters: list[str]) -> int:
    package = Path(sys.prefix, "book")
    if not (package / "llms_from_scratch").exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(package), PACKAGE]
        subprocess.run(pip, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("vocab.bpe", "encoder.json"):  # where tiktoken looks before it asks the network
            carried = next(f for place in sys.path if (f := Path(place, *ENCODER[:-1], file)).is_file())
            shutil.copy(carried, folder / hashlib.sha1((VOCABULARY_URL + file).encode()).hexdigest())
        story = cache_dir() / "the-verdict.txt"
        if story.exists():
            shutil.copy(story, folder)
        (folder / "offline.py").write_text(OFFLINE)
        tests = [str(package / "llms_from_scratch" / "tests" / f"test_ch{int(chapter):02}.py") for chapter in chapters]
        path = os.pathsep.join([str(Path(__file__).parents[1]), str(package), name])
        environment = {**os.environ, "TIKTOKEN_CACHE_DIR": name, "PYTHONPATH": path, "MPLBACKEND": "agg"}
        command = [
            sys.executable,
            "-m",
            "minigrad.as_torch",
            "-m",
            "pytest",
            "-p",
            "offline",
            "-p",
            "no:cacheprovider",
            *tests,
        ]
        return subprocess.run(command, cwd=folder, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["3", "4"]))
