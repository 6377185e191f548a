// Draws one token from each row of logits.
//
// Formula, temperature T > 0, z the row, max its largest: w = round(2^40 * exp((z - max)/T)); kept are the likeliest
//   tokens whose w first sum to top_p of all (of equals the lowest ids); the draw is the first kept token, in order of
//   ids, at which the running sum exceeds uniform * (sum of the kept). T = 0: the largest logit, lowest id first.
// Shapes: logits f32 [N, V]; temperature, top_p, uniform f64 [N]; ids u32 [N]. A row with NaN or +infinity gives
//   0xffffffff, and so does one with nothing finite.
// Types: exponentials in f64, sums in 64-bit integers: exact, so their order does not matter and the CPU's twin draws
//   the same tokens.
// Launch: one block of 512 a row. The kept set is found by four passes over 8 bits of the logits' order each.
// Bytes: 4*V a row, six times (from cache after the first). Determinism: bit-equal (integer atomics commute).
#include "common/device.cuh"

extern "C" struct SamplingArgs {
  const float* logits;
  const double *temperature, *top_p, *uniform;
  uint32_t* ids;
  int64_t rows, vocabulary;
};

namespace {

constexpr int THREADS = 512, BINS = 256;
constexpr uint32_t NONE = 0xffffffffu;
typedef unsigned long long Mass;

// Unsigned integers in the order of the floats.
__device__ inline uint32_t key_of(float z) {
  const uint32_t bits = __float_as_uint(z);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline Mass mass_of(float z, float max, double temperature) {
  return Mass(floor(exp((double(z) - double(max)) / temperature) * 1099511627776.0 + 0.5));
}

__global__ void __launch_bounds__(THREADS) sampling_kernel(SamplingArgs a) {
  __shared__ Mass bins[BINS], sums[THREADS];
  __shared__ uint32_t ties[THREADS], shared_prefix, shared_kept_ties, shared_id;
  __shared__ Mass shared_above, shared_kept;
  const float* z = a.logits + int64_t(blockIdx.x) * a.vocabulary;
  const double temperature = a.temperature[blockIdx.x], uniform = a.uniform[blockIdx.x];
  const float infinity = __uint_as_float(0x7f800000u);
  // Consecutive ids to a thread: sums over threads then go in order of ids.
  const int64_t each = (a.vocabulary + THREADS - 1) / THREADS, first = threadIdx.x * each;
  const int64_t last = first + each < a.vocabulary ? first + each : a.vocabulary;

  // The largest, lowest id first: order in the high half, the id's complement in the low half.
  Mass best = 0;
  bool bad = false;
  for (int64_t j = first; j < last; j++) {
    bad |= !(z[j] < infinity);
    const Mass candidate = (Mass(key_of(z[j])) << 32) | Mass(~uint32_t(j));
    best = candidate > best ? candidate : best;
  }
  best = block_reduce(best, Max());
  bad = __syncthreads_or(bad);
  const uint32_t best_id = ~uint32_t(best);
  const float max = a.vocabulary > 0 ? z[best_id] : -infinity;
  if (bad || max == -infinity || temperature == 0) {
    if (threadIdx.x == 0) a.ids[blockIdx.x] = bad || max == -infinity ? NONE : best_id;
    return;
  }

  Mass total = 0;
  for (int64_t j = first; j < last; j++) total += mass_of(z[j], max, temperature);
  total = block_reduce(total, Sum());
  const double share = ceil(a.top_p[blockIdx.x] * double(total));
  const Mass wanted = share < 1 ? 1 : (Mass(share) < total ? Mass(share) : total);

  // The key of the least likely kept token, eight bits at a time from the top.
  if (threadIdx.x == 0) shared_prefix = 0, shared_above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int bin = int(threadIdx.x); bin < BINS; bin += THREADS) bins[bin] = 0;
    __syncthreads();
    const uint32_t prefix = shared_prefix;
    for (int64_t j = first; j < last; j++) {
      const uint32_t key = key_of(z[j]);
      const bool same = shift == 24 || key >> (shift + 8) == prefix >> (shift + 8);
      if (same) atomicAdd(&bins[(key >> shift) & 255], mass_of(z[j], max, temperature));
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      int bin = BINS - 1;
      Mass above = shared_above;
      while (bin > 0 && above + bins[bin] < wanted) above += bins[bin--];
      shared_above = above;
      shared_prefix = prefix | uint32_t(bin) << shift;
    }
    __syncthreads();
  }
  const uint32_t least = shared_prefix;

  // Of the tokens with that key only as many as are needed; then the sum of all that is kept, by thread.
  uint32_t equal = 0;
  Mass equal_mass = 0;
  for (int64_t j = first; j < last; j++)
    if (key_of(z[j]) == least) equal++, equal_mass = mass_of(z[j], max, temperature);
  equal_mass = block_reduce(equal_mass, Max());
  ties[threadIdx.x] = equal;
  __syncthreads();
  if (threadIdx.x == 0) {
    const Mass missing = wanted > shared_above ? wanted - shared_above : 0;
    shared_kept_ties = equal_mass == 0 ? 0 : uint32_t((missing + equal_mass - 1) / equal_mass);
  }
  __syncthreads();
  uint32_t ties_before = 0;
  for (int t = 0; t < int(threadIdx.x); t++) ties_before += ties[t];
  auto kept_mass = [&](int64_t j, uint32_t& seen_ties) -> Mass {
    const uint32_t key = key_of(z[j]);
    if (key < least || (key == least && seen_ties++ >= shared_kept_ties)) return 0;
    return mass_of(z[j], max, temperature);
  };
  Mass kept = 0;
  uint32_t seen = ties_before;
  for (int64_t j = first; j < last; j++) kept += kept_mass(j, seen);
  sums[threadIdx.x] = kept;
  if (threadIdx.x == 0) shared_id = NONE;
  __syncthreads();
  if (threadIdx.x == 0) {
    Mass all = 0;
    for (int t = 0; t < THREADS; t++) all += sums[t];
    shared_kept = all;
  }
  __syncthreads();
  const double place = floor(uniform * double(shared_kept));
  const Mass point = Mass(place) < shared_kept ? Mass(place) : shared_kept - 1;
  Mass before = 0;
  for (int t = 0; t < int(threadIdx.x); t++) before += sums[t];
  if (before <= point && point < before + kept) {
    seen = ties_before;
    for (int64_t j = first; j < last; j++) {
      before += kept_mass(j, seen);
      if (point < before) {
        shared_id = uint32_t(j);
        break;
      }
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) a.ids[blockIdx.x] = shared_id;
}

}  // namespace

extern "C" cudaError_t sampling_draw(const SamplingArgs* args, cudaStream_t stream) {
  const SamplingArgs a = *args;
  if (a.rows == 0) return cudaSuccess;
  return launch(sampling_kernel, unsigned(a.rows), THREADS, 0, stream, a);
}
