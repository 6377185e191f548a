// The gated activation of the feed-forward block.
//
// Formula, s = 1/(1 + exp(-g)): y = g*s*u; dg = dy*u*s*(1 + g*(1 - s)), du = dy*g*s.
// Shapes: gate, up, y, dy, dgate, dup, all of `elements` elements in a row.
// Types: f32 or bf16, computed in f32. No sums.
// Launch: 256 threads a block, a thread takes 16 bytes of each operand, blocks stride.
// Bytes: forward 3, backward 5 elements an element. Determinism: elementwise.
#include "common/device.cuh"

extern "C" struct SwigluArgs {
  const void *gate, *up, *dy;
  void *y, *dgate, *dup;
  int64_t elements;
  int32_t dtype;
};

namespace {

constexpr int THREADS = 256;
constexpr int64_t BLOCKS_MAX = 132 * 16;

__device__ inline float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

template <class T, int N> __global__ void __launch_bounds__(THREADS) forward_kernel(SwigluArgs a) {
  const T *gate = static_cast<const T*>(a.gate), *up = static_cast<const T*>(a.up);
  for (int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N; i < a.elements;
       i += int64_t(gridDim.x) * THREADS * N) {
    Group<T, N> g = load<N>(gate + i), u = load<N>(up + i);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float x = to_float(g.at[j]);
      g.at[j] = from_float<T>(x * logistic(x) * to_float(u.at[j]));
    }
    store<N>(static_cast<T*>(a.y) + i, g);
  }
}

template <class T, int N> __global__ void __launch_bounds__(THREADS) backward_kernel(SwigluArgs a) {
  const T *gate = static_cast<const T*>(a.gate), *up = static_cast<const T*>(a.up), *dy = static_cast<const T*>(a.dy);
  for (int64_t i = (int64_t(blockIdx.x) * THREADS + threadIdx.x) * N; i < a.elements;
       i += int64_t(gridDim.x) * THREADS * N) {
    Group<T, N> g = load<N>(gate + i), u = load<N>(up + i), d = load<N>(dy + i);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float x = to_float(g.at[j]), s = logistic(x), slope = to_float(d.at[j]);
      g.at[j] = from_float<T>(slope * to_float(u.at[j]) * (s * (1.0f + x * (1.0f - s))));
      u.at[j] = from_float<T>(slope * (x * s));
    }
    store<N>(static_cast<T*>(a.dgate) + i, g);
    store<N>(static_cast<T*>(a.dup) + i, u);
  }
}

}  // namespace

extern "C" cudaError_t swiglu_forward(const SwigluArgs* args, cudaStream_t stream) {
  const SwigluArgs a = *args;
  if (a.elements == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int N = VECTOR<T>;
    if (grouped<T>(a.elements, a.gate, a.up, a.y))
      return launch(forward_kernel<T, N>, blocks_for(a.elements, THREADS * N, BLOCKS_MAX), THREADS, 0, stream, a);
    return launch(forward_kernel<T, 1>, blocks_for(a.elements, THREADS, BLOCKS_MAX), THREADS, 0, stream, a);
  });
}

extern "C" cudaError_t swiglu_backward(const SwigluArgs* args, cudaStream_t stream) {
  const SwigluArgs a = *args;
  if (a.elements == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int N = VECTOR<T>;
    if (grouped<T>(a.elements, a.gate, a.up, a.dy, a.dgate, a.dup))
      return launch(backward_kernel<T, N>, blocks_for(a.elements, THREADS * N, BLOCKS_MAX), THREADS, 0, stream, a);
    return launch(backward_kernel<T, 1>, blocks_for(a.elements, THREADS, BLOCKS_MAX), THREADS, 0, stream, a);
  });
}
