// Softmax and gradient of the output head, one chunk of rows at a time; the products around them are linear.cu's.
//
// Formula, z a row of logits: nats = ln(sum(exp(z))) - z[target]; dz = weight * (softmax(z) - onehot(target)).
// Shapes: z f32 [R, V]; targets u32 [R]; weights, nats f32 [R]; dz [R, 2V] (bf16) or [R, V] (f32) in the place of z:
//   element (i, j) of dz stands at i*stride + j, its bytes never ahead of those of z that are still to be read.
//   Rows to gather and scatter: chunk [R, D], all [N, D], rows u32 [R], each row once. Sum: f64 [1] of nats [N].
// Types: z f32 from fp32 accumulation; dz in the type the products take. Sums in f32 (f64 over rows).
//   A target outside the vocabulary gives NaN.
// Launch: one block of 512 a row; scatter one block of 128 a row; the sum one block.
// Bytes: nats 4*V a row; gradient 4*V twice (the second time from cache where a row fits) and sizeof(dz)*V.
// Determinism: bit-equal; fixed trees, no atomics.
#include "common/device.cuh"

extern "C" struct CrossEntropyArgs {
  float* logits;
  const uint32_t* targets;
  const float* weights;
  float* nats;
  int64_t rows, vocabulary;
  int32_t gradient_dtype;
};

extern "C" struct ScatterArgs {
  const void* chunk;
  const uint32_t* to;
  void* all;
  int64_t rows, width;
  int32_t dtype;
};

extern "C" struct SumArgs {
  const float* values;
  double* sum;
  int64_t count;
};

namespace {

constexpr int THREADS = 512, SCATTER_THREADS = 128;

// Largest logit and sum of exp(z - largest) of the block's row.
struct Softmax { float max, sum; };

__device__ inline Softmax softmax(const float* z, int64_t vocabulary) {
  const float lowest = -__uint_as_float(0x7f800000u);
  float max = lowest, sum = 0;
  for (int64_t j = threadIdx.x; j < vocabulary; j += THREADS) {
    const float x = z[j];
    if (!(x <= max)) {  // NaN goes this way and stays
      sum = (max == lowest ? 0.0f : sum * expf(max - x)) + 1.0f;
      max = x;
    } else {
      sum += x == lowest ? 0.0f : expf(x - max);
    }
  }
  const float all = block_reduce(max, Max());
  sum = block_reduce(max == lowest ? 0.0f : sum * expf(max - all), Sum());
  return Softmax{all, sum};
}

__device__ inline float row_nats(const Softmax& s, const float* z, int64_t target, int64_t vocabulary) {
  return target < vocabulary ? logf(s.sum) + (s.max - z[target]) : __uint_as_float(0x7fc00000u);
}

__global__ void __launch_bounds__(THREADS) nats_kernel(CrossEntropyArgs a) {
  const float* z = a.logits + int64_t(blockIdx.x) * a.vocabulary;
  const Softmax s = softmax(z, a.vocabulary);
  if (threadIdx.x == 0) a.nats[blockIdx.x] = row_nats(s, z, a.targets[blockIdx.x], a.vocabulary);
}

template <class T> __global__ void __launch_bounds__(THREADS) gradient_kernel(CrossEntropyArgs a) {
  float* z = a.logits + int64_t(blockIdx.x) * a.vocabulary;
  const Softmax s = softmax(z, a.vocabulary);
  const int64_t target = a.targets[blockIdx.x];
  const float weight = a.weights[blockIdx.x], scale = weight / s.sum;
  if (threadIdx.x == 0) a.nats[blockIdx.x] = row_nats(s, z, target, a.vocabulary);
  T* dz = reinterpret_cast<T*>(z);
  // Every thread reads its logit before any writes its gradient: a narrower dz stands on logits read before.
  for (int64_t first = 0; first < a.vocabulary; first += THREADS) {
    const int64_t j = first + threadIdx.x;
    const float x = j < a.vocabulary ? z[j] : 0.0f;
    __syncthreads();
    if (j < a.vocabulary) {
      const float e = expf(x - s.max);
      dz[j] = from_float<T>(j == target ? weight * (e / s.sum - 1.0f) : scale * e);
    }
  }
}

template <class T, int N> __global__ void __launch_bounds__(SCATTER_THREADS) scatter_kernel(ScatterArgs a) {
  const T* from = static_cast<const T*>(a.chunk) + int64_t(blockIdx.x) * a.width;
  T* to = static_cast<T*>(a.all) + int64_t(a.to[blockIdx.x]) * a.width;
  for (int64_t i = threadIdx.x * N; i < a.width; i += SCATTER_THREADS * N) store<N>(to + i, load<N>(from + i));
}

__global__ void __launch_bounds__(THREADS) sum_kernel(SumArgs a) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < a.count; i += THREADS) sum += a.values[i];
  sum = block_reduce(sum, Sum());
  if (threadIdx.x == 0) *a.sum = sum;
}

}  // namespace

extern "C" cudaError_t cross_entropy_nats(const CrossEntropyArgs* args, cudaStream_t stream) {
  const CrossEntropyArgs a = *args;
  if (a.rows == 0) return cudaSuccess;
  return launch(nats_kernel, unsigned(a.rows), THREADS, 0, stream, a);
}

extern "C" cudaError_t cross_entropy_gradient(const CrossEntropyArgs* args, cudaStream_t stream) {
  const CrossEntropyArgs a = *args;
  if (a.rows == 0) return cudaSuccess;
  return with_type(a.gradient_dtype, [&](auto zero) {
    return launch(gradient_kernel<decltype(zero)>, unsigned(a.rows), THREADS, 0, stream, a);
  });
}

extern "C" cudaError_t cross_entropy_scatter(const ScatterArgs* args, cudaStream_t stream) {
  const ScatterArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    auto kernel = grouped<T>(a.width, a.chunk, a.all) ? scatter_kernel<T, VECTOR<T>> : scatter_kernel<T, 1>;
    return launch(kernel, unsigned(a.rows), SCATTER_THREADS, 0, stream, a);
  });
}

// The sum over no values is written too.
extern "C" cudaError_t cross_entropy_sum(const SumArgs* args, cudaStream_t stream) {
  return launch(sum_kernel, 1, THREADS, 0, stream, *args);
}
