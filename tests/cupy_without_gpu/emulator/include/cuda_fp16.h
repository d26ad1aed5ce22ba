// kernel.h has half.
