"""CuPy where there is no GPU: a strict fake, and an emulator that runs CuPy's own code. See README.md."""
