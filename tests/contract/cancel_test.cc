// Threads that are cancelled: no call of the allocator is a point where a thread ends, so none ends
// with a lock held or a block half made.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

void call_everything() {
  for (size_t size = 1; size <= 4 * kMiB; size = size * 3 + 1) {
    void* block = malloc(size);
    void* zeroed = calloc(1, size);
    void* aligned = memalign(4096, size);
    EXPECT(block != nullptr && zeroed != nullptr && aligned != nullptr);
    block = realloc(block, size * 2);
    EXPECT(malloc_usable_size(block) >= size * 2);
    free(block);
    free(zeroed);
    free(aligned);
  }
  malloc_trim(0);
  EXPECT(mallinfo2().arena > 0);
}

struct Cancelled {
  bool is_pending = false;
  bool has_finished = false;
};

void* wait_then_call(void* argument) {
  auto* state = static_cast<Cancelled*>(argument);
  while (!__atomic_load_n(&state->is_pending, __ATOMIC_ACQUIRE)) sched_yield();
  call_everything();
  malloc_stats();
  __atomic_store_n(&state->has_finished, true, __ATOMIC_RELEASE);
  pthread_testcancel();
  return nullptr;
}

void* allocate_until_cancelled(void*) {
  for (;;) {
    void* blocks[16] = {};
    for (size_t i = 0; i < 16; ++i) blocks[i] = malloc(i * i * 1000 + 1);
    for (void* block : blocks) free(block);
    pthread_testcancel();
  }
  return nullptr;
}

}  // namespace

CASE(a_pending_cancel_waits_until_the_allocator_is_left) {
  for (int round = 0; round < 20; ++round) {
    Cancelled state;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, &wait_then_call, &state) == 0);
    EXPECT_EQ(pthread_cancel(thread), 0);
    __atomic_store_n(&state.is_pending, true, __ATOMIC_RELEASE);
    void* result = nullptr;
    pthread_join(thread, &result);
    EXPECT(result == PTHREAD_CANCELED);
    EXPECT(state.has_finished);
  }
}

CASE(threads_cancelled_at_work_leave_the_heap_usable) {
  const int status = contract::run_in_child(40, [] {
    for (int round = 0; round < 100; ++round) {
      pthread_t threads[6];
      for (pthread_t& thread : threads) {
        REQUIRE(pthread_create(&thread, nullptr, &allocate_until_cancelled, nullptr) == 0);
      }
      sched_yield();
      for (const pthread_t thread : threads) pthread_cancel(thread);
      for (const pthread_t thread : threads) pthread_join(thread, nullptr);
      if (round % 10 == 0) call_everything();
    }
    EXPECT(contract::resident_bytes() < 100 * kMiB);
  });
  EXPECT_EQ(status, 0);
}

RUN_CASES()
