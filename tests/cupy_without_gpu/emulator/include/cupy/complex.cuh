// kernel.h declares all that is used of complex numbers.
