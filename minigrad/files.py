"""Files that are never half-written."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to be written (bytes) that takes the place of `path` once it is whole and on the disk; if that fails, it is removed.

    Its name is always the same, so what a killed process left is overwritten; a lock lets two writers take turns.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: the path is a directory, or cannot be written.
    """
    path = os.path.realpath(path)  # a link stays a link
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is not a file, and is left alone")
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path}: the folder {folder} does not exist; make it first")
    temporary = os.path.join(folder, f".{name}.saving")
    with _locked(temporary) as file:
        try:
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.path.exists(path):
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    if os.name == "posix":  # the new name, too, shall outlive a power cut
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _locked(path: str) -> BinaryIO:
    """The file of that name, made if there is none, open for writing and for nobody else's."""
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "wb")  # noqa: SIM115  # the caller closes it
        with contextlib.suppress(ImportError, OSError):  # not on Windows, nor on every network file system
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):  # the one before us may have renamed it while we waited
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()
