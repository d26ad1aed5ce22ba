"""Ten puzzles, from looking a row up to the gradient of a GPT's table. Fill in a function, and run: python examples/puzzles.py

    python examples/puzzles.py                 where you stand, and the first puzzle that is not solved
    python examples/puzzles.py 3               puzzle 3 alone
    python examples/puzzles.py --hint 3        a hint for it
    python examples/puzzles.py --file my.py    the same for your copy of this file

Put one to three lines in place of each `...`: NumPy or minigrad, no loops (nor comprehensions), and never a change to an
argument. Later puzzles may call earlier ones. Arguments are NumPy arrays or integers, and so is what you return; the
docstrings write arrays as lists. A puzzle is solved when no counterexample is found; else you see the smallest. Needs
hypothesis: pip install -e '.[test]'. The answers are in puzzles_solutions.py.

Letters: V rows of a table (the vocabulary), D numbers in a row, N ids; B sequences of T tokens each.
"""

from __future__ import annotations

import numpy as np


def gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """1. Look rows up: row i of the result is row ids[i] of the table. (V, D), (N,) -> (N, D)

    >>> gather([[1, 2], [3, 4], [5, 6]], [2, 0, 2])
    [[5, 6], [1, 2], [5, 6]]
    """
    ...


def one_hot(ids: np.ndarray, V: int) -> np.ndarray:
    """2. Ids as rows: row i is zeros, but for a 1 in column ids[i]. (N,) -> (N, V), of numbers, not of True and False

    >>> one_hot([2, 0, 2], 4)
    [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    """
    ...


def gather_by_product(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """3. Puzzle 1 again, with a matrix product in place of the lookup. (V, D), (N,) -> (N, D)

    A lookup is linear in the table, so some matrix X, made of the ids alone, turns the table into the looked up rows.

    >>> gather_by_product([[1, 2], [3, 4], [5, 6]], [2, 0, 2])
    [[5, 6], [1, 2], [5, 6]]
    """
    ...


def counts(ids: np.ndarray, V: int) -> np.ndarray:
    """4. How often each id occurs, those that never do included. (N,) -> (V,)

    This is also how many times each row of the table is read: nudge row 2 by 0.1, and two rows of table[ids] move.

    >>> counts([2, 0, 2], 4)
    [1, 0, 2, 0]
    """
    ...


def scatter_add(g: np.ndarray, ids: np.ndarray, V: int) -> np.ndarray:
    """5. The gradient of a lookup: row i of g is added to row ids[i] of zeros. (N, D), (N,) -> (V, D)

    Let y = table[ids], and g say how fast the loss grows with each number of y. A row of the table that was read twice
    moves two rows of y, so the loss feels it twice: its gradient is the sum of both their g. A row that nobody read
    moves nothing. Any way will do, but puzzle 3 has a neat one.

    >>> scatter_add([[1, 2], [10, 20], [100, 200]], [2, 0, 2], 4)
    [[10, 20], [0, 0], [101, 202], [0, 0]]
    """
    ...


def position_gradient(g: np.ndarray, C: int) -> np.ndarray:
    """6. The gradient of a table of positions. (B, T, D) -> (C, D), where C >= T

    The table has a row for each of C positions, and y = x + table[:T] adds row t to the token at position t of every
    sequence in the batch x, (B, T, D). As in puzzle 5: who read row t? Their g add up.

    >>> position_gradient([[[1], [10]], [[100], [1000]]], 3)
    [[101], [1010], [0]]
    """
    ...


def windows(tokens: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """7. Cut a text into a model's inputs, and the same one token later, its targets. (N,) -> (n, length) and (n, length)

    Window i starts at token i * stride, and there are as many as fit with the token after their last: at least one.

    >>> windows([10, 11, 12, 13, 14, 15, 16, 17], 4, 2)
    ([[10, 11, 12, 13], [12, 13, 14, 15]], [[11, 12, 13, 14], [13, 14, 15, 16]])
    """
    ...


def overlap_add(g: np.ndarray, stride: int, N: int) -> np.ndarray:
    """8. The gradient of cutting windows: g of the inputs of puzzle 7, back to what they were cut from. (n, length) -> (N,)

    Windows that overlap read a number several times. With a g of ones the result says how often each is an input. (Ids
    have no gradient, but any N numbers may be cut so.)

    >>> overlap_add([[1, 1, 1, 1], [1, 1, 1, 1]], 2, 8)
    [1, 1, 2, 2, 1, 1, 0, 0]
    >>> overlap_add([[1, 2, 3, 4], [10, 20, 30, 40]], 2, 8)
    [1, 2, 13, 24, 30, 40, 0, 0]
    """
    ...


def segment_sum(g: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """9. Sum the first lengths[0] rows of g, the next lengths[1] rows, and so on. (N, D), (V,) -> (V, D)

    The lengths add up to N; a segment of length 0 sums to zeros. With the rows of g sorted by id, and counts(ids, V) as
    lengths, this is puzzle 5 without a matrix of N times V.

    >>> segment_sum([[1], [10], [100]], [1, 0, 2])
    [[1], [0], [110]]
    """
    ...


def tied_gradient(table: np.ndarray, ids: np.ndarray, g: np.ndarray) -> np.ndarray:
    """10. The gradient of a table that is used twice. (V, D), (N,), (N, V) -> (V, D)

    GPT-2 looks tokens up in its table, x = table[ids], and scores the next token with the same table, y = x @ table.T.
    A row that is used in two places gets both gradients, and they add. What a product does with g, (N, V): the gradient
    of A in A @ B is g @ B.T, that of B is A.T @ g.

    >>> tied_gradient([[1, 2], [3, 4]], [1], [[1, 10]])
    [[3, 4], [61, 82]]
    """
    ...


if __name__ == "__main__":
    from puzzles_check import main

    main(__file__)
