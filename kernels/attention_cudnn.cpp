// The attention of attention.cu computed by cuDNN's graphs, for training.
//
// Formula, shapes: as attention.cu, for bf16: q, o, dq, do [N, H, E]; k, v, dk, dv [N, K, E]; lse f32 [N, H]; E a multiple
//   of 8 up to 128. Documents lie in ascending rows: `lengths` i32 [B], and `offsets` i64 [3, B + 1], the element at which
//   each begins in q, in k and in lse, and behind the last one the element at which it ends. Documents of no rows may
//   fill B up to a round number. Rows in no document are not written.
// Plans: a graph is built for each (pass, B, longest, H, K, E, scale) and in the backward pass also N and determinism,
//   which takes a second or so, and kept: the PLANS used last. Callers round B, `longest` and, for the plan, N up, so
//   that rows packed differently share one.
// Determinism: asked of cuDNN in the backward pass where the caller wants it. On compute capability 9.x its default way
//   then needs memory quadratic in the document's length; the other way, which cuDNN has from 9.25 on, is asked for
//   before main() begins.
// Loading: libcudnn.so.9 is opened when it is first needed, so a program without it runs all else.
// An entry point returns 0 or an error number and keeps its reason for `cudnn_attention_reason`; none throws.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;
}

extern "C" struct CudnnAttentionArgs {
  const void *q, *k, *v, *d_o;
  void *o, *dq, *dk, *dv;
  float* lse;
  const int64_t* offsets;
  const int32_t* lengths;
  void* workspace;
  int64_t documents, longest, rows, heads, kv_heads, dim;  // rows: at least those there are
  float scale;
  int32_t backward, deterministic;
};

namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;

enum Id : int64_t { Q = 1, K, V, O, LSE, D_O, DQ, DK, DV, LENGTHS, Q_AT, K_AT, LSE_AT };

thread_local std::string reason;

int failed(int code, const std::string& why) {
  reason = why;
  return code;
}

__attribute__((constructor)) void settings() {
  // Read by the frontend's headers when a graph is built. The user's own values stand.
  setenv("CUDNN_FRONTEND_ATTN_DP_WORKSPACE_LIMIT", "0", 0);
  setenv("CUDNN_FRONTEND_CUDART_LIB_NAME", "libcudart.so.13", 0);
}

bool loaded() {
  static const bool is = [] {
    fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW);
    return fe::cudnn_dlhandle != nullptr;
  }();
  return is;
}

struct Shape {
  bool backward, deterministic;
  int64_t documents, longest, rows, heads, kv_heads, dim;
  float scale;
  explicit Shape(const CudnnAttentionArgs& a)
      : backward(a.backward != 0), deterministic(backward && a.deterministic), documents(a.documents),
        longest(a.longest), rows(backward ? a.rows : 0), heads(a.heads), kv_heads(a.kv_heads), dim(a.dim),
        scale(a.scale) {}
  auto key() const {
    return std::tie(backward, deterministic, documents, longest, rows, heads, kv_heads, dim, scale);
  }
  bool operator<(const Shape& other) const { return key() < other.key(); }
};

// A graph under construction: tensors of packed rows, [B, heads, longest, width] as cuDNN counts them.
struct Builder {
  const Shape& s;
  fe::graph::Graph& graph;
  Tensor lengths, q_at, k_at, lse_at;

  Builder(const Shape& shape, fe::graph::Graph& into) : s(shape), graph(into) {
    graph.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    lengths = list(LENGTHS, s.documents, fe::DataType_t::INT32);
    q_at = list(Q_AT, s.documents + 1, fe::DataType_t::INT64);
    k_at = list(K_AT, s.documents + 1, fe::DataType_t::INT64);
    lse_at = list(LSE_AT, s.documents + 1, fe::DataType_t::INT64);
  }

  Tensor list(Id id, int64_t count, fe::DataType_t type) {
    return graph.tensor(
        fe::graph::Tensor_attributes().set_uid(id).set_dim({count, 1, 1, 1}).set_stride({1, 1, 1, 1}).set_data_type(type));
  }
  // One row holds all heads, in every tensor; lse too, whose other layout cuDNN reads wrongly.
  template <class T> T& packed(T& t, Id id, int64_t heads, int64_t width, const Tensor& at) const {
    t.set_uid(id)
        .set_dim({s.documents, heads, s.longest, width})
        .set_stride({s.longest * heads * width, width, heads * width, 1})
        .set_ragged_offset(at);
    return t;
  }
  Tensor input(Id id, int64_t heads, int64_t width, const Tensor& at) {
    fe::graph::Tensor_attributes t;
    packed(t, id, heads, width, at);
    if (id == LSE) t.set_data_type(fe::DataType_t::FLOAT);
    return graph.tensor(t);
  }
  template <class A> A options(const char* name) const {
    A a;
    a.set_name(name)
        .set_attn_scale(s.scale)
        .set_padding_mask(true)
        .set_seq_len_q(lengths)
        .set_seq_len_kv(lengths)
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
    return a;
  }
  void build() {
    const Tensor q = input(Q, s.heads, s.dim, q_at), k = input(K, s.kv_heads, s.dim, k_at);
    const Tensor v = input(V, s.kv_heads, s.dim, k_at);
    if (!s.backward) {
      auto made = graph.sdpa(q, k, v, options<fe::graph::SDPA_attributes>("forward").set_generate_stats(true));
      packed(*made[0], O, s.heads, s.dim, q_at).set_output(true);
      packed(*made[1], LSE, s.heads, 1, lse_at).set_output(true).set_data_type(fe::DataType_t::FLOAT);
      return;
    }
    auto wanted = options<fe::graph::SDPA_backward_attributes>("backward")
                      .set_deterministic_algorithm(s.deterministic)
                      .set_max_total_seq_len_q(s.rows)
                      .set_max_total_seq_len_kv(s.rows);
    auto made = graph.sdpa_backward(q, k, v, input(O, s.heads, s.dim, q_at), input(D_O, s.heads, s.dim, q_at),
                                    input(LSE, s.heads, 1, lse_at), wanted);
    packed(*made[0], DQ, s.heads, s.dim, q_at).set_output(true);
    packed(*made[1], DK, s.kv_heads, s.dim, k_at).set_output(true);
    packed(*made[2], DV, s.kv_heads, s.dim, k_at).set_output(true);
  }
};

constexpr size_t PLANS = 64;

struct Plan {
  std::unique_ptr<fe::graph::Graph> graph;
  uint64_t used;  // when, counted in uses of plans
};

// One device's handle and plans; the handle is never released, as the device is not.
struct Plans {
  cudnnHandle_t handle = nullptr;
  std::map<Shape, Plan> graphs;
  uint64_t uses = 0;

  // Room for one more: the plan goes that was not used for longest, once no kernel of it can be running.
  void make_room() {
    if (graphs.size() < PLANS) return;
    cudaDeviceSynchronize();
    graphs.erase(std::min_element(graphs.begin(), graphs.end(),
                                  [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
  }
};

std::mutex guard;

Plans& plans() {
  static std::map<int, Plans>& all = *new std::map<int, Plans>();
  int device = 0;
  cudaGetDevice(&device);
  return all[device];
}

// The plan for these shapes, built if it is new; null with the reason set.
fe::graph::Graph* plan(const CudnnAttentionArgs& a) {
  if (!loaded()) return failed(1, "libcudnn.so.9 was not found"), nullptr;
  Plans& p = plans();
  if (p.handle == nullptr && fe::detail::create_handle(&p.handle) != CUDNN_STATUS_SUCCESS)
    return failed(1, "cuDNN did not start"), nullptr;
  const Shape shape(a);
  auto found = p.graphs.find(shape);
  if (found == p.graphs.end()) {
    auto graph = std::make_unique<fe::graph::Graph>();
    Builder(shape, *graph).build();
    fe::error_t status = graph->build(p.handle, {fe::HeurMode_t::A});
    if (status.is_bad()) return failed(2, status.get_message()), nullptr;
    p.make_room();
    found = p.graphs.emplace(shape, Plan{std::move(graph), 0}).first;
  }
  found->second.used = ++p.uses;
  return found->second.graph.get();
}

// Keeps what `f` throws from crossing into a caller in another language.
template <class F> int caught(F f) {
  try {
    const std::lock_guard<std::mutex> lock(guard);
    return f();
  } catch (const std::exception& error) {
    return failed(3, error.what());
  }
}

}  // namespace

// Why the last call on this thread failed.
extern "C" const char* cudnn_attention_reason() { return reason.c_str(); }

// cuDNN's version as it counts them (92500 is 9.25.0), 0 where there is none.
extern "C" int64_t cudnn_attention_version() {
  int64_t version = 0;
  caught([&] {
    if (loaded()) version = int64_t(fe::detail::get_backend_version());
    return 0;
  });
  return version;
}

// Builds the plan where it is new, and says how much scratch memory a run takes. Host work only.
extern "C" int32_t cudnn_attention_plan(const CudnnAttentionArgs* args, int64_t* workspace_bytes) {
  return caught([&] {
    fe::graph::Graph* graph = plan(*args);
    if (graph == nullptr) return 1;
    fe::error_t status = graph->get_workspace_size(*workspace_bytes);
    return status.is_good() ? 0 : failed(4, status.get_message());
  });
}

extern "C" int32_t cudnn_attention_run(const CudnnAttentionArgs* args, cudaStream_t stream) {
  return caught([&] {
    const CudnnAttentionArgs& a = *args;
    fe::graph::Graph* graph = plan(a);
    if (graph == nullptr) return 1;
    const cudnnHandle_t handle = plans().handle;
    if (fe::detail::set_stream(handle, stream) != CUDNN_STATUS_SUCCESS) return failed(5, "cuDNN refuses the stream");
    auto* at = const_cast<int64_t*>(a.offsets);
    const int64_t each = a.documents + 1;
    std::unordered_map<int64_t, void*> pack = {
        {Q, const_cast<void*>(a.q)}, {K, const_cast<void*>(a.k)}, {V, const_cast<void*>(a.v)},
        {O, a.o}, {LSE, a.lse}, {LENGTHS, const_cast<int32_t*>(a.lengths)},
        {Q_AT, at}, {K_AT, at + each}, {LSE_AT, at + 2 * each}};
    if (a.backward) {
      pack[D_O] = const_cast<void*>(a.d_o);
      pack[DQ] = a.dq, pack[DK] = a.dk, pack[DV] = a.dv;
    }
    fe::error_t status = graph->execute(handle, pack, a.workspace);
    return status.is_good() ? 0 : failed(6, status.get_message());
  });
}
