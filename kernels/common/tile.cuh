// Tiles in shared memory and the matrix unit: asynchronous copies in, products of 16-row strips, one strip a warp.
//
// A strip of 16 x N accumulators lies in registers as `float acc[N/8][4]`: with g = lane/4 and t = lane%4, acc[j] holds
// (g, 8j+2t), (g, 8j+2t+1), (g+8, 8j+2t), (g+8, 8j+2t+1). Both element types use this layout; bf16 multiplies with
// mma.sync.m16n8k16, f32 with scalar fused multiply-adds.
// Each instruction outside C++ is one function here with a twin for the emulation, after the PTX ISA's description.
#pragma once
#include "device.cuh"

// ---- instructions -------------------------------------------------------------------------------------------------

#ifdef RECON_EMULATED

__device__ inline void mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2]) {
  struct Shown { uint32_t a[4], b[2]; } mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
  float c[4] = {d[0], d[1], d[2], d[3]};
  emulation::exchange(mine, [&](auto of) {
    auto half = [](uint32_t pair, int which) { return double(to_float(bf16{uint16_t(pair >> (16 * which))})); };
    const int group = emulation::lane() / 4, thread = emulation::lane() % 4;
    for (int i = 0; i < 4; i++) {
      const int row = group + 8 * (i / 2), column = 2 * thread + i % 2;
      double sum = c[i];
      for (int k = 0; k < 16; k++) {
        const Shown left = of(row % 8 * 4 + k % 8 / 2), right = of(column * 4 + k % 8 / 2);
        sum += half(left.a[row / 8 + 2 * (k / 8)], k % 2) * half(right.b[k / 8], k % 2);
      }
      d[i] = float(sum);
    }
    return 0;
  });
}

template <bool TRANSPOSE> __device__ inline void ldmatrix_x4(uint32_t r[4], const bf16* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) emulation::stop("ldmatrix reads from an address not divisible by 16");
  emulation::exchange(row, [&](auto of) {
    const int group = emulation::lane() / 4, thread = emulation::lane() % 4;
    for (int i = 0; i < 4; i++) {
      auto at = [&](int y, int x) { return uint32_t(of(8 * i + y)[x].bits); };
      r[i] = TRANSPOSE ? at(2 * thread, group) | at(2 * thread + 1, group) << 16
                       : at(group, 2 * thread) | at(group, 2 * thread + 1) << 16;
    }
    return 0;
  });
}

// What lies at `to` between the call and the wait is undefined; here it is NaN.
__device__ inline void copy_async_16(void* to, const void* from, bool valid) {
  if ((reinterpret_cast<uintptr_t>(to) | (valid ? reinterpret_cast<uintptr_t>(from) : 0)) % 16 != 0)
    emulation::stop("cp.async with an address not divisible by 16");
  emulation::Fiber& f = emulation::fiber();
  emulation::Copy copy = {static_cast<unsigned char*>(to), {}, 16, f.groups};
  if (valid) std::memcpy(copy.bytes, from, 16);
  std::memset(to, 0xff, 16);
  f.copies.push_back(copy);
}
__device__ inline void copy_async_commit() { emulation::fiber().groups++; }
template <int PENDING> __device__ inline void copy_async_wait() {
  emulation::Fiber& f = emulation::fiber();
  size_t kept = 0;
  for (const emulation::Copy& copy : f.copies) {
    if (copy.group < f.groups - PENDING) std::memcpy(copy.to, copy.bytes, size_t(copy.size));
    else f.copies[kept++] = copy;
  }
  f.copies.resize(kept);
}

#else

__device__ inline void mma_16816(float d[4], const uint32_t a[4], const uint32_t b[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <bool TRANSPOSE> __device__ inline void ldmatrix_x4(uint32_t r[4], const bf16* row) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(row));
  if constexpr (TRANSPOSE)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

__device__ inline void copy_async_16(void* to, const void* from, bool valid) {
  const uint32_t address = uint32_t(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }
template <int PENDING> __device__ inline void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(PENDING) : "memory");
}

#endif

__device__ inline uint32_t pack(float low, float high) {
  return uint32_t(bf16_bits(from_float<bf16>(low))) | uint32_t(bf16_bits(from_float<bf16>(high))) << 16;
}

__device__ inline int lane_id() { return int(threadIdx.x) % WARP_THREADS; }
__device__ inline int warp_id() { return int(threadIdx.x) / WARP_THREADS; }

// ---- tiles --------------------------------------------------------------------------------------------------------

// Elements from one row of a tile to the next: 16 bytes more than the row, so that eight rows fall into eight banks.
template <class T, int E> constexpr int STRIDE = E + VECTOR<T>;
template <class T, int E, int ROWS> constexpr int TILE_BYTES = ROWS * STRIDE<T, E> * int(sizeof(T));

// Starts copying ROWS rows of `dim` elements (a multiple of VECTOR, at most E) into a tile. `row(i)` is the address of
// row i < rows; the rest of the tile becomes zero.
template <class T, int E, int ROWS, int THREADS, class F>
__device__ inline void load_tile(T* tile, int rows, int dim, F row) {
  constexpr int GROUPS = E / VECTOR<T>;
  for (int i = int(threadIdx.x); i < ROWS * GROUPS; i += THREADS) {
    const int y = i / GROUPS, x = i % GROUPS * VECTOR<T>;
    const bool valid = y < rows && x < dim;
    copy_async_16(tile + y * STRIDE<T, E> + x, valid ? row(y) + x : row(0), valid);
  }
}

// Two tiles of one shape, such as keys and values: what their addresses share is computed once.
template <class T, int E, int ROWS, int THREADS, class F, class G>
__device__ inline void load_tiles(T* first, T* second, int rows, int dim, F first_row, G second_row) {
  constexpr int GROUPS = E / VECTOR<T>;
  for (int i = int(threadIdx.x); i < ROWS * GROUPS; i += THREADS) {
    const int y = i / GROUPS, x = i % GROUPS * VECTOR<T>, to = y * STRIDE<T, E> + x;
    const bool valid = y < rows && x < dim;
    // Both before either copy, which the compiler must take for a write to anything.
    const T *from = first_row(valid ? y : 0), *from_second = second_row(valid ? y : 0);
    copy_async_16(first + to, valid ? from + x : from, valid);
    copy_async_16(second + to, valid ? from_second + x : from_second, valid);
  }
}

template <int N> __device__ inline void clear(float (&acc)[N][4]) {
#pragma unroll
  for (int j = 0; j < N; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) acc[j][i] = 0;
}

// acc[16, N] += a[16, K] . b[N, K]^T; both row-major tiles of width K.
template <int N, int K> __device__ inline void multiply_nt(float (&acc)[N / 8][4], const bf16* a, const bf16* b) {
  const int lane = lane_id();
  const bf16* a_row = a + (lane % 16) * STRIDE<bf16, K> + lane / 16 * 8;
  const bf16* b_row = b + (lane / 16 * 8 + lane % 8) * STRIDE<bf16, K> + lane / 8 % 2 * 8;
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    uint32_t left[4];
    ldmatrix_x4<false>(left, a_row + k);
#pragma unroll
    for (int j = 0; j < N; j += 16) {
      uint32_t right[4];
      ldmatrix_x4<false>(right, b_row + j * STRIDE<bf16, K> + k);
      mma_16816(acc[j / 8], left, right);
      mma_16816(acc[j / 8 + 1], left, right + 2);
    }
  }
}

template <int N, int K> __device__ inline void multiply_nt(float (&acc)[N / 8][4], const float* a, const float* b) {
  const int g = lane_id() / 4, t = lane_id() % 4;
  for (int k = 0; k < K; k++) {
    const float low = a[g * STRIDE<float, K> + k], high = a[(g + 8) * STRIDE<float, K> + k];
#pragma unroll
    for (int j = 0; j < N / 8; j++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float right = b[(8 * j + 2 * t + i) * STRIDE<float, K> + k];
        acc[j][i] += low * right;
        acc[j][2 + i] += high * right;
      }
  }
}

// Scratch a warp needs for `multiply_registers`: none for bf16, the strip for f32.
template <class T, int K> constexpr int SCRATCH_BYTES = sizeof(T) == 4 ? 16 * (K + 1) * 4 : 0;

// acc[16, N] += p[16, K] . b[K, N]; p in accumulator registers, rounded to bf16; b a row-major tile of width N.
template <int N, int K>
__device__ inline void multiply_registers(float (&acc)[N / 8][4], const float (&p)[K / 8][4], const bf16* b, void*) {
  const int lane = lane_id();
  const bf16* b_row = b + (lane % 16) * STRIDE<bf16, N> + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < K / 8; k += 2) {
    const uint32_t left[4] = {pack(p[k][0], p[k][1]), pack(p[k][2], p[k][3]), pack(p[k + 1][0], p[k + 1][1]),
                              pack(p[k + 1][2], p[k + 1][3])};
#pragma unroll
    for (int j = 0; j < N; j += 16) {
      uint32_t right[4];
      ldmatrix_x4<true>(right, b_row + k * 8 * STRIDE<bf16, N> + j);
      mma_16816(acc[j / 8], left, right);
      mma_16816(acc[j / 8 + 1], left, right + 2);
    }
  }
}

template <int N, int K>
__device__ inline void multiply_registers(float (&acc)[N / 8][4], const float (&p)[K / 8][4], const float* b,
                                          void* scratch) {
  float* strip = static_cast<float*>(scratch);  // this warp's, [16, K + 1]
  const int g = lane_id() / 4, t = lane_id() % 4;
  __syncwarp();
#pragma unroll
  for (int j = 0; j < K / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) strip[(g + i / 2 * 8) * (K + 1) + 8 * j + 2 * t + i % 2] = p[j][i];
  __syncwarp();
  for (int k = 0; k < K; k++) {
    const float low = strip[g * (K + 1) + k], high = strip[(g + 8) * (K + 1) + k];
#pragma unroll
    for (int j = 0; j < N / 8; j++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float right = b[k * STRIDE<float, N> + 8 * j + 2 * t + i];
        acc[j][i] += low * right;
        acc[j][2 + i] += high * right;
      }
  }
}

// Writes a strip times `factor(i)` (i = 0 for the row g, 1 for g + 8) to `row(y)`, y in 0..16, nullptr to leave it out.
template <int N, class T, class R, class F>
__device__ inline void store_strip(const float (&acc)[N / 8][4], int dim, R row, F factor) {
  const int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    T* to = row(g + 8 * i);
    if (to == nullptr) continue;
    const float scale = factor(i);
#pragma unroll
    for (int j = 0; j < N / 8; j++) {
      const int column = 8 * j + 2 * t;
      if (column >= dim) continue;
      Group<T, 2> pair = {{from_float<T>(acc[j][2 * i] * scale), from_float<T>(acc[j][2 * i + 1] * scale)}};
      store<2>(to + column, pair);
    }
  }
}

// The value summed or maximised over the four lanes that share a row of a strip.
template <class F> __device__ inline float row_reduce(float value, F f) {
  value = f(value, __shfl_xor_sync(FULL_WARP, value, 1));
  return f(value, __shfl_xor_sync(FULL_WARP, value, 2));
}
