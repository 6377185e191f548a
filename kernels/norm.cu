// Norm and scaling of flat buffers, for gradient clipping.
//
// Formula: sum of t^2; t = factor * t.
// Shapes: t of `elements` elements; partial f64 [P]; sum f64 [1].
// Types: f32 or bf16; squares and sums in f64.
// Launch: P blocks of 256 over elements/P consecutive elements each, then one block adds the P partial sums; P is the
//   caller's and a function of the size. Scaling: blocks stride.
// Bytes: one element read for each element (scaling: and written). Determinism: bit-equal; fixed trees, no atomics.
#include "common/device.cuh"

extern "C" struct NormArgs {
  void* t;
  double *partial, *sum;
  int64_t elements, partials;
  float factor;
  int32_t dtype;
};

namespace {

constexpr int THREADS = 256;
constexpr int64_t BLOCKS_MAX = 132 * 16;

template <class T, int N> __global__ void __launch_bounds__(THREADS) squares_kernel(NormArgs a) {
  const T* t = static_cast<const T*>(a.t);
  const int64_t groups = a.elements / N, each = (groups + a.partials - 1) / a.partials;
  const int64_t first = blockIdx.x * each, last = first + each < groups ? first + each : groups;
  double sum = 0;
  for (int64_t i = first + threadIdx.x; i < last; i += THREADS) {
    Group<T, N> group = load<N>(t + i * N);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const double x = to_float(group.at[j]);
      sum += x * x;
    }
  }
  sum = block_reduce(sum, Sum());
  if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(THREADS) add_kernel(const double* partial, double* out, int64_t partials) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < partials; i += THREADS) sum += partial[i];
  sum = block_reduce(sum, Sum());
  if (threadIdx.x == 0) *out = sum;
}

template <class T, int N> __global__ void __launch_bounds__(THREADS) scale_kernel(NormArgs a) {
  T* t = static_cast<T*>(a.t);
  for (int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N; i < a.elements;
       i += int64_t(gridDim.x) * THREADS * N) {
    Group<T, N> group = load<N>(t + i);
#pragma unroll
    for (int j = 0; j < N; j++) group.at[j] = from_float<T>(to_float(group.at[j]) * a.factor);
    store<N>(t + i, group);
  }
}

}  // namespace

// The sum over no elements is written too.
extern "C" cudaError_t norm_sum_of_squares(const NormArgs* args, cudaStream_t stream) {
  const NormArgs a = *args;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto kernel = grouped<T>(a.elements, a.t) ? squares_kernel<T, VECTOR<T>> : squares_kernel<T, 1>;
    cudaError_t status = launch(kernel, unsigned(a.partials), THREADS, 0, stream, a);
    if (status != cudaSuccess) return status;
    return launch(add_kernel, 1, THREADS, 0, stream, (const double*)a.partial, a.sum, a.partials);
  });
}

extern "C" cudaError_t norm_scale(const NormArgs* args, cudaStream_t stream) {
  const NormArgs a = *args;
  if (a.elements == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int N = VECTOR<T>;
    if (grouped<T>(a.elements, a.t))
      return launch(scale_kernel<T, N>, blocks_for(a.elements, THREADS * N, BLOCKS_MAX), THREADS, 0, stream, a);
    return launch(scale_kernel<T, 1>, blocks_for(a.elements, THREADS, BLOCKS_MAX), THREADS, 0, stream, a);
  });
}
