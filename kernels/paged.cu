// Keys and values in fixed-size pages: writing them, and causal attention of token runs to them, for serving.
//
// Formula: as attention.cu; query i of a run stands at position first_position + i and sees keys 0..=position.
// Shapes: q, o [N, H, E]; k, v [N, K, E]; pages [P, S, K, E]; slots u32 [N], a slot is page * S + offset; page_table u32:
//   the pages of all runs, one run after another; position p of a run lies in slot p % S of its page p / S.
//   tiles u32 [T, 5]: first row, positions, first position, the run's place in page_table, first partial row.
// Types: f32 or bf16, as attention.cu.
// Launch: write, one block of 128 a row. Attention, rows of a tile are (position, head of the group) pairs of one
//   key/value head, as many positions as fit: 64 rows and 4 warps for long runs (splits = 1); 16 rows and one warp for
//   short ones, one block for every SPLIT keys, whose partial results a second kernel joins in order.
//   partial f32 [splits, R, E + 2] with R partial rows: (o, max, sum) of each.
// Bytes: write 4*N*K*E elements; decode 2*K*E elements a visible key (from cache for the splits' tiles that share it).
// Determinism: bit-equal; a row's result depends on its own keys and on whether its run is long or short, on nothing
//   else in the call: key blocks begin at position 0, splits at multiples of SPLIT.
#include "common/attend.cuh"

extern "C" struct PagedWriteArgs {
  const void *k, *v;
  const uint32_t* slots;
  void *k_pages, *v_pages;
  int64_t rows, width, slot_count;  // width = K * E
  int32_t dtype;
};

extern "C" struct PagedAttentionArgs {
  const void *q, *k_pages, *v_pages;
  void* o;
  float* partial;
  const uint32_t *tiles, *page_table;
  int64_t heads, kv_heads, dim, page_slots, tile_count, splits, partial_rows;
  float scale;
  int32_t is_short, dtype;
};

namespace {

constexpr int WRITE_THREADS = 128, LONG_WARPS = 4;
constexpr int64_t SPLIT = 1024;

template <class T, int N> __global__ void __launch_bounds__(WRITE_THREADS) write_kernel(PagedWriteArgs a) {
  const int64_t row = blockIdx.x, slot = a.slots[row];
  if (slot >= a.slot_count) return;
  const T *k = static_cast<const T*>(a.k) + row * a.width, *v = static_cast<const T*>(a.v) + row * a.width;
  T *k_to = static_cast<T*>(a.k_pages) + slot * a.width, *v_to = static_cast<T*>(a.v_pages) + slot * a.width;
  for (int64_t i = threadIdx.x * N; i < a.width; i += WRITE_THREADS * N) {
    store<N>(k_to + i, load<N>(k + i));
    store<N>(v_to + i, load<N>(v + i));
  }
}

struct Tile { int64_t row; int positions; int64_t first_position; const uint32_t* pages; int64_t partial; };

__device__ inline Tile tile_at(const PagedAttentionArgs& a, int64_t i) {
  const uint32_t* t = a.tiles + 5 * i;
  return Tile{int64_t(t[0]), int(t[1]), int64_t(t[2]), a.page_table + t[3], int64_t(t[4])};
}

template <class T, int E, int WARPS>
__global__ void __launch_bounds__(WARPS* WARP_THREADS) attention_kernel(PagedAttentionArgs a) {
  DYNAMIC_SHARED(shared);
  const Tile tile = tile_at(a, blockIdx.x);
  const int64_t kv_head = blockIdx.y, dim = a.dim;
  const int group = int(a.heads / a.kv_heads), rows = tile.positions * group;
  const bool split = a.splits > 1;
  const int64_t all = tile.first_position + tile.positions;
  const int64_t first = split ? int64_t(blockIdx.z) * SPLIT : 0;
  const int64_t end = split && first + SPLIT < all ? first + SPLIT : all;
  auto place = [&](int y) { return ((tile.row + y / group) * a.heads + kv_head * group + y % group) * dim; };
  // Positions and slots fit into 32 bits, where a division takes a tenth of the instructions; every 16 bytes need one.
  const uint32_t page_slots = uint32_t(a.page_slots);
  auto slot = [&](int64_t j) {
    const uint32_t page = uint32_t(j) / page_slots, offset = uint32_t(j) - page * page_slots;
    return ((int64_t(tile.pages[page]) * page_slots + offset) * a.kv_heads + kv_head) * dim;
  };
  Attended<E> result;
  attend<T, E, WARPS>(
      result, shared, rows, int(dim), first, end, a.scale * LOG2_E,
      [&](int i) { return static_cast<const T*>(a.q) + place(i); },
      [&](int64_t j) { return static_cast<const T*>(a.k_pages) + slot(j); },
      [&](int64_t j) { return static_cast<const T*>(a.v_pages) + slot(j); },
      [&](int i) { return tile.first_position + i / group + 1; });
  const int strip = warp_id() * 16;
  if (!split) {
    store_strip<E, T>(
        result.o, int(dim),
        [&](int y) { return strip + y < rows ? static_cast<T*>(a.o) + place(strip + y) : nullptr; },
        [&](int i) { return 1.0f / result.sum[i]; });
    return;
  }
  // Partial row y of this tile and head: [splits, partial rows, E + 2].
  auto partial = [&](int y) {
    const int64_t row = (tile.partial + y / group) * a.heads + kv_head * group + y % group;
    return a.partial + (int64_t(blockIdx.z) * a.partial_rows + row) * (dim + 2);
  };
  store_strip<E, float>(
      result.o, int(dim), [&](int y) { return strip + y < rows ? partial(strip + y) : nullptr; },
      [&](int) { return 1.0f; });
  for (int i = 0; i < 2; i++) {
    const int y = strip + lane_id() / 4 + 8 * i;
    if (lane_id() % 4 == 0 && y < rows) {
      partial(y)[dim] = result.max[i];
      partial(y)[dim + 1] = result.sum[i];
    }
  }
}

// One block a tile and query head, one position after another; a thread owns columns.
template <class T> __global__ void __launch_bounds__(WARP_THREADS) join_kernel(PagedAttentionArgs a) {
  const Tile tile = tile_at(a, blockIdx.x);
  const int64_t head = blockIdx.y, width = a.dim + 2;
  for (int y = 0; y < tile.positions; y++) {
    const float* from = a.partial + ((tile.partial + y) * a.heads + head) * width;
    const int64_t splits = (tile.first_position + y) / SPLIT + 1, next = a.partial_rows * width;
    float max = from[a.dim];
    for (int64_t s = 1; s < splits; s++) max = from[s * next + a.dim] > max ? from[s * next + a.dim] : max;
    for (int64_t i = threadIdx.x; i < a.dim; i += WARP_THREADS) {
      float o = 0, sum = 0;
      for (int64_t s = 0; s < splits; s++) {
        const float share = exp2f(from[s * next + a.dim] - max);
        o += share * from[s * next + i];
        sum += share * from[s * next + a.dim + 1];
      }
      // The same bits as without splits, where there is one: a reciprocal, then a product.
      static_cast<T*>(a.o)[((tile.row + y) * a.heads + head) * a.dim + i] = from_float<T>(o * (1.0f / sum));
    }
  }
}

template <class T, int E> cudaError_t attention(const PagedAttentionArgs& a, cudaStream_t stream) {
  const dim3 grid(unsigned(a.tile_count), unsigned(a.kv_heads), unsigned(a.splits));
  if (!a.is_short)
    return launch(attention_kernel<T, E, LONG_WARPS>, grid, LONG_WARPS * WARP_THREADS, ATTEND_BYTES<T, E, LONG_WARPS>,
                  stream, a);
  cudaError_t status = launch(attention_kernel<T, E, 1>, grid, WARP_THREADS, ATTEND_BYTES<T, E, 1>, stream, a);
  if (status != cudaSuccess || a.splits == 1) return status;
  const dim3 rows(unsigned(a.tile_count), unsigned(a.heads));
  return launch(join_kernel<T>, rows, WARP_THREADS, 0, stream, a);
}

}  // namespace

extern "C" cudaError_t paged_write(const PagedWriteArgs* args, cudaStream_t stream) {
  const PagedWriteArgs a = *args;
  if (a.rows == 0 || a.width == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool wide = grouped<T>(a.width, a.k, a.v, a.k_pages, a.v_pages);
    return launch(wide ? write_kernel<T, VECTOR<T>> : write_kernel<T, 1>, unsigned(a.rows), WRITE_THREADS, 0, stream, a);
  });
}

// Keys of one split, for the caller's `splits`: the longest position's number of them.
extern "C" int64_t paged_split_keys() { return SPLIT; }

extern "C" cudaError_t paged_attention(const PagedAttentionArgs* args, cudaStream_t stream) {
  const PagedAttentionArgs a = *args;
  if (a.tile_count == 0) return cudaSuccess;
  return with_type(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.dim <= 0 || a.dim > 128 || a.dim % VECTOR<T> != 0 || a.splits < 1 || (a.splits > 1 && !a.is_short))
      return cudaErrorInvalidValue;
    if (a.dim <= 32) return attention<T, 32>(a, stream);
    if (a.dim <= 64) return attention<T, 64>(a, stream);
    return attention<T, 128>(a, stream);
  });
}
