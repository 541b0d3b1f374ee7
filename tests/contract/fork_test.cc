// fork from a process whose threads allocate: parent and child go on, nothing deadlocks, and
// nothing is lost.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;
using contract::kMiB;
using contract::resident_bytes;

constexpr double kChildSeconds = 10;
constexpr int kWorkers = 8;

bool stop = false;
pthread_t workers[kWorkers];

bool stopped() {
  return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

// Allocates and frees blocks of all kinds until told to stop.
void* work(void* argument) {
  contract::Random random(reinterpret_cast<uintptr_t>(argument));
  void* blocks[64] = {};
  size_t sizes[64] = {};
  while (!stopped()) {
    const size_t i = random.below(64);
    EXPECT(is_filled(blocks[i], sizes[i], i));
    const size_t limit = random.below(500) == 0 ? 300000 : 200;
    sizes[i] = 1 + random.below(limit);
    if (random.below(4) == 0) {
      blocks[i] = realloc(blocks[i], sizes[i]);
    } else {
      free(blocks[i]);
      blocks[i] = malloc(sizes[i]);
    }
    if (blocks[i] == nullptr) abort();
    fill(blocks[i], sizes[i], i);
  }
  for (void* block : blocks) free(block);
  return nullptr;
}

void start_workers() {
  __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
  for (size_t i = 0; i < kWorkers; ++i) {
    REQUIRE(pthread_create(&workers[i], nullptr, work, reinterpret_cast<void*>(i + 1)) == 0);
  }
}

void stop_workers() {
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (const pthread_t worker : workers) pthread_join(worker, nullptr);
}

void* some_mallocs(void*) {
  for (size_t i = 0; i < 500; ++i) free(calloc(1, i * 10));
  return nullptr;
}

// What a child does with its heap.
void use_heap(void** inherited, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    EXPECT(is_filled(inherited[i], i * 5, i));
    free(inherited[i]);
  }
  for (size_t size = 1; size < kMiB; size = size * 4 + 1) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    fill(block, size, size);
    block = realloc(block, size * 2);
    REQUIRE(block != nullptr);
    EXPECT(is_filled(block, size, size));
    free(block);
  }
  some_mallocs(nullptr);
}

void allocate_inherited(void** inherited, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    inherited[i] = malloc(i * 5);
    REQUIRE(inherited[i] != nullptr);
    fill(inherited[i], i * 5, i);
  }
}

void free_inherited(void** inherited, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    EXPECT(is_filled(inherited[i], i * 5, i));
    free(inherited[i]);
  }
}

}  // namespace

CASE(storm_of_forks_among_allocating_threads) {
  start_workers();
  constexpr size_t kInherited = 300;
  static void* inherited[kInherited];
  const double end = contract::now() + 4;
  int forks = 0;
  for (; contract::now() < end && !contract::has_failed(); ++forks) {
    allocate_inherited(inherited, kInherited);
    const int status =
        contract::run_in_child(kChildSeconds, [] { use_heap(inherited, kInherited); });
    EXPECT_EQ(status, 0);
    free_inherited(inherited, kInherited);
  }
  stop_workers();
  contract::say("%d forks", forks);
}

CASE(children_may_start_threads) {
  start_workers();
  for (int i = 0; i < 100 && !contract::has_failed(); ++i) {
    const int status = contract::run_in_child(kChildSeconds, [] {
      pthread_t threads[4];
      for (pthread_t& thread : threads) {
        REQUIRE(pthread_create(&thread, nullptr, some_mallocs, nullptr) == 0);
      }
      for (const pthread_t thread : threads) pthread_join(thread, nullptr);
      some_mallocs(nullptr);
      malloc_trim(0);
    });
    EXPECT_EQ(status, 0);
  }
  stop_workers();
}

CASE(children_may_fork) {
  start_workers();
  for (int i = 0; i < 40 && !contract::has_failed(); ++i) {
    const int status = contract::run_in_child(kChildSeconds, [] {
      some_mallocs(nullptr);
      const int inner = contract::run_in_child(kChildSeconds, [] {
        const int innermost = contract::run_in_child(kChildSeconds, [] { use_heap(nullptr, 0); });
        EXPECT_EQ(innermost, 0);
        use_heap(nullptr, 0);
      });
      EXPECT_EQ(inner, 0);
      use_heap(nullptr, 0);
    });
    EXPECT_EQ(status, 0);
  }
  stop_workers();
}

CASE(all_threads_may_fork_at_once) {
  const auto fork_often = [](void*) -> void* {
    for (int i = 0; i < 40 && !contract::has_failed(); ++i) {
      some_mallocs(nullptr);
      const int status = contract::run_in_child(kChildSeconds, [] { some_mallocs(nullptr); });
      EXPECT_EQ(status, 0);
    }
    return nullptr;
  };
  pthread_t threads[4];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, fork_often, nullptr) == 0);
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

// The caches of threads that did not survive the fork are used again in the child: a line of
// descendants, each forked while threads hold cached memory, does not grow.
CASE(caches_of_threads_that_are_gone_come_back) {
  static bool filled;
  static pthread_barrier_t barrier;
  const auto hoard = [](void*) -> void* {
    void* blocks[2000];
    for (size_t i = 0; i < 2000; ++i) blocks[i] = malloc(16 + i);
    for (void* block : blocks) free(block);
    pthread_barrier_wait(&barrier);
    if (filled) pause();
    return nullptr;
  };
  filled = true;
  struct Line {
    static void descend(void* (*body)(void*), int generations, size_t first) {
      pthread_barrier_init(&barrier, nullptr, 5);
      for (int i = 0; i < 4; ++i) {
        pthread_t thread;
        REQUIRE(pthread_create(&thread, nullptr, body, nullptr) == 0);
        pthread_detach(thread);
      }
      pthread_barrier_wait(&barrier);
      const size_t resident = resident_bytes();
      if (first == 0) first = resident;
      if (generations == 0) {
        contract::say("resident %zu in the first generation, %zu in the last", first, resident);
        EXPECT(resident < first + 24 * kMiB);
        return;
      }
      const int status = contract::run_in_child(30, [=] { descend(body, generations - 1, first); });
      EXPECT_EQ(status, 0);
    }
  };
  const int status = contract::run_in_child(60, [&] { Line::descend(hoard, 12, 0); });
  EXPECT_EQ(status, 0);
}

CASE(the_scavenging_of_a_parent_does_not_harm_the_child) {
  static void* block[100000];
  for (int round = 0; round < 5; ++round) {
    for (void*& one : block) {
      one = malloc(1000);
      REQUIRE(one != nullptr);
      memset(one, 1, 1000);
    }
    for (void* one : block) free(one);
    const int status = contract::run_in_child(kChildSeconds, [] {
      use_heap(nullptr, 0);
      malloc_trim(0);
      contract::sleep_milliseconds(50);
      use_heap(nullptr, 0);
    });
    EXPECT_EQ(status, 0);
  }
}

RUN_CASES()
