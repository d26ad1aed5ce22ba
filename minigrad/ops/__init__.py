"""Every primitive, forward beside backward. One room per kind; read them in this order, which is also that of imports.

convert     to another dtype, to another device
shape       the same elements elsewhere: reshape, permute, broadcast and its sum, slices and padding, joining
operands    two operands made alike
selection   where, masks, bounds, comparisons
elementwise arithmetic, and functions of one number
functions   more functions, from tables
activation  those of neural networks, in pieces
indexing    gather and scatter-add, x[...]
reduction   sums, extremes, variance
linalg      matrix products
arrange     more movements: flip, roll, diagonals, windows
windows     sliding windows, and the sum of what overlaps
positions   the relative shift, and rotation by pairs
einsum      sums of products, written as letters
sorting     sort, topk, median, unique, bincount
scattering  more writing by index
creation    new tensors, constant and random
inplace     methods that end in an underscore
adjoint     the list of adjoint pairs, for the tests
"""
