// What threads that sleep keep in their caches goes back, and nothing is lost when they wake up in
// the middle of it, sleep in signal handlers that interrupted malloc, or fork. The clock of the
// scavenger ticks every 10 ms here, set by the test's environment.
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;
using contract::resident_bytes;

struct Random {
  uint64_t state;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  size_t below(size_t bound) { return static_cast<size_t>(next() % bound); }
};

struct Block {
  unsigned char* bytes;
  size_t size;
};

size_t random_size(Random& random) {
  switch (random.below(4)) {
    case 0:
      return 16 + random.below(240);
    case 1:
      return 16 + random.below(1000);
    case 2:
      return 16 + random.below(8 * kKiB);
    default:
      return 16 + random.below(40 * kKiB);
  }
}

void fill(Block& block, size_t size, unsigned char value) {
  block.bytes = static_cast<unsigned char*>(malloc(size));
  REQUIRE(block.bytes != nullptr);
  block.size = size;
  memset(block.bytes, value, size);
}

void check_and_free(Block& block, unsigned char value) {
  if (block.bytes == nullptr) return;
  for (size_t index = 0; index < block.size; index += 97) EXPECT(block.bytes[index] == value);
  EXPECT(block.bytes[block.size - 1] == value);
  free(block.bytes);
  block = {};
}

constexpr size_t kBlocksOfAThread = 400;

void churn(Block* blocks, Random& random, unsigned char value, size_t steps) {
  for (size_t step = 0; step < steps; ++step) {
    Block& block = blocks[random.below(kBlocksOfAThread)];
    if (block.bytes != nullptr) {
      check_and_free(block, value);
    } else {
      fill(block, random_size(random), value);
    }
  }
}

// Below a certain size the heap has no background thread. Never written to, so it is not resident.
void make_heap_large() {
  static void* const ballast = malloc(64 * kMiB);
  REQUIRE(ballast != nullptr);
}

// Threads that sleep a little again and again, so that they wake up while their caches are being
// emptied.
constexpr size_t kThreads = 8;
constexpr double kSeconds = 3;
constexpr double kChildSeconds = 20;
volatile bool stop = false;
volatile bool handlers_sleep = false;

void sleep_in_handler(int) {
  const int before = errno;
  if (handlers_sleep) contract::sleep_milliseconds(25);
  errno = before;
}

void* live(void* argument) {
  const auto index = reinterpret_cast<uintptr_t>(argument);
  Random random{index * 7919 + 1};
  static Block blocks[kThreads][kBlocksOfAThread];
  const auto value = static_cast<unsigned char>(index + 1);
  while (!stop) {
    churn(blocks[index], random, value, 200 + random.below(3000));
    contract::sleep_milliseconds(static_cast<int>(random.below(60)));
  }
  for (Block& block : blocks[index]) check_and_free(block, value);
  return nullptr;
}

template <typename During>
void run_threads(During during) {
  make_heap_large();
  stop = false;
  pthread_t threads[kThreads];
  for (size_t index = 0; index < kThreads; ++index) {
    REQUIRE(pthread_create(&threads[index], nullptr, live, reinterpret_cast<void*>(index)) == 0);
  }
  const double start = contract::now();
  while (contract::now() - start < kSeconds) during(threads);
  stop = true;
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}

// Fills and frees memory, and waits.
void* burst_and_block(void* argument) {
  Random random{reinterpret_cast<uintptr_t>(argument) | 1};
  constexpr size_t kCount = 3000;
  void** blocks = static_cast<void**>(mmap(nullptr, kCount * sizeof(void*), PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (int burst = 0; burst < 3; ++burst) {
    for (size_t index = 0; index < kCount; ++index) {
      const size_t size = 16 + random.below(2000);
      blocks[index] = malloc(size);
      memset(blocks[index], 1, size);
    }
    for (size_t index = 0; index < kCount; ++index) free(blocks[index]);
  }
  munmap(blocks, kCount * sizeof(void*));
  sem_post(static_cast<sem_t*>(argument));
  sem_wait(static_cast<sem_t*>(argument) + 1);
  // The thread has a cache as before.
  for (int round = 0; round < 1000; ++round) free(malloc(100));
  return nullptr;
}

}  // namespace

CASE(blocked_threads_give_back_what_they_hold) {
  if (contract::not_promised_by_libc()) return;
  constexpr size_t kBlocked = 32;
  static sem_t semaphores[2];
  sem_init(&semaphores[0], 0, 0);
  sem_init(&semaphores[1], 0, 0);
  make_heap_large();
  pthread_t threads[kBlocked];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, burst_and_block, semaphores) == 0);
  }
  for (size_t index = 0; index < kBlocked; ++index) sem_wait(&semaphores[0]);
  const size_t before = resident_bytes();
  const double start = contract::now();
  // Stacks, metadata and the C library keep some.
  constexpr size_t kBound = 12 * kMiB;
  const size_t after = contract::wait_until_resident(kBound, 20);
  contract::say("resident %zu, %zu after %.1f s", before, after, contract::now() - start);
  EXPECT(after <= kBound);
  for (size_t index = 0; index < kBlocked; ++index) sem_post(&semaphores[1]);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}

CASE(threads_that_sleep_and_wake_lose_nothing) {
  run_threads([](pthread_t*) { contract::sleep_milliseconds(5); });
}

CASE(handlers_that_interrupt_malloc_and_sleep_lose_nothing) {
  struct sigaction action {};
  action.sa_handler = sleep_in_handler;
  REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
  Random random{99};
  handlers_sleep = true;
  run_threads([&](pthread_t* threads) {
    pthread_kill(threads[random.below(kThreads)], SIGUSR1);
    contract::sleep_milliseconds(1);
  });
  handlers_sleep = false;
}

CASE(forks_while_threads_sleep_lose_nothing) {
  Random random{7};
  run_threads([&](pthread_t*) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      contract::failures = 0;
      static Block blocks[kBlocksOfAThread];
      churn(blocks, random, 0x77, 2000);
      for (Block& block : blocks) check_and_free(block, 0x77);
      _exit(contract::has_failed() ? 1 : 0);
    }
    EXPECT_EQ(contract::wait_for(child, kChildSeconds), 0);
    (void)random.next();
  });
}

// A thread that wakes up only to fork, its cache perhaps in the hands of another.
CASE(sleepers_that_fork_keep_a_whole_cache) {
  make_heap_large();
  static Block blocks[kBlocksOfAThread];
  Random random{17};
  const double start = contract::now();
  while (contract::now() - start < kSeconds) {
    churn(blocks, random, 0x33, 3000);
    contract::sleep_milliseconds(20 + static_cast<int>(random.below(30)));
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      contract::failures = 0;
      churn(blocks, random, 0x33, 3000);
      contract::sleep_milliseconds(5);
      for (Block& block : blocks) check_and_free(block, 0x33);
      _exit(contract::has_failed() ? 1 : 0);
    }
    EXPECT_EQ(contract::wait_for(child, kChildSeconds), 0);
  }
  for (Block& block : blocks) check_and_free(block, 0x33);
}

RUN_CASES()
