// What every kernel file shares: element types, launches, sums over warps and blocks, 16-byte accesses.
//
// Entry points are `extern "C" cudaError_t name(const NameArgs*, cudaStream_t)`: they check nothing that the caller
// (crates/kernels/src) has checked, never print, allocate, copy or wait, and return the status of the launch. Offsets
// are 64-bit. A call over no elements launches nothing.
#pragma once
#include <cstdint>
#include <type_traits>

#ifdef RECON_EMULATED
#include "emulation.hpp"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

constexpr int WARP_THREADS = 32;
constexpr unsigned FULL_WARP = 0xffffffffu;

// Element types as the caller names them.
enum DType : int32_t { F32 = 0, BF16 = 1 };

#ifdef RECON_EMULATED
struct bf16 { uint16_t bits; };
__device__ inline float to_float(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
__device__ inline uint16_t bf16_bits(bf16 x) { return x.bits; }
__device__ inline bf16 bf16_from_bits(uint16_t bits) { return bf16{bits}; }
#else
typedef __nv_bfloat16 bf16;
__device__ inline float to_float(bf16 x) { return __bfloat162float(x); }
__device__ inline uint16_t bf16_bits(bf16 x) { return __bfloat16_as_ushort(x); }
__device__ inline bf16 bf16_from_bits(uint16_t bits) { return __ushort_as_bfloat16(bits); }
#endif
__device__ inline float to_float(float x) { return x; }

// Round to nearest, ties to even; NaN stays NaN.
template <class T> __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x) { return x; }
#ifdef RECON_EMULATED
template <> __device__ inline bf16 from_float<bf16>(float x) {
  uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return bf16{uint16_t((bits >> 16) | 0x40)};
  return bf16{uint16_t((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}
#else
template <> __device__ inline bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }
#endif

// Elements in 16 bytes, and such a group as an array.
template <class T> constexpr int VECTOR = 16 / int(sizeof(T));
template <class T, int N> struct alignas(N * sizeof(T)) Group { T at[N]; };

template <int N, class T> __device__ inline Group<T, N> load(const T* from) {
  return *reinterpret_cast<const Group<T, N>*>(from);
}
template <int N, class T> __device__ inline void store(T* to, const Group<T, N>& group) {
  *reinterpret_cast<Group<T, N>*>(to) = group;
}

// Whether every pointer is aligned to 16 bytes and the row length divides, so that rows may be read by groups.
template <class T, class... P> inline bool grouped(int64_t row, P... pointers) {
  return row % VECTOR<T> == 0 && ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

// The kernel's dynamic shared memory.
#ifdef RECON_EMULATED
#define DYNAMIC_SHARED(name) unsigned char* name = emulation::block().shared
#else
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#endif

template <class K, class... A>
inline cudaError_t launch(K kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... arguments) {
#ifdef RECON_EMULATED
  (void)stream;
  return emulation::launch(kernel, grid, block, shared_bytes, arguments...);
#else
  // Above 48 KB a kernel must ask. Its fixed arrays count too, so it asks a little earlier.
  if (shared_bytes > 40 * 1024) {
    cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    if (status != cudaSuccess) {
      cudaGetLastError();  // taken away, or the next launch would report it as its own
      return status;
    }
  }
  kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
  return cudaGetLastError();
#endif
}

// Blocks for `work` items at `each` a block; elementwise kernels stride over the rest.
inline unsigned blocks_for(int64_t work, int64_t each, int64_t most = 0x7fffffff) {
  int64_t blocks = (work + each - 1) / each;
  return unsigned(blocks < most ? blocks : most);
}

struct Sum { template <class T> __device__ T operator()(T a, T b) const { return a + b; } };
struct Max { template <class T> __device__ T operator()(T a, T b) const { return a > b ? a : b; } };

// The same value in every lane; a fixed tree, so the same bits every time.
template <class F, class T> __device__ inline T warp_reduce(T value, F f) {
  for (int step = WARP_THREADS / 2; step > 0; step /= 2) value = f(value, __shfl_xor_sync(FULL_WARP, value, step));
  return value;
}

// The same value in every thread of a block of whole warps. Every thread must call it.
template <class F, class T> __device__ inline T block_reduce(T value, F f) {
  __shared__ T partial[WARP_THREADS];
  int warps = int(blockDim.x) / WARP_THREADS;
  value = warp_reduce(value, f);
  __syncthreads();  // the last call's readers are done
  if (threadIdx.x % WARP_THREADS == 0) partial[threadIdx.x / WARP_THREADS] = value;
  __syncthreads();
  value = partial[0];
  for (int i = 1; i < warps; i++) value = f(value, partial[i]);
  return value;
}

// Calls `f` with a value of the element type named.
template <class F> inline cudaError_t with_type(int32_t dtype, F f) {
  switch (dtype) {
    case F32: return f(float());
    case BF16: return f(bf16());
    default: return cudaErrorInvalidValue;
  }
}
