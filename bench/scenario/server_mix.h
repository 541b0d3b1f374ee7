// The work of a server's threads without its locks: requests that allocate temporaries, change a
// little of the thread's own state, and pass blocks to other threads, who free them.
#ifndef SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_
#define SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_

#include <atomic>
#include <utility>

#include "scenario.h"

namespace scenario {

// Calls of malloc in one request, and as many of free.
inline constexpr size_t kTemporaries = 4;
inline constexpr size_t kKept = 2;
inline constexpr size_t kShared = 2;
inline constexpr size_t kOperationsPerRequest = kTemporaries + kKept + kShared;

// Where threads find blocks of others: one cache line each, so that few meet in one.
struct alignas(64) SharedSlot {
  std::atomic<char*> block = nullptr;
};
inline SharedSlot shared_slots[1024];

inline void serve_requests(size_t requests, uint64_t seed) {
  Random random(seed);
  char* own[512] = {};
  char* temporaries[kTemporaries];
  for (size_t request = 0; request < requests; ++request) {
    for (char*& temporary : temporaries) temporary = filled_block(random.server_size());
    for (size_t index = 0; index < kKept; ++index) {
      std::free(
          std::exchange(own[random.below(std::size(own))], filled_block(random.server_size())));
    }
    for (size_t index = 0; index < kShared; ++index) {
      char* block = filled_block(random.server_size());
      SharedSlot& slot = shared_slots[random.below(std::size(shared_slots))];
      std::free(slot.block.exchange(block, std::memory_order_acq_rel));
    }
    for (char* temporary : temporaries) std::free(temporary);
  }
  for (char* block : own) std::free(block);
}

// Does `requests` in all, divided among the threads.
inline void server_mix(size_t threads, size_t requests) {
  run_threads(threads, [&](size_t index) { serve_requests(requests / threads, index + 1); });
  for (SharedSlot& slot : shared_slots) std::free(slot.block.exchange(nullptr));
}

}  // namespace scenario

#endif  // SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_
