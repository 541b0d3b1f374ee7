// Threads that end without a word: by the bare system call, or with their first malloc in the last
// round of destructors. What their caches hold comes back. The clock of the scavenger ticks every
// 10 ms here, set by the test's environment.
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;
using contract::kMiB;

// Some hundred KiB that stay in the thread's cache.
void use_malloc() {
  for (size_t size = 100; size < 6000; size += 100) {
    void* block = malloc(size);
    if (block == nullptr) abort();
    memset(block, 1, size);
    free(block);
  }
}

[[noreturn]] void end_without_a_word() {
  syscall(SYS_exit, 0);
  abort();
}

void* end_by_system_call(void*) {
  use_malloc();
  end_without_a_word();
}

pthread_key_t late_key;

// Runs in each round of destructors, and allocates in the last.
void allocate_late(void* argument) {
  const auto round = reinterpret_cast<uintptr_t>(argument);
  if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
    pthread_setspecific(late_key, reinterpret_cast<void*>(round + 1));
    return;
  }
  use_malloc();
}

void* end_allocating(void*) {
  pthread_setspecific(late_key, reinterpret_cast<void*>(1));
  return nullptr;
}

void make_late_key() {
  static bool made = false;
  if (!made) REQUIRE(pthread_key_create(&late_key, allocate_late) == 0);
  made = true;
}

void start_and_join(void* (*body)(void*)) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, body, nullptr) == 0);
  pthread_join(thread, nullptr);
}

// One after the other, in a heap that is large enough to have a background thread.
void expect_no_growth(void* (*body)(void*)) {
  constexpr int kThreads = 300;
  constexpr size_t kBound = 16 * kMiB;
  constexpr size_t kHeap = 48 * kMiB;
  void* heap = malloc(kHeap);
  REQUIRE(heap != nullptr);
  memset(heap, 1, kHeap);
  const size_t before = contract::resident_bytes();
  for (int count = 0; count < kThreads; ++count) start_and_join(body);
  const size_t after = contract::wait_until_resident(before + kBound, 30);
  contract::say("resident %zu, then %zu", before, after);
  EXPECT(after < before + kBound);
  free(heap);
}

sem_t have_allocated;
sem_t may_end;

void* end_with_others(void*) {
  use_malloc();
  sem_post(&have_allocated);
  while (sem_wait(&may_end) != 0) {
  }
  end_without_a_word();
}

// Live threads, each with blocks that nobody else may get.
constexpr size_t kLive = 4;
constexpr size_t kBlocks = 200;
bool stop = false;

void check_own_blocks(uint64_t seed) {
  static thread_local void* blocks[kBlocks];
  for (size_t index = 0; index < kBlocks; ++index) {
    const size_t size = 16 + (index * 37 + seed * 11) % 3000;
    blocks[index] = malloc(size);
    if (blocks[index] == nullptr) abort();
    fill(blocks[index], size, seed + index);
  }
  for (size_t index = 0; index < kBlocks; ++index) {
    const size_t size = 16 + (index * 37 + seed * 11) % 3000;
    EXPECT(is_filled(blocks[index], size, seed + index));
    free(blocks[index]);
  }
}

void* live(void* argument) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    check_own_blocks(reinterpret_cast<uintptr_t>(argument));
  }
  return nullptr;
}

template <typename During>
void with_living_threads(During during) {
  __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
  pthread_t threads[kLive];
  for (size_t index = 0; index < kLive; ++index) {
    REQUIRE(pthread_create(&threads[index], nullptr, live, reinterpret_cast<void*>(index)) == 0);
  }
  during();
  __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

void* live_shortly(void*) {
  check_own_blocks(99);
  return nullptr;
}

// Threads that end in every way, one after the other.
void end_many() {
  for (int count = 0; count < 100; ++count) {
    start_and_join(end_by_system_call);
    start_and_join(live_shortly);
    start_and_join(end_allocating);
  }
}

}  // namespace

CASE(threads_that_end_by_the_system_call_leave_nothing) {
  if (contract::not_promised_by_libc()) return;
  expect_no_growth(end_by_system_call);
}

CASE(threads_that_allocate_last_of_all_leave_nothing) {
  if (contract::not_promised_by_libc()) return;
  make_late_key();
  expect_no_growth(end_allocating);
}

CASE(a_child_of_vfork_may_allocate_first) {
  struct Vforks {
    static void* run(void*) {
      const pid_t child = vfork();
      if (child == 0) {
        free(malloc(100));
        _exit(0);
      }
      int status = -1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      // The child is gone, and the thread goes on with the cache that it has got there.
      with_living_threads([] {
        for (int round = 0; round < 300; ++round) check_own_blocks(7);
      });
      return nullptr;
    }
  };
  start_and_join(Vforks::run);
}

CASE(living_threads_and_children_of_fork_keep_what_they_have) {
  make_late_key();
  with_living_threads([] {
    for (int round = 0; round < 5; ++round) {
      end_many();
      const int status = contract::run_in_child(60, [] {
        check_own_blocks(50);
        end_many();
        check_own_blocks(51);
      });
      EXPECT_EQ(status, 0);
    }
  });
}

// All at once, and none comes after them: the background thread finds them. So many have more than
// the 32 MiB that start it.
CASE(what_many_threads_leave_goes_back_in_time) {
  if (contract::not_promised_by_libc()) return;
  constexpr size_t kThreads = 200;
  constexpr size_t kBound = 16 * kMiB;
  sem_init(&have_allocated, 0, 0);
  sem_init(&may_end, 0, 0);
  pthread_t threads[kThreads];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, end_with_others, nullptr) == 0);
  }
  for (size_t count = 0; count < kThreads; ++count) sem_wait(&have_allocated);
  const size_t before = contract::resident_bytes();
  for (size_t count = 0; count < kThreads; ++count) sem_post(&may_end);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  const size_t after = contract::wait_until_resident(kBound, 30);
  contract::say("resident %zu, then %zu", before, after);
  EXPECT(after <= kBound);
}

RUN_CASES()
