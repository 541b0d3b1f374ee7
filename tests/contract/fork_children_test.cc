// Children that are programs of their own: they start threads that allocate, free what they
// inherited from any thread, grow far beyond what they were born with, and fork again. The
// allocator's own thread, which a fork does not copy, is there again when the child grows.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;
using contract::kMiB;

constexpr double kChildSeconds = 60;
constexpr size_t kThreads = 8;
constexpr size_t kBlocks = 2000;

// Blocks that are handed from thread to thread: taken and put with an exchange.
void* shared[kBlocks];

size_t size_of(size_t index) {
  return 8 + index * 7 % 1500;
}

void* exchange_blocks(void* argument) {
  contract::Random random(reinterpret_cast<uintptr_t>(argument));
  for (int i = 0; i < 20000; ++i) {
    const size_t index = random.below(kBlocks);
    void* block = malloc(size_of(index));
    if (block == nullptr) abort();
    fill(block, size_of(index), index);
    void* old = __atomic_exchange_n(&shared[index], block, __ATOMIC_ACQ_REL);
    EXPECT(old == nullptr || is_filled(old, size_of(index), index));
    free(old);
  }
  return nullptr;
}

void run_threads() {
  pthread_t threads[kThreads];
  for (size_t i = 0; i < kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, exchange_blocks, reinterpret_cast<void*>(i + 1)) ==
            0);
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

constexpr double kMostSeconds = 20;
constexpr size_t kManyBlocks = 200000;
void* many[kManyBlocks];

// 96 MiB, well beyond where the allocator starts its thread.
void grow() {
  for (void*& block : many) {
    block = malloc(500);
    REQUIRE(block != nullptr);
    memset(block, 1, 500);
  }
}

void shrink() {
  for (void*& block : many) {
    free(block);
    block = nullptr;
  }
}

bool has_background_thread() {
  return contract::count_threads() == 2;
}

bool is_alone() {
  return contract::count_threads() == 1;
}

bool is_small() {
  return contract::resident_bytes() < 40 * kMiB;
}

// Grows and shrinks, then has `generations` of descendants do so.
void live(int generations) {
  EXPECT(is_alone());
  grow();
  EXPECT(contract::becomes_true(kMostSeconds, has_background_thread));
  if (generations > 0) {
    // The first child is born with a large heap, the second with a large free one.
    EXPECT_EQ(contract::run_in_child(kChildSeconds,
                                     [=] {
                                       EXPECT(is_alone());
                                       shrink();
                                       live(generations - 1);
                                     }),
              0);
  }
  shrink();
  EXPECT(contract::becomes_true(kMostSeconds, is_small));
  if (generations > 0) {
    EXPECT_EQ(contract::run_in_child(kChildSeconds, [=] { live(generations - 1); }), 0);
  }
}

}  // namespace

CASE(children_go_on_with_threads) {
  run_threads();
  for (int i = 0; i < 20 && !contract::has_failed(); ++i) {
    EXPECT_EQ(contract::run_in_child(kChildSeconds, run_threads), 0);
  }
}

// Parent and children work at the same time, on copies of the same blocks.
CASE(many_children_at_once) {
  pid_t children[8];
  for (pid_t& child : children) {
    child = fork();
    if (child == 0) {
      contract::failures = 0;
      run_threads();
      malloc_trim(0);
      run_threads();
      _exit(contract::has_failed() ? 1 : 0);
    }
    REQUIRE(child > 0);
    exchange_blocks(&child);
  }
  run_threads();
  for (const pid_t child : children) EXPECT_EQ(contract::wait_for(child, kChildSeconds), 0);
}

// A thread other than the first forks; it is the only one of the child, and ends there.
CASE(the_forking_thread_may_end_in_the_child) {
  const auto fork_and_end = [](void*) -> void* {
    const pid_t child = fork();
    if (child == 0) {
      contract::failures = 0;
      pthread_t thread;
      const auto outlive = [](void* first) -> void* {
        pthread_join(*static_cast<pthread_t*>(first), nullptr);
        run_threads();
        _exit(contract::has_failed() ? 1 : 0);
      };
      static pthread_t self;
      self = pthread_self();
      if (pthread_create(&thread, nullptr, outlive, &self) != 0) _exit(2);
      free(malloc(100));
      pthread_exit(nullptr);
    }
    EXPECT_EQ(contract::wait_for(child, kChildSeconds), 0);
    return nullptr;
  };
  for (int i = 0; i < 10 && !contract::has_failed(); ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, fork_and_end, nullptr) == 0);
    pthread_join(thread, nullptr);
  }
}

CASE(the_background_thread_is_there_again_in_children) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_in_child(3 * kChildSeconds, [] { live(2); }), 0);
}

// It takes no memory that would start a thread. What it frees before it has lived for an epoch may
// stay, for it may be about to end.
CASE(a_child_that_only_frees_gives_back) {
  if (contract::not_promised_by_libc()) return;
  grow();
  EXPECT_EQ(contract::run_in_child(kChildSeconds,
                                   [] {
                                     contract::sleep_milliseconds(500);
                                     shrink();
                                     EXPECT(is_small());
                                     EXPECT(is_alone());
                                   }),
            0);
  shrink();
}

RUN_CASES()
