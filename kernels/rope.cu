// Rotary position embedding, the "rotate half" convention.
//
// Formula: (a, b) = (x[i], x[i + E/2]), angle = position * f[i]; y[i] = a*cos - b*sin, y[i + E/2] = b*cos + a*sin.
//   The backward pass rotates by the negative angle.
// Shapes: x, y [N, H, E]; positions u32 [N]; cos, sin f32 [P, E/2]. A position outside the table gives a row of NaN.
// Types: x, y f32 or bf16; table f32 (computed in f64 by the caller). No sums.
// Launch: one block of 128 a row; a thread takes 16 bytes of each half.
// Bytes: 2*N*H*E elements, and the table's rows from cache. Determinism: elementwise.
#include "common/device.cuh"

extern "C" struct RopeArgs {
  const void* x;
  const float *cos, *sin;
  const uint32_t* positions;
  void* y;
  int64_t rows, heads, half, table_rows;
  int32_t inverse, dtype;
};

namespace {

constexpr int THREADS = 128;

template <class T, int N> __global__ void __launch_bounds__(THREADS) rotate_kernel(RopeArgs a) {
  const int64_t row = blockIdx.x;
  const int groups = int(a.half / N), all = int(a.heads) * groups;  // 32 bits: a division for every 32 bytes
  const int64_t position = a.positions[row];
  const bool known = position < a.table_rows;
  const float sign = a.inverse ? -1.0f : 1.0f, poison = __uint_as_float(0x7fc00000u);
  for (int i = int(threadIdx.x); i < all; i += THREADS) {
    const int64_t at = i % groups * N, head = (row * a.heads + i / groups) * 2 * a.half;
    const T* x = static_cast<const T*>(a.x) + head + at;
    T* y = static_cast<T*>(a.y) + head + at;
    Group<T, N> first = load<N>(x), second = load<N>(x + a.half);
#pragma unroll
    for (int j = 0; j < N; j++) {
      const float c = known ? a.cos[position * a.half + at + j] : poison;
      const float s = known ? a.sin[position * a.half + at + j] * sign : poison;
      const float p = to_float(first.at[j]), q = to_float(second.at[j]);
      // Fused as written: the compiler may choose which product to round, and differently in each of its loops.
      first.at[j] = from_float<T>(fmaf(p, c, -(q * s)));
      second.at[j] = from_float<T>(fmaf(q, c, p * s));
    }
    store<N>(y, first);
    store<N>(y + a.half, second);
  }
}

}  // namespace

extern "C" cudaError_t rope_rotate(const RopeArgs* args, cudaStream_t stream) {
  const RopeArgs a = *args;
  if (a.rows == 0 || a.heads == 0 || a.half == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto kernel = grouped<T>(a.half, a.x, a.y) ? rotate_kernel<T, VECTOR<T>> : rotate_kernel<T, 1>;
    return launch(kernel, unsigned(a.rows), THREADS, 0, stream, a);
  });
}
