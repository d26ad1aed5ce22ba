"""python -m minigrad.bench: minigrad timed against what a user would pick instead, side by side, on the same numbers."""
