// cuBLAS of the emulator: the products that CuPy's matmul, dot, tensordot and einsum call. Matrices are column-major.
//
// Every element of a product is summed in the order of k, in blocks, in float64 for float64 and else in float32; cuBLAS has
// blocks of its own, and FMA. What is missing here build.py fills with functions that return CUBLAS_STATUS_NOT_SUPPORTED.
#include <cstdint>
#include <cstring>
#include <vector>

typedef int Status;
typedef long long Long;
static const Status OK = 0, NOT_SUPPORTED = 15;

enum Type { F32 = 0, F64 = 1, F16 = 2, BF16 = 14 };  // cudaDataType
static bool known(int type) { return type == F32 || type == F64 || type == F16 || type == BF16; }
static size_t size_of(int type) { return type == F64 ? 8 : type == F32 ? 4 : 2; }

template <class T> static T bits(const void* from) {
  T value;
  memcpy(&value, from, sizeof value);
  return value;
}

template <class T> static T load(const void* p, int type, Long i) {
  switch (type) {
    case F32: return ((const float*)p)[i];
    case F64: return ((const double*)p)[i];
    case F16: return ((const _Float16*)p)[i];
  }
  const uint32_t high_half = (uint32_t)((const uint16_t*)p)[i] << 16;
  return bits<float>(&high_half);
}

template <class T> static void store(void* p, int type, Long i, T value) {
  switch (type) {
    case F32: ((float*)p)[i] = value; return;
    case F64: ((double*)p)[i] = value; return;
    case F16: ((_Float16*)p)[i] = value; return;
  }
  const float single = value;
  const uint32_t u = bits<uint32_t>(&single);
  ((uint16_t*)p)[i] = (u + 0x7fff + (u >> 16 & 1)) >> 16;  // round to even
}

struct Matrix {
  const void* data;
  int type, ld, transposed;
  template <class T> T at(Long row, Long column) const {
    return load<T>(data, type, transposed ? row * ld + column : column * ld + row);
  }
};

// C = alpha A B + beta C, A (m, k) and B (k, n). A is copied into panels of ROWS rows and B of COLUMNS columns, so that the
// innermost loops have constant bounds and the compiler keeps a tile of C in registers.
template <class T> static void gemm(int m, int n, int k, T alpha, Matrix a, Matrix b, T beta, Matrix c) {
  constexpr int ROWS = 32 / sizeof(T), COLUMNS = 4;
  const int row_panels = (m + ROWS - 1) / ROWS, column_panels = (n + COLUMNS - 1) / COLUMNS;
  std::vector<T> packed_a((size_t)row_panels * k * ROWS), packed_b((size_t)column_panels * k * COLUMNS);
  for (int l = 0; l < k; l++)
    for (int i = 0; i < m; i++) packed_a[((size_t)(i / ROWS) * k + l) * ROWS + i % ROWS] = a.at<T>(i, l);
  for (int j = 0; j < n; j++)
    for (int l = 0; l < k; l++) packed_b[((size_t)(j / COLUMNS) * k + l) * COLUMNS + j % COLUMNS] = b.at<T>(l, j);
  for (int jp = 0; jp < column_panels; jp++)
    for (int ip = 0; ip < row_panels; ip++) {
      T sum[COLUMNS][ROWS] = {};
      const T *pa = &packed_a[(size_t)ip * k * ROWS], *pb = &packed_b[(size_t)jp * k * COLUMNS];
      for (int block = 0; block < k; block += 256) {
        T part[COLUMNS][ROWS] = {};
        for (int l = block; l < k && l < block + 256; l++, pa += ROWS, pb += COLUMNS)
          for (int j = 0; j < COLUMNS; j++)
            for (int i = 0; i < ROWS; i++) part[j][i] += pa[i] * pb[j];
        for (int j = 0; j < COLUMNS; j++)
          for (int i = 0; i < ROWS; i++) sum[j][i] += part[j][i];
      }
      for (int j = 0; j < COLUMNS && jp * COLUMNS + j < n; j++)
        for (int i = 0; i < ROWS && ip * ROWS + i < m; i++) {
          const Long place = (Long)(jp * COLUMNS + j) * c.ld + ip * ROWS + i;
          T value = alpha * sum[j][i];
          if (beta != 0) value += beta * load<T>(c.data, c.type, place);
          store<T>((void*)c.data, c.type, place, value);
        }
    }
}

template <class T>
static Status batched(int ta, int tb, int m, int n, int k, T alpha, const void* a, int a_type, int lda, Long a_step, const void* b,
                      int b_type, int ldb, Long b_step, T beta, void* c, int c_type, int ldc, Long c_step, int batch) {
  if (!known(a_type) || !known(b_type) || !known(c_type)) return NOT_SUPPORTED;
  for (int i = 0; i < batch; i++)
    gemm<T>(m, n, k, alpha, {(const char*)a + i * a_step * size_of(a_type), a_type, lda, ta},
            {(const char*)b + i * b_step * size_of(b_type), b_type, ldb, tb}, beta,
            {(const char*)c + i * c_step * size_of(c_type), c_type, ldc, 0});
  return OK;
}

template <class T>
static Status gemv(int transposed, int m, int n, T alpha, const T* a, int lda, const T* x, int x_step, T beta, T* y, int y_step) {
  const int rows = transposed ? n : m, columns = transposed ? m : n;
  for (int i = 0; i < rows; i++) {
    T sum = 0;
    for (int l = 0; l < columns; l++) sum += (transposed ? a[(Long)i * lda + l] : a[(Long)l * lda + i]) * x[l * x_step];
    y[i * y_step] = alpha * sum + (beta != 0 ? beta * y[i * y_step] : 0);
  }
  return OK;
}

template <class T> static Status dot(int n, const T* x, int x_step, const T* y, int y_step, T* result) {
  *result = 0;
  for (int i = 0; i < n; i++) *result += x[i * x_step] * y[i * y_step];
  return OK;
}

template <class T>
static Status geam(int ta, int tb, int m, int n, T alpha, const T* a, int lda, T beta, const T* b, int ldb, T* c, int ldc) {
  for (int j = 0; j < n; j++)
    for (int i = 0; i < m; i++) {
      T value = 0;  // a matrix whose factor is 0 is not read
      if (alpha != 0) value += alpha * (ta ? a[(Long)i * lda + j] : a[(Long)j * lda + i]);
      if (beta != 0) value += beta * (tb ? b[(Long)i * ldb + j] : b[(Long)j * ldb + i]);
      c[(Long)j * ldc + i] = value;
    }
  return OK;
}

extern "C" {
static int pointer_mode, math_mode;
static void* stream;
Status cublasCreate_v2(void** handle) { return *handle = &stream, OK; }
Status cublasDestroy_v2(void*) { return OK; }
Status cublasGetVersion_v2(void*, int* version) { return *version = 130000, OK; }
Status cublasSetStream_v2(void*, void* s) { return stream = s, OK; }
Status cublasGetStream_v2(void*, void** s) { return *s = stream, OK; }
Status cublasSetWorkspace_v2(void*, void*, size_t) { return OK; }
Status cublasSetPointerMode_v2(void*, int mode) { return pointer_mode = mode, OK; }
Status cublasGetPointerMode_v2(void*, int* mode) { return *mode = pointer_mode, OK; }
Status cublasSetMathMode(void*, int mode) { return math_mode = mode, OK; }
Status cublasGetMathMode(void*, int* mode) { return *mode = math_mode, OK; }

#define OF_BOTH(define) define(S, float, F32) define(D, double, F64)
#define TYPED(S, T, TYPE)                                                                                                      \
  Status cublas##S##gemm_v2(void*, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda, const T* b,       \
                            int ldb, const T* beta, T* c, int ldc) {                                                           \
    return batched<T>(ta, tb, m, n, k, *alpha, a, TYPE, lda, 0, b, TYPE, ldb, 0, *beta, c, TYPE, ldc, 0, 1);                   \
  }                                                                                                                            \
  Status cublas##S##gemmStridedBatched(void*, int ta, int tb, int m, int n, int k, const T* alpha, const T* a, int lda,        \
                                       Long a_step, const T* b, int ldb, Long b_step, const T* beta, T* c, int ldc,            \
                                       Long c_step, int batch) {                                                               \
    return batched<T>(ta, tb, m, n, k, *alpha, a, TYPE, lda, a_step, b, TYPE, ldb, b_step, *beta, c, TYPE, ldc, c_step, batch); \
  }                                                                                                                            \
  Status cublas##S##gemmBatched(void*, int ta, int tb, int m, int n, int k, const T* alpha, const T* const* a, int lda,        \
                                const T* const* b, int ldb, const T* beta, T* const* c, int ldc, int batch) {                  \
    for (int i = 0; i < batch; i++)                                                                                            \
      gemm<T>(m, n, k, *alpha, {a[i], TYPE, lda, ta}, {b[i], TYPE, ldb, tb}, *beta, {c[i], TYPE, ldc, 0});                     \
    return OK;                                                                                                                 \
  }                                                                                                                            \
  Status cublas##S##gemv_v2(void*, int t, int m, int n, const T* alpha, const T* a, int lda, const T* x, int x_step,           \
                            const T* beta, T* y, int y_step) {                                                                 \
    return gemv<T>(t, m, n, *alpha, a, lda, x, x_step, *beta, y, y_step);                                                      \
  }                                                                                                                            \
  Status cublas##S##dot_v2(void*, int n, const T* x, int x_step, const T* y, int y_step, T* result) {                          \
    return dot<T>(n, x, x_step, y, y_step, result);                                                                            \
  }                                                                                                                            \
  Status cublas##S##geam(void*, int ta, int tb, int m, int n, const T* alpha, const T* a, int lda, const T* beta, const T* b,  \
                         int ldb, T* c, int ldc) {                                                                             \
    return geam<T>(ta, tb, m, n, *alpha, a, lda, *beta, b, ldb, c, ldc);                                                       \
  }
OF_BOTH(TYPED)

static bool in_float64(int compute) { return compute == 70 || compute == 71; }  // CUBLAS_COMPUTE_64F and its _PEDANTIC
static bool in_float16(int compute) { return compute == 64 || compute == 65; }

Status cublasGemmStridedBatchedEx(void*, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int a_type,
                                  int lda, Long a_step, const void* b, int b_type, int ldb, Long b_step, const void* beta,
                                  void* c, int c_type, int ldc, Long c_step, int batch, int compute, int) {
  if (in_float16(compute)) return NOT_SUPPORTED;
  if (in_float64(compute))
    return batched<double>(ta, tb, m, n, k, *(double*)alpha, a, a_type, lda, a_step, b, b_type, ldb, b_step, *(double*)beta, c,
                           c_type, ldc, c_step, batch);
  return batched<float>(ta, tb, m, n, k, *(float*)alpha, a, a_type, lda, a_step, b, b_type, ldb, b_step, *(float*)beta, c, c_type,
                        ldc, c_step, batch);
}
Status cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int a_type, int lda,
                    const void* b, int b_type, int ldb, const void* beta, void* c, int c_type, int ldc, int compute, int which) {
  return cublasGemmStridedBatchedEx(handle, ta, tb, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0,
                                    1, compute, which);
}
Status cublasSgemmEx(void*, int ta, int tb, int m, int n, int k, const float* alpha, const void* a, int a_type, int lda,
                     const void* b, int b_type, int ldb, const float* beta, void* c, int c_type, int ldc) {
  return batched<float>(ta, tb, m, n, k, *alpha, a, a_type, lda, 0, b, b_type, ldb, 0, *beta, c, c_type, ldc, 0, 1);
}
Status cublasDotEx(void*, int n, const void* x, int x_type, int x_step, const void* y, int y_type, int y_step, void* result,
                   int result_type, int) {
  if (!known(x_type) || !known(y_type) || !known(result_type) || x_type == F64) return NOT_SUPPORTED;
  float sum = 0;
  for (int i = 0; i < n; i++) sum += load<float>(x, x_type, (Long)i * x_step) * load<float>(y, y_type, (Long)i * y_step);
  store<float>(result, result_type, 0, sum);
  return OK;
}
}
