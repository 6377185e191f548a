// Matrix products through cuBLASLt, with accumulation.
//
// Formula: d = op(a) . op(b), or c + op(a) . op(b); row-major; op is the transpose where asked for.
// Shapes: c, d [m, n], op(a) [m, k], op(b) [k, n]; each with its row stride in elements, c with that of d. c may be d.
// Types: a, b f32 or bf16 (both the same); c, d f32 or bf16 (both the same). Accumulation in f32 (never tf32); d is rounded once.
// Launch: cuBLASLt's choice for the shape, made once by `linear_choose` and kept by the caller; where it has none (odd
//   strides of bf16), blocks of 16 x 16 threads, one an element. The emulation always takes the latter.
// FLOPs: 2*m*n*k. Determinism: bit-equal for one shape, device and library version; ways of splitting the depth that
//   add in no fixed order are excluded. Unlike on the CPU, a row's bits may depend on the number of rows.
#include "common/device.cuh"

extern "C" struct LinearArgs {
  const void *a, *b, *c;  // c: null where nothing is added
  void* d;
  int64_t m, n, k, a_stride, b_stride, d_stride;
  int32_t transpose_a, transpose_b, input_dtype, output_dtype;
  void *handle, *workspace;  // cuBLASLt's, and device memory for it
  int64_t workspace_bytes;
};

// How to compute products of one shape: cuBLASLt's choice, opaque to the caller, or our own kernel.
extern "C" struct LinearChoice {
  uint64_t data[8];
  int32_t own;
};

namespace {

constexpr int TILE = 16;

// One thread an element of d, its sum in ascending depth: for shapes and alignments that cuBLASLt does not take.
template <class In, class Out> __global__ void __launch_bounds__(TILE* TILE) product_kernel(LinearArgs a) {
  __shared__ float left[TILE][TILE + 1], right[TILE][TILE + 1];
  const In *pa = static_cast<const In*>(a.a), *pb = static_cast<const In*>(a.b);
  const int x = int(threadIdx.x) % TILE, y = int(threadIdx.x) / TILE;
  const int64_t i = int64_t(blockIdx.y) * TILE + y, j = int64_t(blockIdx.x) * TILE + x;
  float sum = 0;
  for (int64_t start = 0; start < a.k; start += TILE) {
    const int64_t p = start + x, q = start + y;
    left[y][x] = i < a.m && p < a.k ? to_float(pa[a.transpose_a ? p * a.a_stride + i : i * a.a_stride + p]) : 0.0f;
    right[y][x] = q < a.k && j < a.n ? to_float(pb[a.transpose_b ? j * a.b_stride + q : q * a.b_stride + j]) : 0.0f;
    __syncthreads();
    for (int depth = 0; depth < TILE; depth++) sum += left[y][depth] * right[depth][x];
    __syncthreads();
  }
  if (i >= a.m || j >= a.n) return;
  const int64_t at = i * a.d_stride + j;
  static_cast<Out*>(a.d)[at] = from_float<Out>(a.c ? to_float(static_cast<const Out*>(a.c)[at]) + sum : sum);
}

cudaError_t own_product(const LinearArgs& a, cudaStream_t stream) {
  const int64_t rows = (a.m + TILE - 1) / TILE, columns = (a.n + TILE - 1) / TILE;
  if (rows > 65535) return cudaErrorInvalidValue;  // a million rows in an odd shape
  return with_type(a.input_dtype, [&](auto in) {
    return with_type(a.output_dtype, [&](auto out) {
      auto kernel = product_kernel<decltype(in), decltype(out)>;
      return launch(kernel, dim3(unsigned(columns), unsigned(rows)), TILE * TILE, 0, stream, a);
    });
  });
}

}  // namespace

#ifdef RECON_EMULATED

extern "C" cudaError_t linear_handle(void** handle) {
  *handle = nullptr;
  return cudaSuccess;
}

extern "C" cudaError_t linear_choose(const LinearArgs*, LinearChoice* choice) {
  choice->own = 1;
  return cudaSuccess;
}

extern "C" cudaError_t linear_run(const LinearArgs* args, const LinearChoice*, cudaStream_t stream) {
  return own_product(*args, stream);
}

#else

#include <cublasLt.h>

namespace {

// The descriptions cuBLASLt wants, released with it. cuBLASLt is column-major: it computes the transpose of d.
struct Description {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, d = nullptr;
  cublasStatus_t status;

  explicit Description(const LinearArgs& x) {
    const cudaDataType_t in = x.input_dtype == BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cudaDataType_t out = x.output_dtype == BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasOperation_t op_a = x.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t op_b = x.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    status = cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    // Column-major, the factors change places: d^T [n, m] = op(b)^T [n, k] . op(a)^T [k, m].
    check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &op_b, sizeof op_b));
    check(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSB, &op_a, sizeof op_a));
    const bool ta = x.transpose_a, tb = x.transpose_b;
    check(cublasLtMatrixLayoutCreate(&b, in, tb ? x.k : x.n, tb ? x.n : x.k, x.b_stride));
    check(cublasLtMatrixLayoutCreate(&a, in, ta ? x.m : x.k, ta ? x.k : x.m, x.a_stride));
    check(cublasLtMatrixLayoutCreate(&d, out, x.n, x.m, x.d_stride));
  }
  ~Description() {
    if (d) cublasLtMatrixLayoutDestroy(d);
    if (a) cublasLtMatrixLayoutDestroy(a);
    if (b) cublasLtMatrixLayoutDestroy(b);
    if (product) cublasLtMatmulDescDestroy(product);
  }
  void check(cublasStatus_t next) {
    if (status == CUBLAS_STATUS_SUCCESS) status = next;
  }
};

cudaError_t of(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return cudaSuccess;
    case CUBLAS_STATUS_ALLOC_FAILED: return cudaErrorMemoryAllocation;
    case CUBLAS_STATUS_INVALID_VALUE: return cudaErrorInvalidValue;
    case CUBLAS_STATUS_NOT_SUPPORTED: return cudaErrorNotSupported;
    case CUBLAS_STATUS_ARCH_MISMATCH: return cudaErrorNoKernelImageForDevice;
    default: return cudaErrorUnknown;
  }
}

// The largest power of two up to 256 that divides the address.
uint32_t alignment(const void* pointer) {
  const uintptr_t low = reinterpret_cast<uintptr_t>(pointer) & 255;
  return low ? uint32_t(low & (0 - low)) : 256;
}

}  // namespace

// Made once for a device, never released. Host work only.
extern "C" cudaError_t linear_handle(void** handle) {
  return of(cublasLtCreate(reinterpret_cast<cublasLtHandle_t*>(handle)));
}

// The way to compute products of this shape and alignment. Host work only.
extern "C" cudaError_t linear_choose(const LinearArgs* args, LinearChoice* choice) {
  static_assert(sizeof(LinearChoice::data) == sizeof(cublasLtMatmulAlgo_t), "the caller keeps it as bytes");
  Description x(*args);
  cublasLtMatmulPreference_t wish = nullptr;
  x.check(cublasLtMatmulPreferenceCreate(&wish));
  const size_t bytes = size_t(args->workspace_bytes);
  // Splitting the depth: only ways that add in a fixed order.
  const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const uint32_t aligned_a = alignment(args->b), aligned_b = alignment(args->a), aligned_d = alignment(args->d);
  const uint32_t aligned_c = alignment(args->c ? args->c : args->d);
  auto set = [&](cublasLtMatmulPreferenceAttributes_t what, const void* value, size_t size) {
    x.check(cublasLtMatmulPreferenceSetAttribute(wish, what, value, size));
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &aligned_a, sizeof aligned_a);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &aligned_b, sizeof aligned_b);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &aligned_c, sizeof aligned_c);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &aligned_d, sizeof aligned_d);
  cublasLtMatmulHeuristicResult_t best = {};
  int found = 0;
  if (x.status == CUBLAS_STATUS_SUCCESS)
    x.status = cublasLtMatmulAlgoGetHeuristic(static_cast<cublasLtHandle_t>(args->handle), x.product, x.b, x.a, x.d,
                                              x.d, wish, 1, &best, &found);
  if (wish) cublasLtMatmulPreferenceDestroy(wish);
  const bool none = found == 0 || best.state != CUBLAS_STATUS_SUCCESS;
  choice->own = x.status == CUBLAS_STATUS_NOT_SUPPORTED || (x.status == CUBLAS_STATUS_SUCCESS && none);
  if (choice->own) return cudaSuccess;
  if (x.status != CUBLAS_STATUS_SUCCESS) return of(x.status);
  *reinterpret_cast<cublasLtMatmulAlgo_t*>(choice->data) = best.algo;
  return cudaSuccess;
}

extern "C" cudaError_t linear_run(const LinearArgs* args, const LinearChoice* choice, cudaStream_t stream) {
  if (choice->own) return own_product(*args, stream);
  const float one = 1.0f, beta = args->c ? 1.0f : 0.0f;
  Description x(*args);
  if (x.status != CUBLAS_STATUS_SUCCESS) return of(x.status);
  return of(cublasLtMatmul(static_cast<cublasLtHandle_t>(args->handle), x.product, &one, args->b, x.b, args->a, x.a,
                           &beta, args->c ? args->c : args->d, x.d, args->d, x.d,
                           reinterpret_cast<const cublasLtMatmulAlgo_t*>(choice->data), args->workspace,
                           size_t(args->workspace_bytes), stream));
}

#endif
