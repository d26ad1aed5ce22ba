"""The real CuPy computing on a CPU: still to come."""


def install() -> None:
    """Make the next `import cupy` work without a GPU."""
    raise RuntimeError("the emulator is not there yet")
