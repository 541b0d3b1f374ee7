// The work of a server's threads without its locks: requests that allocate temporaries, change a
// little of the thread's own state, and pass blocks to other threads, who free them.
#ifndef SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_
#define SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_

#include <atomic>
#include <barrier>
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

// What a thread keeps from request to request.
struct ServerThread {
  explicit ServerThread(uint64_t seed) : random(seed) {
    for (char*& block : own) block = filled_block(random.server_size());
  }
  ~ServerThread() {
    for (char* block : own) std::free(block);
  }
  ServerThread(const ServerThread&) = delete;
  ServerThread& operator=(const ServerThread&) = delete;

  void serve() {
    char* temporaries[kTemporaries];
    for (char*& temporary : temporaries) temporary = filled_block(random.server_size());
    for (size_t index = 0; index < kKept; ++index) {
      char*& place = own[random.below(std::size(own))];
      std::free(std::exchange(place, filled_block(random.server_size())));
    }
    for (size_t index = 0; index < kShared; ++index) {
      char* block = filled_block(random.server_size());
      SharedSlot& slot = shared_slots[random.below(std::size(shared_slots))];
      std::free(slot.block.exchange(block, std::memory_order_acq_rel));
    }
    for (char* temporary : temporaries) std::free(temporary);
  }

  Random random;
  // Few, so that many threads do not need many times the processor's cache.
  char* own[128];
};

// Serves `requests` in all, divided among the threads. Calls on_start() when all threads run and
// hold their blocks.
template <typename OnStart>
void server_mix(size_t threads, size_t requests, OnStart on_start) {
  std::barrier all_threads(static_cast<std::ptrdiff_t>(threads), on_start);
  run_threads(threads, [&](size_t index) {
    ServerThread thread(index + 1);
    all_threads.arrive_and_wait();
    for (size_t request = 0; request < requests / threads; ++request) thread.serve();
  });
  for (SharedSlot& slot : shared_slots) std::free(slot.block.exchange(nullptr));
}

}  // namespace scenario

#endif  // SPANMALLOC_BENCH_SCENARIO_SERVER_MIX_H_
