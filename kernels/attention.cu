// Causal attention over a packed row of documents, for training.
//
// Formula, inside each span and per query head h with key/value head h / (H/K): s = scale * q.k for keys up to the
//   query's row, p = softmax(s), o = p.v, lse = ln(sum(exp(s))). Backward, delta = sum(do * o):
//   ds = p * (do.v - delta), dq = scale * ds.k, dk = scale * ds^T.q, dv = p^T.do.
// Shapes: q, o, dq, do [N, H, E]; k, v, dk, dv [N, K, E]; lse, delta f32 [N, H]; E at most 128 and a multiple of 8 (bf16)
//   or 4 (f32); addresses divisible by 16. tiles u32 [T, 4]: first row, rows (up to 64), first and end row of its span;
//   the tiles that see most keys first. Rows in no tile are not written.
// Types: f32 or bf16; products accumulate in f32; p and ds are rounded to bf16 before the second product.
// Launch: 4 warps a tile of 64 rows. Forward: one block for each tile and query head. Backward: delta, one warp a row
//   and head; dq, one block for each tile of queries and query head; dk and dv, one block for each tile of keys and
//   key/value head, over the query heads that share it in order. Blocks beyond the diagonal are skipped.
// FLOPs, with S = sum over spans of length^2/2: forward 4*H*E*S, backward 14*H*E*S of which 10*H*E*S are needed: s and
//   do.v are computed in both passes, which is the price of no atomics.
// Determinism: bit-equal; each result has one writer and one order. A span's result does not depend on the others.
// Source: Dao, FlashAttention-2, 2023.
#include "common/attend.cuh"

extern "C" struct AttentionArgs {
  const void *q, *k, *v, *d_o;
  void *o, *dq, *dk, *dv;
  float *lse, *delta;
  const uint32_t* tiles;
  int64_t rows, heads, kv_heads, dim, tile_count;
  float scale;
  int32_t dtype;
};

namespace {

constexpr int WARPS = 4, THREADS = WARPS * WARP_THREADS, ROWS = 16 * WARPS;
// Queries of one step of the dk and dv pass: fewer for wide heads, whose accumulators fill the registers.
template <int E> constexpr int STEP = E > 64 ? 32 : 64;

struct Tile { int64_t first; int rows; int64_t start, end; };

__device__ inline Tile tile_at(const AttentionArgs& a, int64_t i) {
  const uint32_t* t = a.tiles + 4 * i;
  return Tile{int64_t(t[0]), int(t[1]), int64_t(t[2]), int64_t(t[3])};
}

// Row `row` of head `head` of a [N, heads, E] tensor.
template <class T> __device__ inline T* at(const void* data, int64_t row, int64_t head, int64_t heads, int64_t dim) {
  return static_cast<T*>(const_cast<void*>(data)) + (row * heads + head) * dim;
}

template <class T, int E> __global__ void __launch_bounds__(THREADS) forward_kernel(AttentionArgs a) {
  DYNAMIC_SHARED(shared);
  const Tile tile = tile_at(a, blockIdx.x);
  const int64_t head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads);
  Attended<E> result;
  attend<T, E, WARPS>(
      result, shared, tile.rows, int(a.dim), tile.start, tile.first + tile.rows, a.scale * LOG2_E,
      [&](int i) { return at<const T>(a.q, tile.first + i, head, a.heads, a.dim); },
      [&](int64_t j) { return at<const T>(a.k, j, kv_head, a.kv_heads, a.dim); },
      [&](int64_t j) { return at<const T>(a.v, j, kv_head, a.kv_heads, a.dim); },
      [&](int i) { return tile.first + i + 1; });
  const int strip = warp_id() * 16;
  store_strip<E, T>(
      result.o, int(a.dim),
      [&](int y) { return strip + y < tile.rows ? at<T>(a.o, tile.first + strip + y, head, a.heads, a.dim) : nullptr; },
      [&](int i) { return 1.0f / result.sum[i]; });
  for (int i = 0; i < 2; i++) {
    const int y = strip + lane_id() / 4 + 8 * i;
    if (lane_id() % 4 == 0 && y < tile.rows)
      a.lse[(tile.first + y) * a.heads + head] = result.max[i] * LN_2 + logf(result.sum[i]);
  }
}

template <class T> __global__ void __launch_bounds__(THREADS) delta_kernel(AttentionArgs a) {
  const int64_t at = int64_t(blockIdx.x) * WARPS + warp_id();  // row * H + head
  if (at >= a.rows * a.heads) return;
  const T *o = static_cast<const T*>(a.o) + at * a.dim, *d_o = static_cast<const T*>(a.d_o) + at * a.dim;
  float sum = 0;
  for (int64_t i = lane_id(); i < a.dim; i += WARP_THREADS) sum += to_float(o[i]) * to_float(d_o[i]);
  sum = warp_reduce(sum, Sum());
  if (lane_id() == 0) a.delta[at] = sum;
}

template <class T, int E>
constexpr int DQ_BYTES = 4 * TILE_BYTES<T, E, ROWS> + WARPS * SCRATCH_BYTES<T, KEYS>;

template <class T, int E> __global__ void __launch_bounds__(THREADS) dq_kernel(AttentionArgs a) {
  DYNAMIC_SHARED(shared);
  constexpr int TILE = ROWS * STRIDE<T, E>;
  T *q_tile = reinterpret_cast<T*>(shared), *do_tile = q_tile + TILE, *k_tile = do_tile + TILE, *v_tile = k_tile + TILE;
  unsigned char* scratch = reinterpret_cast<unsigned char*>(v_tile + TILE) + warp_id() * SCRATCH_BYTES<T, KEYS>;
  const Tile tile = tile_at(a, blockIdx.x);
  const int64_t head = blockIdx.y, kv_head = head / (a.heads / a.kv_heads), end = tile.first + tile.rows;
  const int dim = int(a.dim), strip = warp_id() * 16, g = lane_id() / 4, t = lane_id() % 4;
  load_tile<T, E, ROWS, THREADS>(q_tile, tile.rows, dim,
                                 [&](int i) { return at<const T>(a.q, tile.first + i, head, a.heads, a.dim); });
  load_tile<T, E, ROWS, THREADS>(do_tile, tile.rows, dim,
                                 [&](int i) { return at<const T>(a.d_o, tile.first + i, head, a.heads, a.dim); });
  float lse[2], delta[2];
  for (int i = 0; i < 2; i++) {
    const int y = strip + g + 8 * i;
    const int64_t from = (tile.first + (y < tile.rows ? y : 0)) * a.heads + head;
    lse[i] = a.lse[from];
    delta[i] = a.delta[from];
  }
  float dq[E / 8][4];
  clear(dq);
  for (int64_t start = tile.start; start < end; start += KEYS) {
    const int keys = int(end - start < KEYS ? end - start : KEYS);
    load_tile<T, E, KEYS, THREADS>(k_tile, keys, dim,
                                   [&](int j) { return at<const T>(a.k, start + j, kv_head, a.kv_heads, a.dim); });
    load_tile<T, E, KEYS, THREADS>(v_tile, keys, dim,
                                   [&](int j) { return at<const T>(a.v, start + j, kv_head, a.kv_heads, a.dim); });
    copy_async_commit();
    copy_async_wait<0>();
    __syncthreads();
    float s[KEYS / 8][4], dp[KEYS / 8][4];
    clear(s);
    clear(dp);
    multiply_nt<KEYS, E>(s, q_tile + strip * STRIDE<T, E>, k_tile);
    multiply_nt<KEYS, E>(dp, do_tile + strip * STRIDE<T, E>, v_tile);
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
      for (int l = 0; l < 4; l++) {
        const int y = strip + g + 8 * (l / 2);
        const bool seen = start + 8 * j + 2 * t + l % 2 <= tile.first + y && y < tile.rows;
        const float p = seen ? exp2f((s[j][l] * a.scale - lse[l / 2]) * LOG2_E) : 0.0f;
        s[j][l] = seen ? p * (dp[j][l] - delta[l / 2]) : 0.0f;
      }
    multiply_registers<E, KEYS>(dq, s, k_tile, scratch);
    __syncthreads();
  }
  store_strip<E, T>(
      dq, dim,
      [&](int y) { return strip + y < tile.rows ? at<T>(a.dq, tile.first + strip + y, head, a.heads, a.dim) : nullptr; },
      [&](int) { return a.scale; });
}

template <class T, int E>
constexpr int DKV_BYTES = 2 * TILE_BYTES<T, E, ROWS> + 2 * TILE_BYTES<T, E, STEP<E>> +
                          2 * STEP<E> * int(sizeof(float)) + WARPS * SCRATCH_BYTES<T, STEP<E>>;

template <class T, int E> __global__ void __launch_bounds__(THREADS) dkv_kernel(AttentionArgs a) {
  DYNAMIC_SHARED(shared);
  constexpr int Q = STEP<E>;
  T *k_tile = reinterpret_cast<T*>(shared), *v_tile = k_tile + ROWS * STRIDE<T, E>;
  T *q_tile = v_tile + ROWS * STRIDE<T, E>, *do_tile = q_tile + Q * STRIDE<T, E>;
  float *lse = reinterpret_cast<float*>(do_tile + Q * STRIDE<T, E>), *delta = lse + Q;
  unsigned char* scratch = reinterpret_cast<unsigned char*>(delta + Q) + warp_id() * SCRATCH_BYTES<T, Q>;
  const Tile tile = tile_at(a, a.tile_count - 1 - blockIdx.x);  // the keys that most queries see come first
  const int64_t kv_head = blockIdx.y, group = a.heads / a.kv_heads;
  const int dim = int(a.dim), strip = warp_id() * 16, g = lane_id() / 4, t = lane_id() % 4;
  load_tile<T, E, ROWS, THREADS>(k_tile, tile.rows, dim,
                                 [&](int i) { return at<const T>(a.k, tile.first + i, kv_head, a.kv_heads, a.dim); });
  load_tile<T, E, ROWS, THREADS>(v_tile, tile.rows, dim,
                                 [&](int i) { return at<const T>(a.v, tile.first + i, kv_head, a.kv_heads, a.dim); });
  float dk[E / 8][4], dv[E / 8][4];
  clear(dk);
  clear(dv);
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
    for (int64_t start = tile.first; start < tile.end; start += Q) {
      const int queries = int(tile.end - start < Q ? tile.end - start : Q);
      load_tile<T, E, Q, THREADS>(q_tile, queries, dim,
                                  [&](int i) { return at<const T>(a.q, start + i, head, a.heads, a.dim); });
      load_tile<T, E, Q, THREADS>(do_tile, queries, dim,
                                  [&](int i) { return at<const T>(a.d_o, start + i, head, a.heads, a.dim); });
      for (int i = int(threadIdx.x); i < Q; i += THREADS) {
        const int64_t from = (start + (i < queries ? i : 0)) * a.heads + head;
        lse[i] = a.lse[from];
        delta[i] = a.delta[from];
      }
      copy_async_commit();
      copy_async_wait<0>();
      __syncthreads();
      // Transposed: this warp's 16 keys against all queries of the step.
      float p[Q / 8][4], ds[Q / 8][4];
      clear(p);
      clear(ds);
      multiply_nt<Q, E>(p, k_tile + strip * STRIDE<T, E>, q_tile);
      multiply_nt<Q, E>(ds, v_tile + strip * STRIDE<T, E>, do_tile);
#pragma unroll
      for (int j = 0; j < Q / 8; j++)
#pragma unroll
        for (int l = 0; l < 4; l++) {
          const int x = 8 * j + 2 * t + l % 2;
          const bool seen = tile.first + strip + g + 8 * (l / 2) <= start + x && x < queries;
          p[j][l] = seen ? exp2f((p[j][l] * a.scale - lse[x]) * LOG2_E) : 0.0f;
          ds[j][l] = seen ? p[j][l] * (ds[j][l] - delta[x]) : 0.0f;
        }
      multiply_registers<E, Q>(dv, p, do_tile, scratch);
      multiply_registers<E, Q>(dk, ds, q_tile, scratch);
      __syncthreads();
    }
  }
  auto row = [&](void* data) {
    return [=, &a](int y) {
      return strip + y < tile.rows ? at<T>(data, tile.first + strip + y, kv_head, a.kv_heads, a.dim) : nullptr;
    };
  };
  store_strip<E, T>(dk, dim, row(a.dk), [&](int) { return a.scale; });
  store_strip<E, T>(dv, dim, row(a.dv), [&](int) { return 1.0f; });
}

// Calls `f` with the element type and the smallest tile width that holds the head.
template <class F> cudaError_t with_width(const AttentionArgs& a, F f) {
  return with_type(a.dtype, [&](auto zero) {
    if (a.dim <= 0 || a.dim > 128 || a.dim % VECTOR<decltype(zero)> != 0) return cudaErrorInvalidValue;
    if (a.dim <= 32) return f(zero, std::integral_constant<int, 32>());
    if (a.dim <= 64) return f(zero, std::integral_constant<int, 64>());
    return f(zero, std::integral_constant<int, 128>());
  });
}

}  // namespace

extern "C" cudaError_t attention_forward(const AttentionArgs* args, cudaStream_t stream) {
  const AttentionArgs a = *args;
  if (a.tile_count == 0) return cudaSuccess;
  return with_width(a, [&](auto zero, auto width) {
    using T = decltype(zero);
    constexpr int E = decltype(width)::value;
    const dim3 grid(unsigned(a.tile_count), unsigned(a.heads));
    return launch(forward_kernel<T, E>, grid, THREADS, ATTEND_BYTES<T, E, WARPS>, stream, a);
  });
}

extern "C" cudaError_t attention_backward(const AttentionArgs* args, cudaStream_t stream) {
  const AttentionArgs a = *args;
  if (a.tile_count == 0) return cudaSuccess;
  return with_width(a, [&](auto zero, auto width) {
    using T = decltype(zero);
    constexpr int E = decltype(width)::value;
    cudaError_t status = launch(delta_kernel<T>, blocks_for(a.rows * a.heads, WARPS), THREADS, 0, stream, a);
    if (status != cudaSuccess) return status;
    const dim3 queries(unsigned(a.tile_count), unsigned(a.heads)), keys(unsigned(a.tile_count), unsigned(a.kv_heads));
    status = launch(dq_kernel<T, E>, queries, THREADS, DQ_BYTES<T, E>, stream, a);
    if (status != cudaSuccess) return status;
    return launch(dkv_kernel<T, E>, keys, THREADS, DKV_BYTES<T, E>, stream, a);
  });
}
