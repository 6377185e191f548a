// Draws one token from each row of logits.
//
// Formula, temperature T > 0, z the logits of the ids that the row's mask allows, max their largest:
//   w = round(2^40 * exp((z - max) * (1/T))); kept are the likeliest ids whose w first sum to top_p of all (of equals the
//   lowest ids); the draw is the first kept id, in order of ids, at which the running sum exceeds
//   uniform * (sum of the kept). T = 0: the largest logit. Of equals the lowest id; -0 counts as below 0.
// Shapes: logits f32 [N, V]; choices f64 [N, 4]: temperature, top_p, uniform, and the mask's number (-1: every id);
//   masks u32 [M, ceil(V/32)]: bit j % 32 of word j / 32 allows id j; ids u32 [N]. A row that holds NaN or +infinity,
//   allowed or not, gives 0xffffffff, and so does one whose allowed logits are all -infinity or none.
// Types: exponentials in f64 by operations that IEEE 754 defines to the bit, sums in 64-bit integers: exact, so their
//   order does not matter and the CPU's twin draws the same tokens.
// Launch: one block of 512 a row; a warp reads consecutive groups of 32 ids, each with one word of the mask. Below
//   top_p = 1 the kept set is found by four passes over 8 bits of the logits' order each.
// Bytes: 4*V a row, four times, with top_p nine times (from cache after the first). Determinism: bit-equal (integer
//   atomics commute).
#include "common/device.cuh"

extern "C" struct SamplingArgs {
  const float* logits;
  const double* choices;
  const uint32_t* masks;
  uint32_t* ids;
  int64_t rows, vocabulary;
};

namespace {

constexpr int WARPS = 16, THREADS = WARPS * WARP_THREADS, BINS = 256;
constexpr uint32_t NONE = 0xffffffffu, SIGN = 0x80000000u;
typedef unsigned long long Mass;

// Unsigned integers in the order of the floats, and back.
__device__ inline uint32_t key_of(float z) {
  const uint32_t bits = __float_as_uint(z);
  return bits & SIGN ? ~bits : bits | SIGN;
}
__device__ inline float logit_of(uint32_t key) { return __uint_as_float(key & SIGN ? key ^ SIGN : ~key); }

// round(2^40 * exp(x)) for x <= 0: x = n*ln 2 + r with |r| <= ln 2 / 2, then 2^n times the Taylor polynomial of degree
// 11, which is within 1e-14. The CPU's twin does the same operations in the same order.
__device__ inline Mass mass_of(double x) {
  if (!(x > -29)) return 0;  // less than a half
  const double n = rint(x * 1.4426950408889634);
  const double r = fma(-n, 2.3190468138462996e-17, fma(-n, 0.6931471805599453, x));
  double p = 1.0 / 39916800;
  p = fma(p, r, 1.0 / 3628800);
  p = fma(p, r, 1.0 / 362880);
  p = fma(p, r, 1.0 / 40320);
  p = fma(p, r, 1.0 / 5040);
  p = fma(p, r, 1.0 / 720);
  p = fma(p, r, 1.0 / 120);
  p = fma(p, r, 1.0 / 24);
  p = fma(p, r, 1.0 / 6);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  return Mass(floor(ldexp(p, int(n) + 40) + 0.5));
}

// Adds every lane's mass to its bin. The lanes of the first two bins met are added up first: the high bits of most
// logits are the same, and atomics on one address wait for each other.
__device__ inline void count(Mass* bins, int bin, Mass mass, int lane) {
  unsigned left = __ballot_sync(FULL_WARP, mass > 0);
  for (int round = 0; round < 2 && left != 0; round++) {
    const int leader = __ffs(int(left)) - 1, shared = __shfl_sync(FULL_WARP, bin, leader);
    const bool mine = (left >> lane & 1) && bin == shared;
    const Mass sum = warp_reduce(mine ? mass : 0, Sum());
    if (lane == leader) atomicAdd(&bins[bin], sum);
    left &= ~__ballot_sync(FULL_WARP, mine);
  }
  if (left >> lane & 1) atomicAdd(&bins[bin], mass);
}

__global__ void __launch_bounds__(THREADS) sampling_kernel(SamplingArgs a) {
  __shared__ Mass bins[BINS], kept_of[WARPS], shared_above;
  __shared__ uint32_t ties_of[WARPS], shared_least;
  const int lane = int(threadIdx.x) % WARP_THREADS, warp = int(threadIdx.x) / WARP_THREADS;
  const int64_t words = (a.vocabulary + 31) / 32, each = (words + WARPS - 1) / WARPS;
  const int64_t first = warp * each, last = first + each < words ? first + each : words;
  const float* logits = a.logits + int64_t(blockIdx.x) * a.vocabulary;
  const double* choice = a.choices + 4 * int64_t(blockIdx.x);
  const uint32_t* mask = choice[3] < 0 ? nullptr : a.masks + int64_t(choice[3]) * words;
  const float infinity = __uint_as_float(0x7f800000u);
  // Calls f(id, logit, allowed) for this warp's ids in order, 32 at a time, until it returns true; no lane is left out.
  auto visit = [&](auto f) {
    for (int64_t word = first; word < last; word++) {
      const int64_t id = word * 32 + lane;
      const bool inside = id < a.vocabulary;
      const float z = inside ? logits[id] : -infinity;
      if (f(uint32_t(id), z, inside && (mask == nullptr || (mask[word] >> lane & 1)))) return;
    }
  };

  // The largest, lowest id first: order in the high half, the id's complement in the low half.
  Mass best = 0;
  bool bad = false;
  visit([&](uint32_t id, float z, bool allowed) {
    bad |= !(z < infinity);
    const Mass candidate = allowed ? (Mass(key_of(z)) << 32) | Mass(~id) : 0;
    best = candidate > best ? candidate : best;
    return false;
  });
  best = block_reduce(best, Max());
  bad = __syncthreads_or(bad) || best == 0;
  const float max = bad ? -infinity : logit_of(uint32_t(best >> 32));
  if (max == -infinity || choice[0] == 0) {
    if (threadIdx.x == 0) a.ids[blockIdx.x] = max == -infinity ? NONE : ~uint32_t(best);
    return;
  }

  const double inverse_temperature = 1.0 / choice[0], top_p = choice[1], uniform = choice[2];
  // At a temperature so low that its inverse is infinite the largest still has its mass.
  auto mass = [&](float z) { return mass_of(z == max ? 0.0 : (double(z) - double(max)) * inverse_temperature); };
  uint32_t least = 0, kept_ties = 0;  // kept are the keys above `least`, and the first `kept_ties` of those equal to it
  if (top_p < 1) {
    Mass total = 0;
    visit([&](uint32_t, float z, bool allowed) {
      if (allowed) total += mass(z);
      return false;
    });
    total = block_reduce(total, Sum());
    const double share = ceil(top_p * double(total));
    const Mass wanted = share < 1 ? 1 : (Mass(share) < total ? Mass(share) : total);
    if (threadIdx.x == 0) shared_least = 0, shared_above = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (int bin = int(threadIdx.x); bin < BINS; bin += THREADS) bins[bin] = 0;
      __syncthreads();
      const uint32_t prefix = shared_least;
      visit([&](uint32_t, float z, bool allowed) {
        const uint32_t key = key_of(z);
        const bool counted = allowed && (shift == 24 || key >> (shift + 8) == prefix >> (shift + 8));
        count(bins, int(key >> shift & 255), counted ? mass(z) : 0, lane);
        return false;
      });
      __syncthreads();
      if (threadIdx.x == 0) {
        int bin = BINS - 1;
        Mass above = shared_above;
        while (bin > 0 && above + bins[bin] < wanted) above += bins[bin--];
        shared_above = above;
        shared_least = prefix | uint32_t(bin) << shift;
      }
      __syncthreads();
    }
    least = shared_least;
    const Mass tie = mass(logit_of(least));
    kept_ties = uint32_t((wanted - shared_above + tie - 1) / tie);
  }

  // The ties before this warp's ids; then the kept mass of every warp.
  uint32_t ties = 0;
  visit([&](uint32_t, float z, bool allowed) {
    ties += uint32_t(__popc(__ballot_sync(FULL_WARP, allowed && key_of(z) == least)));
    return false;
  });
  if (lane == 0) ties_of[warp] = ties;
  __syncthreads();
  uint32_t ties_before = 0;
  for (int w = 0; w < warp; w++) ties_before += ties_of[w];
  auto kept_mass = [&](float z, bool allowed, uint32_t& seen) -> Mass {
    const uint32_t key = key_of(z);
    const unsigned equal = __ballot_sync(FULL_WARP, allowed && key == least);
    const uint32_t rank = seen + uint32_t(__popc(equal & ((1u << lane) - 1)));
    seen += uint32_t(__popc(equal));
    return allowed && (key > least || (key == least && rank < kept_ties)) ? mass(z) : 0;
  };
  Mass kept = 0;
  uint32_t seen = ties_before;
  visit([&](uint32_t, float z, bool allowed) {
    kept += kept_mass(z, allowed, seen);
    return false;
  });
  kept = warp_reduce(kept, Sum());
  if (lane == 0) kept_of[warp] = kept;
  __syncthreads();
  Mass all = 0, before = 0;
  for (int w = 0; w < WARPS; w++) {
    if (w == warp) before = all;
    all += kept_of[w];
  }

  // One warp has the place that the random number points at, and looks for the id.
  const double place = floor(uniform * double(all));
  const Mass point = Mass(place) < all ? Mass(place) : all - 1;
  if (point < before || point >= before + kept) return;
  seen = ties_before;
  visit([&](uint32_t id, float z, bool allowed) {
    const Mass own = kept_mass(z, allowed, seen), sum = warp_reduce(own, Sum());
    if (point >= before + sum) {
      before += sum;
      return false;
    }
    for (int other = 0; other < WARP_THREADS; other++) {
      before += __shfl_sync(FULL_WARP, own, other);
      if (point < before) {
        if (lane == other) a.ids[blockIdx.x] = id;
        return true;
      }
    }
    return true;
  });
}

}  // namespace

extern "C" cudaError_t sampling_draw(const SamplingArgs* args, cudaStream_t stream) {
  const SamplingArgs a = *args;
  if (a.rows == 0) return cudaSuccess;
  return launch(sampling_kernel, unsigned(a.rows), THREADS, 0, stream, a);
}
