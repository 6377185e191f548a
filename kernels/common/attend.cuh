// The forward pass of attention for one tile of queries: an online softmax over blocks of keys.
//
// Used by attention.cu (keys lie in the packed row) and paged.cu (keys lie in pages). WARPS strips of 16 queries; key
// blocks of 64 begin at the first key given; K and V of the next block are copied while this one is used (bf16).
// A key a row must not see adds exactly zero, so a row's result does not depend on the tile's other rows.
// Source: Dao, FlashAttention-2, 2023; Milakov and Gimelshein, Online normalizer calculation for softmax, 2018.
#pragma once
#include "tile.cuh"

constexpr int KEYS = 64;
constexpr float LOG2_E = 1.4426950408889634f, LN_2 = 0.6931471805599453f;

template <class T> constexpr int STAGES = sizeof(T) == 2 ? 2 : 1;
template <class T, int E, int WARPS>
constexpr int ATTEND_BYTES =
    TILE_BYTES<T, E, 16 * WARPS> + 2 * STAGES<T> * TILE_BYTES<T, E, KEYS> + WARPS * SCRATCH_BYTES<T, KEYS>;

// What a thread holds of its strip at the end: sums of p*v, and for its two rows the largest score (base 2) and the
// sum of p.
template <int E> struct Attended { float o[E / 8][4], max[2], sum[2]; };

// `query(i)` for i < rows, `key(j)` and `value(j)` for first <= j < end are addresses of rows of `dim` elements;
// `seen(i)` is one past the last key that query i sees; `scale_log2` is scale * log2(e).
template <class T, int E, int WARPS, class Q, class K, class V, class S>
__device__ inline void attend(Attended<E>& out, unsigned char* shared, int rows, int dim, int64_t first, int64_t end,
                              float scale_log2, Q query, K key, V value, S seen) {
  constexpr int THREADS = WARPS * WARP_THREADS, TILE = KEYS * STRIDE<T, E>;
  T* q_tile = reinterpret_cast<T*>(shared);
  T* k_tile = q_tile + 16 * WARPS * STRIDE<T, E>;
  T* v_tile = k_tile + STAGES<T> * TILE;
  unsigned char* scratch = reinterpret_cast<unsigned char*>(v_tile + STAGES<T> * TILE);
  scratch += warp_id() * SCRATCH_BYTES<T, KEYS>;
  auto fetch = [&](int64_t start, int stage) {
    const int count = int(end - start < KEYS ? end - start : KEYS);
    load_tiles<T, E, KEYS, THREADS>(
        k_tile + stage * TILE, v_tile + stage * TILE, count, dim, [&](int j) { return key(start + j); },
        [&](int j) { return value(start + j); });
  };
  const int g = lane_id() / 4, t = lane_id() % 4;
  const float lowest = -__uint_as_float(0x7f800000u);
  clear(out.o);
  int limit[2];  // counted from `first`
  for (int i = 0; i < 2; i++) {
    out.max[i] = lowest;
    out.sum[i] = 0;
    const int64_t last = seen(warp_id() * 16 + g + 8 * i);
    limit[i] = int((last < end ? last : end) - first);
  }
  if (first >= end) return;
  load_tile<T, E, 16 * WARPS, THREADS>(q_tile, rows, dim, query);
  fetch(first, 0);
  copy_async_commit();
  int stage = 0;
  for (int64_t start = first; start < end; start += KEYS) {
    const bool more = start + KEYS < end;
    if constexpr (STAGES<T> == 2) {
      if (more) fetch(start + KEYS, stage ^ 1);
      copy_async_commit();
      copy_async_wait<1>();
    } else {
      copy_async_wait<0>();
    }
    __syncthreads();
    float s[KEYS / 8][4];
    clear(s);
    multiply_nt<KEYS, E>(s, q_tile + warp_id() * 16 * STRIDE<T, E>, k_tile + stage * TILE);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float max = out.max[i];
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int l = 2 * i; l < 2 * i + 2; l++) {
          const int position = int(start - first) + 8 * j + 2 * t + l % 2;
          s[j][l] = position < limit[i] ? s[j][l] * scale_log2 : lowest;
          max = s[j][l] > max ? s[j][l] : max;
        }
      max = row_reduce(max, Max());
      // A row that has seen no key yet keeps zeros: exp2(lowest - 0) is 0.
      const float base = max == lowest ? 0.0f : max, shrink = exp2f(out.max[i] - base);
      float sum = 0;
#pragma unroll
      for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
        for (int l = 2 * i; l < 2 * i + 2; l++) {
          s[j][l] = exp2f(s[j][l] - base);
          sum += s[j][l];
        }
      out.sum[i] = out.sum[i] * shrink + row_reduce(sum, Sum());
      out.max[i] = max;
#pragma unroll
      for (int j = 0; j < E / 8; j++) {
        out.o[j][2 * i] *= shrink;
        out.o[j][2 * i + 1] *= shrink;
      }
    }
    multiply_registers<E, KEYS>(out.o, s, v_tile + stage * TILE, scratch);
    __syncthreads();
    if constexpr (STAGES<T> == 2) {
      stage ^= 1;
    } else if (more) {
      fetch(start + KEYS, 0);
      copy_async_commit();
    }
  }
  copy_async_wait<0>();
}
