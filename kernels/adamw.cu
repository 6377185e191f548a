// One step of Adam with decoupled weight decay, over a flat buffer.
//
// Formula: m = b1*m + (1 - b1)*g; v = b2*v + (1 - b2)*g^2; p = p - (decay*p + step_size*m / (sqrt(v)*root + eps)),
//   with decay = lr*lambda, step_size = lr/(1 - b1^t), root = 1/sqrt(1 - b2^t) given by the caller.
// Shapes: all of `elements` elements. Types, by what the caller gives:
//   f32:        param, m, v, grad f32.
//   master:     param bf16 is the rounded copy of an f32 master; m, v, grad f32.
//   stochastic: param, m, v bf16, each rounded up or down with the probability that makes it right on average; grad f32.
// Random bits: Philox-4x32-10, key `seed`, counter (first + i)/2 and `step`, where i is the element's place: the result
//   does not depend on how the buffer is cut or launched. Arithmetic in f32.
// Launch: 256 threads a block, a thread takes two elements, blocks stride.
// Bytes an element: f32 28, master 30, stochastic 16. Determinism: elementwise.
// Source: Loshchilov and Hutter 2019; Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011.
#include "common/device.cuh"

extern "C" struct AdamWArgs {
  void* param;
  float* master;
  const float* grad;
  void *m, *v;
  int64_t elements;
  uint64_t seed, step, first;
  float beta1, one_minus_beta1, beta2, one_minus_beta2, decay, step_size, root_correction, eps;
  int32_t kind;  // 0 f32, 1 master, 2 stochastic
};

namespace {

constexpr int THREADS = 256;
constexpr int64_t BLOCKS_MAX = 132 * 16;

__device__ inline void philox(uint64_t key, uint64_t counter, uint64_t step, uint32_t out[4]) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32), c2 = uint32_t(step), c3 = uint32_t(step >> 32);
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t h0 = __umulhi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0;
    const uint32_t h1 = __umulhi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
    c0 = h1 ^ c1 ^ k0;
    c1 = l1;
    c2 = h0 ^ c3 ^ k1;
    c3 = l0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// The bf16 below or above x in magnitude, above with probability (what is cut off) / (one step of bf16).
__device__ inline bf16 round_by(float x, uint32_t random16) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return from_float<bf16>(x);
  return bf16_from_bits(uint16_t((bits + random16) >> 16));
}

struct Updated { float param, m, v; };

__device__ inline Updated update(const AdamWArgs& a, float p, float g, float m, float v) {
  m = a.beta1 * m + a.one_minus_beta1 * g;
  v = a.beta2 * v + a.one_minus_beta2 * (g * g);
  return Updated{p - (a.decay * p + a.step_size * m / (sqrtf(v) * a.root_correction + a.eps)), m, v};
}

__global__ void __launch_bounds__(THREADS) float_kernel(AdamWArgs a) {
  float *param = static_cast<float*>(a.param), *m = static_cast<float*>(a.m), *v = static_cast<float*>(a.v);
  for (int64_t i = int64_t(blockIdx.x) * THREADS + threadIdx.x; i < a.elements; i += int64_t(gridDim.x) * THREADS) {
    const Updated u = update(a, a.kind == 1 ? a.master[i] : param[i], a.grad[i], m[i], v[i]);
    m[i] = u.m;
    v[i] = u.v;
    if (a.kind == 1) {
      a.master[i] = u.param;
      static_cast<bf16*>(a.param)[i] = from_float<bf16>(u.param);
    } else {
      param[i] = u.param;
    }
  }
}

__global__ void __launch_bounds__(THREADS) stochastic_kernel(AdamWArgs a) {
  bf16 *param = static_cast<bf16*>(a.param), *m = static_cast<bf16*>(a.m), *v = static_cast<bf16*>(a.v);
  // Pairs that share random bits begin at even places of the whole buffer.
  const int64_t odd = int64_t(a.first & 1), pairs = (a.elements + odd + 1) / 2;
  for (int64_t pair = int64_t(blockIdx.x) * THREADS + threadIdx.x; pair < pairs; pair += int64_t(gridDim.x) * THREADS) {
    uint32_t random[4];
    philox(a.seed, a.first / 2 + uint64_t(pair), a.step, random);
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const int64_t i = 2 * pair + j - odd;
      if (i < 0 || i >= a.elements) continue;
      const Updated u = update(a, to_float(param[i]), a.grad[i], to_float(m[i]), to_float(v[i]));
      param[i] = round_by(u.param, j ? random[0] >> 16 : random[0] & 0xffffu);
      m[i] = round_by(u.m, j ? random[1] >> 16 : random[1] & 0xffffu);
      v[i] = round_by(u.v, j ? random[2] >> 16 : random[2] & 0xffffu);
    }
  }
}

}  // namespace

extern "C" cudaError_t adamw_step(const AdamWArgs* args, cudaStream_t stream) {
  const AdamWArgs a = *args;
  if (a.elements == 0) return cudaSuccess;
  if (a.kind == 2)
    return launch(stochastic_kernel, blocks_for(a.elements / 2 + 1, THREADS, BLOCKS_MAX), THREADS, 0, stream, a);
  return launch(float_kernel, blocks_for(a.elements, THREADS, BLOCKS_MAX), THREADS, 0, stream, a);
}
