// Threads that come and go: their caches come back, and their memory with them.
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;
using contract::kKiB;
using contract::kMiB;
using contract::resident_bytes;

constexpr size_t kLeft = 50;

// Allocates blocks of many sizes, frees half of them, and leaves the others to the joiner.
void* short_life(void* left) {
  void** blocks = static_cast<void**>(left);
  for (size_t i = 0; i < kLeft; ++i) {
    void* gone = malloc(i * 40);
    blocks[i] = malloc(1 + i * 77);
    if (gone == nullptr || blocks[i] == nullptr) {
      EXPECT(gone != nullptr && blocks[i] != nullptr);
      return nullptr;
    }
    memset(gone, 1, i * 40);
    fill(blocks[i], 1 + i * 77, i);
    free(gone);
  }
  return left;
}

void churn(int threads) {
  void* left[kLeft] = {};
  for (int i = 0; i < threads; ++i) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, short_life, left) == 0);
    pthread_join(thread, nullptr);
    for (size_t j = 0; j < kLeft; ++j) {
      EXPECT(is_filled(left[j], 1 + j * 77, j));
      free(left[j]);
    }
  }
}

struct Crowd {
  pthread_barrier_t barrier;
};

constexpr size_t kHeld = 400;

// Holds blocks until all threads of the crowd hold theirs.
void* member(void* argument) {
  Crowd* crowd = static_cast<Crowd*>(argument);
  const uint64_t seed = reinterpret_cast<uintptr_t>(&crowd);
  void* held[kHeld];
  for (size_t i = 0; i < kHeld; ++i) {
    held[i] = malloc(i);
    if (held[i] != nullptr) fill(held[i], i, seed + i);
  }
  pthread_barrier_wait(&crowd->barrier);
  for (size_t i = 0; i < kHeld; ++i) {
    EXPECT(held[i] != nullptr && is_filled(held[i], i, seed + i));
    free(held[i]);
  }
  pthread_barrier_wait(&crowd->barrier);
  return nullptr;
}

// Every path of malloc on a stack as small as the system allows.
void* on_a_small_stack(void*) {
  for (size_t size = 1; size < 200 * kMiB; size = size * 2 + 1) {
    void* block = calloc(1, size);
    block = realloc(block, size + size / 2);
    EXPECT(block != nullptr);
    free(block);
    block = memalign(64 * kKiB, size);
    EXPECT(block != nullptr);
    free(block);
  }
  malloc_trim(0);
  return nullptr;
}

}  // namespace

CASE(thread_churn_keeps_memory_flat) {
  churn(2000);
  const size_t before = resident_bytes();
  churn(18000);
  const size_t after = resident_bytes();
  contract::say("resident after 2000 threads %zu, after 20000 %zu", before, after);
  EXPECT(after < before + 4 * kMiB);
}

CASE(detached_threads_keep_memory_flat) {
  static int running = 0;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 64 * kKiB);
  const auto life = [](void*) -> void* {
    for (size_t i = 0; i < 200; ++i) free(calloc(1, i * 30));
    __atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
    return nullptr;
  };
  size_t before = 0;
  for (int i = 0; i < 6000; ++i) {
    while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) >= 8) contract::sleep_milliseconds(0);
    __atomic_add_fetch(&running, 1, __ATOMIC_RELAXED);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, &attributes, life, nullptr) == 0);
    if (i == 1000) before = resident_bytes();
  }
  while (__atomic_load_n(&running, __ATOMIC_ACQUIRE) > 0) contract::sleep_milliseconds(1);
  pthread_attr_destroy(&attributes);
  EXPECT(resident_bytes() < before + 6 * kMiB);
}

CASE(five_hundred_threads_at_once) {
  constexpr unsigned kThreads = 500;
  static pthread_t threads[kThreads];
  static Crowd crowd;
  size_t after_first = 0;
  for (int round = 0; round < 3; ++round) {
    pthread_barrier_init(&crowd.barrier, nullptr, kThreads);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * kKiB);
    for (pthread_t& thread : threads) {
      REQUIRE(pthread_create(&thread, &attributes, member, &crowd) == 0);
    }
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    pthread_barrier_destroy(&crowd.barrier);
    if (round == 0) after_first = resident_bytes();
  }
  const size_t after_last = resident_bytes();
  contract::say("resident after the first crowd %zu, the last %zu", after_first, after_last);
  EXPECT(after_last < after_first + 40 * kMiB);
}

CASE(small_stacks_suffice) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  // The least that glibc takes. musl takes 2 KiB, no more than some of its own calls need.
  const size_t least = static_cast<size_t>(sysconf(_SC_THREAD_STACK_MIN));
  const size_t stack = least > 16 * kKiB ? least : 16 * kKiB;
  REQUIRE(pthread_attr_setstacksize(&attributes, stack) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, on_a_small_stack, nullptr) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

RUN_CASES()
