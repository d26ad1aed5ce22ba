"""Answers to the ten puzzles of puzzles.py, one of several for each: python examples/puzzles_solutions.py checks them."""

from __future__ import annotations

import numpy as np


def gather(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    # an array of integers as index: NumPy takes one row for each
    return table[ids]


def one_hot(ids: np.ndarray, V: int) -> np.ndarray:
    # a column of ids against a row of all ids there are: (N, 1) == (V,) is compared as (N, V)
    return (ids[:, None] == np.arange(V)).astype(float)


def gather_by_product(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    # a row of zeros with one 1, times the table, is one row of the table
    return one_hot(ids, len(table)) @ table


def counts(ids: np.ndarray, V: int) -> np.ndarray:
    # column v of the one-hot matrix has a 1 for each time v occurs
    return one_hot(ids, V).sum(axis=0)


def scatter_add(g: np.ndarray, ids: np.ndarray, V: int) -> np.ndarray:
    # row v of the transposed matrix has its ones where v occurs; np.add.at(zeros, ids, g) does it without the matrix
    return one_hot(ids, V).T @ g


def position_gradient(g: np.ndarray, C: int) -> np.ndarray:
    # row t was read once by each sequence of the batch: sum over the batch; rows from T on were read by nobody
    grad = np.zeros((C, g.shape[2]))
    grad[: g.shape[1]] = g.sum(axis=0)
    return grad


def windows(tokens: np.ndarray, length: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    # where each input is read: the starts as a column, and the steps from there as a row; then a lookup, as in puzzle 1
    starts = np.arange(0, len(tokens) - length, stride)
    at = starts[:, None] + np.arange(length)
    return tokens[at], tokens[at + 1]


def overlap_add(g: np.ndarray, stride: int, N: int) -> np.ndarray:
    # windows are a lookup by those places, so their gradient is a scatter-add to the same places
    at = stride * np.arange(len(g))[:, None] + np.arange(g.shape[1])
    return scatter_add(g.reshape(-1, 1), at.reshape(-1), N)[:, 0]


def segment_sum(g: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    # all rows before an end, less all rows before its start; a row of zeros first, so that no rows sum to zero.
    # Short and exact here; among many rounded floats, a difference of two long sums keeps fewer digits
    total = np.concatenate([np.zeros((1, g.shape[1])), np.cumsum(g, axis=0)])
    ends = np.cumsum(lengths)
    return total[ends] - total[ends - lengths]


def tied_gradient(table: np.ndarray, ids: np.ndarray, g: np.ndarray) -> np.ndarray:
    # y = x @ table.T: its gradient by the table as the right factor, and by x, which the lookup's gradient takes home
    return g.T @ table[ids] + scatter_add(g @ table, ids, len(table))


if __name__ == "__main__":
    from puzzles_check import main

    main(__file__)
