// Root-mean-square normalisation with a learned gain, and the residual sum before it.
//
// Formula: s = x + residual (where there is one); r = 1/sqrt(mean(s^2) + eps); y = s*r*w.
//   Backward, g = w*dy: dx = r*g - s*r^3/D * sum(g*s) (+ d_residual, the gradient that reaches s past the norm);
//   dw += sum over rows of dy*s*r.
// Shapes: x, residual, s, y, dy, dx, d_residual [N, D]; w [D]; r f32 [N]; dw f32 [D]; partial f32 [P, D].
// Types: f32 or bf16 for all but r, dw, partial. Sums in f32. s is rounded to its type before it is normalised, so
//   that the backward pass sees the same numbers.
// Launch: forward one block of 256 a row, the row held in shared memory; backward P blocks over N/P consecutive rows
//   each, then one thread a column adds the P partial sums of dw in order. P is the caller's and a function of N.
// Bytes: forward 2*N*D elements (4 with residual), backward 3*N*D (4 with d_residual), each row read once.
// Determinism: bit-equal; fixed trees, no atomics. dw accumulates, all else is overwritten.
#include "common/device.cuh"

extern "C" struct RmsNormForwardArgs {
  const void *x, *residual, *weight;
  void *sum, *y;
  float* inv_rms;
  int64_t rows, width;
  float eps;
  int32_t dtype;
};

extern "C" struct RmsNormBackwardArgs {
  const void *dy, *x, *weight, *d_residual;
  const float* inv_rms;
  void* dx;
  float *partial, *dweight;
  int64_t rows, width, partials;
  int32_t dtype;
};

namespace {

constexpr int THREADS = 256;

template <class T, int N, bool RESIDUAL>
__global__ void __launch_bounds__(THREADS) forward_kernel(RmsNormForwardArgs a) {
  DYNAMIC_SHARED(raw);
  float* row = reinterpret_cast<float*>(raw);
  const int64_t start = int64_t(blockIdx.x) * a.width;
  const T *x = static_cast<const T*>(a.x) + start, *residual = static_cast<const T*>(a.residual) + start;
  const T* weight = static_cast<const T*>(a.weight);
  T *sum = static_cast<T*>(a.sum) + start, *y = static_cast<T*>(a.y) + start;
  float squares = 0;
  for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N) {
    Group<T, N> group = load<N>(x + i);
    if constexpr (RESIDUAL) {
      Group<T, N> other = load<N>(residual + i);
#pragma unroll
      for (int j = 0; j < N; j++) group.at[j] = from_float<T>(to_float(group.at[j]) + to_float(other.at[j]));
      store<N>(sum + i, group);
    }
#pragma unroll
    for (int j = 0; j < N; j++) {
      float s = to_float(group.at[j]);
      row[i + j] = s;
      squares += s * s;
    }
  }
  squares = block_reduce(squares, Sum());
  const float r = 1.0f / sqrtf(squares / float(a.width) + a.eps);
  if (threadIdx.x == 0) a.inv_rms[blockIdx.x] = r;
  for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N) {
    Group<T, N> w = load<N>(weight + i), out;
#pragma unroll
    for (int j = 0; j < N; j++) out.at[j] = from_float<T>(row[i + j] * r * to_float(w.at[j]));
    store<N>(y + i, out);
  }
}

template <class T, int N, bool RESIDUAL>
__global__ void __launch_bounds__(THREADS) backward_kernel(RmsNormBackwardArgs a) {
  DYNAMIC_SHARED(raw);
  float* dw = reinterpret_cast<float*>(raw);  // each thread owns the columns it visits
  const T *weight = static_cast<const T*>(a.weight);
  for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N)
#pragma unroll
    for (int j = 0; j < N; j++) dw[i + j] = 0;
  const int64_t each = (a.rows + a.partials - 1) / a.partials, first = blockIdx.x * each;
  const int64_t last = first + each < a.rows ? first + each : a.rows;
  for (int64_t n = first; n < last; n++) {
    const T *dy = static_cast<const T*>(a.dy) + n * a.width, *x = static_cast<const T*>(a.x) + n * a.width;
    const T* d_residual = static_cast<const T*>(a.d_residual) + n * a.width;
    T* dx = static_cast<T*>(a.dx) + n * a.width;
    const float r = a.inv_rms[n];
    float dot = 0;
    for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N) {
      Group<T, N> d = load<N>(dy + i), s = load<N>(x + i), w = load<N>(weight + i);
#pragma unroll
      for (int j = 0; j < N; j++) dot += to_float(d.at[j]) * to_float(w.at[j]) * to_float(s.at[j]);
    }
    const float c = block_reduce(dot, Sum()) * (r * r) / float(a.width);
    for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N) {
      Group<T, N> d = load<N>(dy + i), s = load<N>(x + i), w = load<N>(weight + i), out;
      Group<T, N> past;
      if constexpr (RESIDUAL) past = load<N>(d_residual + i);
#pragma unroll
      for (int j = 0; j < N; j++) {
        const float dyj = to_float(d.at[j]), sj = to_float(s.at[j]);
        float value = (dyj * to_float(w.at[j]) - sj * c) * r;
        if constexpr (RESIDUAL) value += to_float(past.at[j]);
        out.at[j] = from_float<T>(value);
        dw[i + j] += dyj * (sj * r);
      }
      store<N>(dx + i, out);
    }
  }
  float* partial = a.partial + int64_t(blockIdx.x) * a.width;
  for (int64_t i = threadIdx.x * N; i < a.width; i += THREADS * N)
#pragma unroll
    for (int j = 0; j < N; j++) partial[i + j] = dw[i + j];
}

__global__ void __launch_bounds__(THREADS) add_partials(const float* partial, float* dweight, int64_t partials,
                                                        int64_t width) {
  const int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (i >= width) return;
  float sum = 0;
  for (int64_t p = 0; p < partials; p++) sum += partial[p * width + i];
  dweight[i] += sum;
}

}  // namespace

extern "C" cudaError_t rms_norm_forward(const RmsNormForwardArgs* args, cudaStream_t stream) {
  const RmsNormForwardArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool residual = a.residual != nullptr;
    const bool wide = grouped<T>(a.width, a.x, a.residual, a.weight, a.sum, a.y);
    auto kernel = residual ? (wide ? forward_kernel<T, VECTOR<T>, true> : forward_kernel<T, 1, true>)
                           : (wide ? forward_kernel<T, VECTOR<T>, false> : forward_kernel<T, 1, false>);
    return launch(kernel, unsigned(a.rows), THREADS, a.width * sizeof(float), stream, a);
  });
}

extern "C" cudaError_t rms_norm_backward(const RmsNormBackwardArgs* args, cudaStream_t stream) {
  const RmsNormBackwardArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool residual = a.d_residual != nullptr;
    const bool wide = grouped<T>(a.width, a.dy, a.x, a.weight, a.d_residual, a.dx);
    auto kernel = residual ? (wide ? backward_kernel<T, VECTOR<T>, true> : backward_kernel<T, 1, true>)
                           : (wide ? backward_kernel<T, VECTOR<T>, false> : backward_kernel<T, 1, false>);
    cudaError_t status = launch(kernel, unsigned(a.partials), THREADS, a.width * sizeof(float), stream, a);
    if (status != cudaSuccess) return status;
    return launch(add_partials, blocks_for(a.width, THREADS), THREADS, 0, stream, (const float*)a.partial, a.dweight,
                  a.partials, a.width);
  });
}
