// Table look-up and its gradient.
//
// Formula: x[n] = table[ids[n]]; dtable[id] += sum of dx[n] over the rows n with that id.
// Shapes: ids u32 [N], table [V, D], x, dx [N, D], dtable f32 [V, D].
// Types: table, x, dx f32 or bf16; dtable f32; sums in f32, rows in ascending order.
//   An id outside the table gives a row of NaN and no gradient.
// Launch: forward one block of 128 a row. Backward one block of 256 for each row and 256*8 columns: the block of the
//   first row with an id looks for the others, 256 ids at a time, and adds them in order; the rest leave at once.
// Bytes: forward 2*N*D elements. Backward N*D elements, 8*D bytes a distinct id, and 4*N bytes of ids (from cache) a
//   distinct id. Determinism: bit-equal; one writer for each element, no atomics, no sorting.
#include "common/device.cuh"

extern "C" struct EmbeddingArgs {
  const uint32_t* ids;
  const void *table, *dx;
  void* x;
  float* dtable;
  int64_t rows, width, vocabulary;
  int32_t dtype;
};

namespace {

constexpr int FORWARD_THREADS = 128, THREADS = 256, COLUMNS = 8;

template <class T, int N> __global__ void __launch_bounds__(FORWARD_THREADS) forward_kernel(EmbeddingArgs a) {
  const int64_t row = blockIdx.x, id = a.ids[row];
  const T* from = static_cast<const T*>(a.table) + id * a.width;
  T* to = static_cast<T*>(a.x) + row * a.width;
  Group<T, N> poison;
  for (int j = 0; j < N; j++) poison.at[j] = from_float<T>(__uint_as_float(0x7fc00000u));
  for (int64_t i = threadIdx.x * N; i < a.width; i += FORWARD_THREADS * N)
    store<N>(to + i, id < a.vocabulary ? load<N>(from + i) : poison);
}

template <class T> __global__ void __launch_bounds__(THREADS) backward_kernel(EmbeddingArgs a) {
  __shared__ unsigned matches[THREADS / WARP_THREADS];
  const int64_t row = blockIdx.x, id = a.ids[row];
  const int64_t column = int64_t(blockIdx.y) * THREADS * COLUMNS + threadIdx.x;
  if (id >= a.vocabulary) return;
  // Another block owns the id if it stands in an earlier row. The nearest rows repeat most often: look there first.
  for (int64_t end = row; end > 0; end -= THREADS) {
    const int64_t at = end - 1 - int64_t(threadIdx.x);
    if (__syncthreads_or(at >= 0 && int64_t(a.ids[at < 0 ? 0 : at]) == id)) return;
  }
  float sum[COLUMNS];
#pragma unroll
  for (int j = 0; j < COLUMNS; j++) sum[j] = 0;
  for (int64_t first = row; first < a.rows; first += THREADS) {
    const int64_t at = first + threadIdx.x;
    const unsigned found = __ballot_sync(FULL_WARP, at < a.rows && int64_t(a.ids[at < a.rows ? at : 0]) == id);
    if (threadIdx.x % WARP_THREADS == 0) matches[threadIdx.x / WARP_THREADS] = found;
    __syncthreads();
    for (int warp = 0; warp < THREADS / WARP_THREADS; warp++) {
      for (unsigned left = matches[warp]; left != 0; left &= left - 1) {
        const int64_t n = first + warp * WARP_THREADS + __popc((left & (0u - left)) - 1);
        const T* dx = static_cast<const T*>(a.dx) + n * a.width;
#pragma unroll
        for (int j = 0; j < COLUMNS; j++)
          if (column + j * THREADS < a.width) sum[j] += to_float(dx[column + j * THREADS]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int j = 0; j < COLUMNS; j++)
    if (column + j * THREADS < a.width) a.dtable[id * a.width + column + j * THREADS] += sum[j];
}

}  // namespace

extern "C" cudaError_t embedding_forward(const EmbeddingArgs* args, cudaStream_t stream) {
  const EmbeddingArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto kernel = grouped<T>(a.width, a.table, a.x) ? forward_kernel<T, VECTOR<T>> : forward_kernel<T, 1>;
    return launch(kernel, unsigned(a.rows), FORWARD_THREADS, 0, stream, a);
  });
}

extern "C" cudaError_t embedding_backward(const EmbeddingArgs* args, cudaStream_t stream) {
  const EmbeddingArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const dim3 grid(unsigned(a.rows), blocks_for(a.width, THREADS * COLUMNS));
    return launch(backward_kernel<T>, grid, THREADS, 0, stream, a);
  });
}
