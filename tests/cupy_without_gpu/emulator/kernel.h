// What a CUDA kernel finds before its first line, for g++: the built-in variables, barriers, atomics and mathematics.
// It is precompiled once and stays small, since every kernel pays for what is in it: C headers only, no templates of std.
#pragma once
#define _GLIBCXX_INCLUDE_NEXT_C_HEADERS  // C's own math.h and stdlib.h: the overloads are below
#include <assert.h>
#include <initializer_list>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// g++ leaves out what a kernel does not use if it is inline, so every device function is; `inline` itself must then vanish,
// as the two may stand side by side.
#define __device__ __inline__
#define inline
#define __global__
#define __host__
#define __constant__
#define __forceinline__
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("shared")))  // one block runs at a time; device.cpp soils it before each
#define __CUDACC_VER_MAJOR__ 13

typedef unsigned char uchar;
struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct double2 { double x, y; };
struct int2 { int x, y; };
static const int warpSize = 32;

// ------------------------------------------------------------------------------------------------ provided by device.cpp

extern "C" {
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
extern char dynamic_shared_memory[];
void wait_for_block();
void wait_for_warp();
struct Mailbox { char bytes[16]; };
Mailbox* mailboxes();  // one for each thread of this warp
unsigned lane();       // this thread's place in its warp
unsigned lanes_alive();
float half_to_float(unsigned short);
unsigned short float_to_half(float);
void device_assertion_failed(const char* what);
}

#undef assert
#define assert(condition) ((condition) ? (void)0 : device_assertion_failed(#condition))

// A kernel's arguments arrive as pointers to their values.
template <int... i> struct Indices {};
template <class... A, int... i>
static inline void call(void (*kernel)(A...), void** arguments, Indices<i...>) { kernel(*(A*)arguments[i]...); }
template <class... A>
static inline void call(void (*kernel)(A...), void** arguments) { call(kernel, arguments, Indices<__integer_pack(sizeof...(A))...>()); }

#define EXPORT(name, kernel) extern "C" void run_##name(void** arguments) { call(kernel, arguments); }

// Where the __shared__ variables are: the linker knows the ends of a section.
extern "C" char __start_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char *shared_start = __start_shared, *shared_stop = __stop_shared;

// ------------------------------------------------------------------------------------------------------ barriers and warps

#define __syncthreads wait_for_block
__device__ void __syncwarp(unsigned = ~0u) { wait_for_warp(); }
__device__ void __threadfence() {}
__device__ void __threadfence_block() {}

template <class T> T from_lane(T value, unsigned source) {
  static_assert(sizeof(T) <= sizeof(Mailbox), "a shuffle of more than 16 bytes");
  memcpy(&mailboxes()[lane()], &value, sizeof value);
  wait_for_warp();
  if (source < 32) memcpy((void*)&value, &mailboxes()[source], sizeof value);
  wait_for_warp();
  return value;
}
template <class T> T __shfl_sync(unsigned, T v, int source, int width = 32) {
  return from_lane(v, lane() / width * width + source % width);
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask, int width = 32) {
  unsigned source = lane() ^ mask;
  return from_lane(v, source / width <= lane() / width ? source : lane());
}
template <class T> T __shfl_down_sync(unsigned, T v, unsigned delta, int width = 32) {
  return from_lane(v, lane() % width + delta < width ? lane() + delta : lane());
}
template <class T> T __shfl_up_sync(unsigned, T v, unsigned delta, int width = 32) {
  return from_lane(v, lane() % width >= delta ? lane() - delta : lane());
}
__device__ unsigned __ballot_sync(unsigned, int predicate) {
  unsigned votes = 0;
  for (int source = 0; source < 32; source++)
    if (lanes_alive() >> source & 1) votes |= (unsigned)(from_lane(predicate, source) != 0) << source;
  return votes;
}
__device__ int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
__device__ int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// ------------------------------------------------------------------------ atomics: threads run in turns, so plain code is

#define ATOMIC(name, T, result) \
  __device__ T name(T* address, T value) { T old = *address; *address = result; return old; }
#define ATOMICS(T)                                                                                                           \
  ATOMIC(atomicMax, T, value > old ? value : old) ATOMIC(atomicMin, T, value < old ? value : old)                            \
  ATOMIC(atomicAnd, T, old & value) ATOMIC(atomicOr, T, old | value) ATOMIC(atomicXor, T, old ^ value)                       \
  ATOMIC(atomicAdd, T, old + value) ATOMIC(atomicExch, T, value)                                                             \
  __device__ T atomicCAS(T* address, T expected, T value) { T old = *address; if (old == expected) *address = value; return old; }
ATOMICS(int) ATOMICS(unsigned) ATOMICS(unsigned long long)
ATOMIC(atomicAdd, float, old + value) ATOMIC(atomicAdd, double, old + value)
ATOMIC(atomicExch, float, value)
ATOMIC(atomicSub, int, old - value) ATOMIC(atomicSub, unsigned, old - value)

// --------------------------------------------------------------------------------------------------------------- mathematics

template <class T> struct is_integer { enum { value = 0 }; };
#define INTEGER(T) template <> struct is_integer<T> { enum { value = 1 }; };
INTEGER(bool) INTEGER(char) INTEGER(signed char) INTEGER(unsigned char) INTEGER(short) INTEGER(unsigned short) INTEGER(int)
INTEGER(unsigned) INTEGER(long) INTEGER(unsigned long) INTEGER(long long) INTEGER(unsigned long long)
template <class T, bool = is_integer<T>::value> struct if_integer {};
template <class T> struct if_integer<T, true> { typedef double floating; };

// As in CUDA, f(float) is a float and f(integer) is f(double).
#define UNARY(name)                                     \
  __device__ float name(float x) { return name##f(x); } \
  template <class T> typename if_integer<T>::floating name(T x) { return name((double)x); }
UNARY(acos) UNARY(acosh) UNARY(asin) UNARY(asinh) UNARY(atan) UNARY(atanh) UNARY(cbrt) UNARY(ceil) UNARY(cos) UNARY(cosh)
UNARY(erf) UNARY(erfc) UNARY(exp) UNARY(exp2) UNARY(expm1) UNARY(fabs) UNARY(floor) UNARY(lgamma) UNARY(log) UNARY(log10)
UNARY(log1p) UNARY(log2) UNARY(rint) UNARY(round) UNARY(sin) UNARY(sinh) UNARY(sqrt) UNARY(tan) UNARY(tanh) UNARY(tgamma)
UNARY(trunc)
#define BINARY(name) __device__ float name(float x, float y) { return name##f(x, y); }
BINARY(atan2) BINARY(copysign) BINARY(fmax) BINARY(fmin) BINARY(fmod) BINARY(hypot) BINARY(nextafter) BINARY(pow)
__device__ double pow(double x, int y) { return pow(x, (double)y); }
__device__ float pow(float x, int y) { return powf(x, (float)y); }
__device__ float ldexp(float x, int e) { return ldexpf(x, e); }
__device__ float frexp(float x, int* e) { return frexpf(x, e); }
__device__ float modf(float x, float* whole) { return modff(x, whole); }
__device__ float fma(float x, float y, float z) { return fmaf(x, y, z); }
__device__ double sinpi(double x) { return sin(3.14159265358979323846 * x); }
__device__ float sinpif(float x) { return sinf(3.14159265358979323846f * x); }
__device__ float sinpi(float x) { return sinpif(x); }
__device__ double rsqrt(double x) { return 1 / sqrt(x); }
__device__ float rsqrtf(float x) { return 1 / sqrtf(x); }
__device__ float rsqrt(float x) { return rsqrtf(x); }
__device__ float __expf(float x) { return expf(x); }
__device__ float __logf(float x) { return logf(x); }
__device__ float __fdividef(float x, float y) { return x / y; }
__device__ float __fadd_rn(float x, float y) { return x + y; }
__device__ float __fmul_rn(float x, float y) { return x * y; }
__device__ double __dadd_rn(double x, double y) { return x + y; }
__device__ double __dmul_rn(double x, double y) { return x * y; }

#undef isnan
#undef isinf
#undef isfinite
#undef signbit
#define CLASSIFY(f)                                              \
  __device__ bool f(float x) { return __builtin_##f(x); }        \
  __device__ bool f(double x) { return __builtin_##f(x); }       \
  template <class T> bool f(T x) { return __builtin_##f((double)x); }
CLASSIFY(isnan) CLASSIFY(isinf) CLASSIFY(isfinite) CLASSIFY(signbit)

#define MIN_MAX(T)                                        \
  __device__ T min(T x, T y) { return y < x ? y : x; }    \
  __device__ T max(T x, T y) { return x < y ? y : x; }
MIN_MAX(int) MIN_MAX(unsigned) MIN_MAX(long) MIN_MAX(unsigned long) MIN_MAX(long long) MIN_MAX(unsigned long long)
__device__ float min(float x, float y) { return fminf(x, y); }
__device__ float max(float x, float y) { return fmaxf(x, y); }
__device__ double min(double x, double y) { return fmin(x, y); }
__device__ double max(double x, double y) { return fmax(x, y); }
__device__ double min(float x, double y) { return fmin(x, y); }
__device__ double max(float x, double y) { return fmax(x, y); }
__device__ double min(double x, float y) { return fmin(x, y); }
__device__ double max(double x, float y) { return fmax(x, y); }
__device__ long abs(long x) { return labs(x); }
__device__ long long abs(long long x) { return llabs(x); }
__device__ float abs(float x) { return fabsf(x); }
__device__ double abs(double x) { return fabs(x); }

// --------------------------------------------------------------------------------------------------------- bits and halves

template <class To, class From> To bits(From x) {
  To y;
  memcpy((void*)&y, &x, sizeof y);
  return y;
}
__device__ int __float_as_int(float x) { return bits<int>(x); }
__device__ unsigned __float_as_uint(float x) { return bits<unsigned>(x); }
__device__ float __int_as_float(int x) { return bits<float>(x); }
__device__ float __uint_as_float(unsigned x) { return bits<float>(x); }
__device__ long long __double_as_longlong(double x) { return bits<long long>(x); }
__device__ double __longlong_as_double(long long x) { return bits<double>(x); }
__device__ int __popc(unsigned x) { return __builtin_popcount(x); }
__device__ int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
__device__ int __clz(int x) { return x ? __builtin_clz(x) : 32; }
__device__ int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
__device__ int __ffs(int x) { return __builtin_ffs(x); }
__device__ int __ffsll(long long x) { return __builtin_ffsll(x); }
template <class T> T __ldg(const T* p) { return *p; }

__device__ unsigned short __float2half_rn(float x) { return float_to_half(x); }
__device__ float __half2float(unsigned short x) { return half_to_float(x); }
struct __half_raw { unsigned short x; };
struct half {
  unsigned short bits;
  half() = default;
  half(float x) : bits(float_to_half(x)) {}
  template <class T, class = typename if_integer<T>::floating> explicit half(T x) : half((float)x) {}
  explicit half(double x) : half((float)x) {}
  explicit half(__half_raw x) : bits(x.x) {}
  operator float() const { return half_to_float(bits); }
  operator __half_raw() const { return {bits}; }
};
typedef half __half;
__device__ unsigned short __half_as_ushort(half x) { return x.bits; }
__device__ half __ushort_as_half(unsigned short x) { return half(__half_raw{x}); }

// CuPy's complex numbers would triple what every kernel costs, and the engine has none; some kernels mention them.
template <class T> class complex;
template <class T> T norm(const complex<T>&);
#include <cupy/atomics.cuh>
#include <cupy/carray.cuh>
#include <cupy/math_constants.h>
