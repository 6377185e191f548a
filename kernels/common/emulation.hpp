// The CUDA execution model on one CPU thread, good enough to run the kernels of this folder in tests.
//
// Blocks run one after another; the threads of a block are fibers that give way at barriers and warp operations only.
// Every block-wide or warp-wide operation is a rendezvous of all threads of the block or warp: if some never arrive,
// the program stops and says so, where a GPU would hang or read garbage.
//
// What it shows: indexing, masks, layouts of matrix fragments, the logic of barriers. Shared memory and asynchronous
// copies begin as NaN patterns. A warp runs as far ahead of the others as barriers let it; with `descending` set, blocks,
// warps and threads run in the opposite order: a kernel whose result is wrong or differs between the two orders lacks a
// barrier. `cargo xtask kernels-emulated --planted` shows that this finds bugs.
// What it cannot show: memory ordering within a warp, speed, the rounding of the hardware's matrix unit (here: exact
// products, summed in double, rounded once).
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __restrict__

typedef int cudaError_t;
typedef void* cudaStream_t;
constexpr cudaError_t cudaSuccess = 0, cudaErrorInvalidValue = 1;

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };

namespace emulation {

constexpr int WARP = 32;
constexpr size_t STACK_BYTES = 96 << 10, SHARED_BYTES = 228 << 10, SLOT_BYTES = 32;

[[noreturn]] inline void stop(const char* why) {
  std::fprintf(stderr, "CUDA emulation: %s\n", why);
  std::abort();
}

// Order of blocks and threads; set by the tests.
inline thread_local bool descending = false;

struct Copy { unsigned char* to; unsigned char bytes[16]; int size, group; };

struct Fiber {
  ucontext_t context;
  std::jmp_buf at;
  std::unique_ptr<unsigned char[]> stack;
  bool begun, done;
  dim3 thread;
  int linear;
  std::vector<Copy> copies;  // asynchronous ones that are not waited for yet
  int groups;
};

struct Rendezvous { int arrived = 0; unsigned long generation = 0; };

struct Warp {
  Rendezvous meeting;
  alignas(16) unsigned char slots[WARP][SLOT_BYTES];
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Rendezvous meeting;
  int tally, running, count;
  unsigned long progress;
  dim3 index, extent, grid;
  std::function<void()> body;
  std::jmp_buf scheduler;
  alignas(128) unsigned char shared[SHARED_BYTES];
};

inline Block& block() {
  static thread_local std::unique_ptr<Block> all;
  if (!all) all.reset(new Block());
  return *all;
}
inline Fiber& fiber() { return block().fibers[block().running]; }

inline void give_way() {
  if (_setjmp(fiber().at) == 0) _longjmp(block().scheduler, 1);
}

inline void meet(Rendezvous& at, int expected) {
  unsigned long generation = at.generation;
  if (++at.arrived == expected) {
    at.arrived = 0;
    at.generation++;
    block().progress++;
    return;
  }
  while (at.generation == generation) give_way();
}

inline void meet_block() { meet(block().meeting, block().count); }
inline int lane() { return fiber().linear % WARP; }
inline Warp& warp() { return block().warps[fiber().linear / WARP]; }
inline int warp_width() {
  int first = fiber().linear / WARP * WARP, left = block().count - first;
  return left < WARP ? left : WARP;
}
inline void meet_warp(unsigned mask) {
  if (mask != 0xffffffffu) stop("a warp operation names only some of the warp's threads");
  meet(warp().meeting, warp_width());
}

// All lanes show a value; `read` sees all of them.
template <class T, class F> auto exchange(const T& mine, F read) {
  static_assert(sizeof(T) <= SLOT_BYTES, "value too large for the exchange");
  std::memcpy(warp().slots[lane()], &mine, sizeof(T));
  meet_warp(0xffffffffu);
  auto result = read([](int other) {
    T value;
    std::memcpy(&value, warp().slots[other], sizeof(T));
    return value;
  });
  meet_warp(0xffffffffu);
  return result;
}

inline void enter() {
  Block& b = block();
  b.body();
  fiber().done = true;
  b.progress++;
  _longjmp(b.scheduler, 1);
}

// Runs a thread until it gives way or ends.
inline void resume(int thread) {
  Block& b = block();
  b.running = thread;
  if (_setjmp(b.scheduler) != 0) return;
  Fiber& f = b.fibers[thread];
  if (f.begun) _longjmp(f.at, 1);
  f.begun = true;
  getcontext(&f.context);
  if (!f.stack) f.stack.reset(new unsigned char[STACK_BYTES]);
  f.context.uc_stack.ss_sp = f.stack.get();
  f.context.uc_stack.ss_size = STACK_BYTES;
  f.context.uc_link = nullptr;
  makecontext(&f.context, enter, 0);
  setcontext(&f.context);
}

// Runs a warp until each of its threads waits for another warp or has ended, so that it is as far ahead of the others
// as barriers let it: what it writes too early is there when they read. Returns how many threads ended.
inline int run_warp(int index) {
  Block& b = block();
  int ended = 0;
  unsigned long seen;
  do {
    seen = b.progress;
    for (int step = 0; step < WARP; step++) {
      const int thread = index * WARP + (descending ? WARP - 1 - step : step);
      if (thread >= b.count || b.fibers[thread].done) continue;
      resume(thread);
      ended += b.fibers[thread].done;
    }
  } while (b.progress != seen);
  return ended;
}

inline void run_block() {
  Block& b = block();
  std::memset(b.shared, 0xff, sizeof b.shared);
  b.meeting = Rendezvous();
  b.warps.assign((b.count + WARP - 1) / WARP, Warp());
  for (int i = 0; i < b.count; i++) {
    Fiber& f = b.fibers[i];
    f.begun = f.done = false;
    f.linear = i;
    f.groups = 0;
    f.copies.clear();
    f.thread = dim3(i % b.extent.x, i / b.extent.x % b.extent.y, i / (b.extent.x * b.extent.y));
  }
  const int warps = int(b.warps.size());
  int left = b.count, idle_rounds = 0;
  while (left > 0) {
    const unsigned long before = b.progress;
    for (int turn = 0; turn < warps; turn++) left -= run_warp(descending ? warps - 1 - turn : turn);
    idle_rounds = b.progress == before ? idle_rounds + 1 : 0;
    if (idle_rounds > 2) stop("threads wait at a barrier that the others do not reach");
  }
}

template <class K, class... A> cudaError_t launch(K kernel, dim3 grid, dim3 extent, size_t shared, A... arguments) {
  Block& b = block();
  if (shared > SHARED_BYTES) return cudaErrorInvalidValue;
  b.extent = extent;
  b.grid = grid;
  b.count = int(extent.x * extent.y * extent.z);
  if (b.count < 1 || b.count > 1024) return cudaErrorInvalidValue;
  if (b.fibers.size() < size_t(b.count)) b.fibers.resize(b.count);
  b.body = [=] { kernel(arguments...); };
  uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  if (blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) return cudaErrorInvalidValue;
  for (uint64_t step = 0; step < blocks; step++) {
    uint64_t i = descending ? blocks - 1 - step : step;
    b.index = dim3(unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y));
    run_block();
  }
  return cudaSuccess;
}

inline int or_all(bool mine) {
  Block& b = block();
  meet_block();
  b.tally = 0;
  meet_block();
  b.tally |= mine;
  meet_block();
  return b.tally;
}

}  // namespace emulation

#define threadIdx (emulation::fiber().thread)
#define blockIdx (emulation::block().index)
#define blockDim (emulation::block().extent)
#define gridDim (emulation::block().grid)

inline void __syncthreads() { emulation::meet_block(); }
inline int __syncthreads_or(int mine) { return emulation::or_all(mine != 0); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulation::meet_warp(mask); }
template <class T> T __shfl_sync(unsigned, T value, int from) {
  return emulation::exchange(value, [&](auto of) { return of(from % 32); });
}
template <class T> T __shfl_xor_sync(unsigned, T value, int with) {
  return emulation::exchange(value, [&](auto of) { return of(emulation::lane() ^ with); });
}
inline unsigned __ballot_sync(unsigned, int predicate) {
  return emulation::exchange(predicate != 0, [&](auto of) {
    unsigned all = 0;
    for (int i = 0; i < emulation::warp_width(); i++) all |= unsigned(of(i)) << i;
    return all;
  });
}
template <class T> T atomicAdd(T* to, T value) {
  T before = *to;
  *to = before + value;
  return before;
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline float rsqrtf(float x) { return float(1.0 / std::sqrt(double(x))); }
inline float __uint_as_float(uint32_t x) { float y; std::memcpy(&y, &x, 4); return y; }
inline uint32_t __float_as_uint(float x) { uint32_t y; std::memcpy(&y, &x, 4); return y; }
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return uint32_t((uint64_t(a) * b) >> 32); }
