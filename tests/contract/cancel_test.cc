// Threads that are cancelled: no call of the allocator is a point where a thread ends, so none ends
// with a lock held or a block half made. Asynchronous cancellation in the midst of malloc is
// allowed to nobody, as with the C library's: what is promised is that it does no harm outside.
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
  if (contract::malloc_is_from_libc()) return;
  const auto tick =
      reinterpret_cast<size_t (*)()>(dlsym(RTLD_DEFAULT, "spanmalloc_scavenge_epoch"));
  const auto get_stats =
      reinterpret_cast<int (*)(size_t*)>(dlsym(RTLD_DEFAULT, "spanmalloc_get_stats"));
  const auto release =
      reinterpret_cast<size_t (*)()>(dlsym(RTLD_DEFAULT, "spanmalloc_release_memory"));
  REQUIRE(tick != nullptr && get_stats != nullptr && release != nullptr);
  // Room for its statistics; the first field is their size.
  size_t stats[64] = {sizeof stats};
  EXPECT_EQ(get_stats(stats), 0);
  tick();
  release();
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

// What a thread holds when it is cancelled: blocks, and the freed ones in its cache.
struct Belongings {
  static constexpr size_t kBlocks = 1500;
  void* blocks[kBlocks];
};

void leave(void* argument) {
  auto* belongings = static_cast<Belongings*>(argument);
  free(calloc(1, 300 * kKiB));
  for (void* block : belongings->blocks) free(block);
  free(belongings);
}

void hold(Belongings* belongings) {
  for (size_t i = 0; i < Belongings::kBlocks; ++i) {
    free(malloc(i % 900 + 1));
    belongings->blocks[i] = malloc(i % 700 + 1);
  }
}

enum class Way { kAtACall, kAtAnyInstruction };

struct Victim {
  Way way = Way::kAtACall;
  bool is_ready = false;
};

// A function of its own: where it may be interrupted at any instruction, nothing waits to be
// undone.
[[noreturn, gnu::noinline]] void await_cancellation(Victim* victim) {
  if (victim->way == Way::kAtAnyInstruction) {
    int before = 0;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
  }
  __atomic_store_n(&victim->is_ready, true, __ATOMIC_RELEASE);
  for (uint64_t count = 0;; count = contract::opaque(count + 1)) {
    if (victim->way == Way::kAtACall) contract::sleep_milliseconds(1000);
  }
}

void* be_cancelled(void* argument) {
  auto* belongings = static_cast<Belongings*>(calloc(1, sizeof(Belongings)));
  pthread_cleanup_push(&leave, belongings);
  hold(belongings);
  await_cancellation(static_cast<Victim*>(argument));
  pthread_cleanup_pop(1);
}

void cancel_threads(Way way, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Victim victims[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; ++i) {
      victims[i].way = way;
      REQUIRE(pthread_create(&threads[i], nullptr, &be_cancelled, &victims[i]) == 0);
    }
    for (size_t i = 0; i < 4; ++i) {
      while (!__atomic_load_n(&victims[i].is_ready, __ATOMIC_ACQUIRE)) sched_yield();
      EXPECT_EQ(pthread_cancel(threads[i]), 0);
    }
    for (const pthread_t thread : threads) {
      void* result = nullptr;
      pthread_join(thread, &result);
      EXPECT(result == PTHREAD_CANCELED);
    }
  }
}

// A cache that a thread does not leave would be lost with half a megabyte.
void expect_caches_to_be_left(Way way) {
  const int status = contract::run_in_child(50, [way] {
    cancel_threads(way, 20);
    const size_t resident_before = contract::resident_bytes();
    const size_t used_before = mallinfo2().uordblks;
    cancel_threads(way, 200);
    EXPECT(contract::resident_bytes() < resident_before + 6 * kMiB);
    EXPECT(mallinfo2().uordblks < used_before + 2 * kMiB);
    call_everything();
  });
  EXPECT_EQ(status, 0);
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

CASE(threads_cancelled_while_they_sleep_leave_their_caches) {
  expect_caches_to_be_left(Way::kAtACall);
}

CASE(threads_cancelled_at_any_instruction_of_their_own_leave_their_caches) {
  expect_caches_to_be_left(Way::kAtAnyInstruction);
}

RUN_CASES()
