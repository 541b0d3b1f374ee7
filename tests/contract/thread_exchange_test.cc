// Blocks allocated in one thread and freed in another: correct, and bounded in memory.
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;
using contract::resident_bytes;

// A bounded queue for one producer and one consumer.
class Queue {
 public:
  void push(void* block) {
    const size_t tail = tail_;
    while (tail - __atomic_load_n(&head_, __ATOMIC_ACQUIRE) == kCapacity) sched_yield();
    slots_[tail % kCapacity] = block;
    __atomic_store_n(&tail_, tail + 1, __ATOMIC_RELEASE);
  }

  void* pop() {
    const size_t head = head_;
    while (__atomic_load_n(&tail_, __ATOMIC_ACQUIRE) == head) sched_yield();
    void* block = slots_[head % kCapacity];
    __atomic_store_n(&head_, head + 1, __ATOMIC_RELEASE);
    return block;
  }

 private:
  static constexpr size_t kCapacity = 2048;

  alignas(64) size_t head_ = 0;
  alignas(64) size_t tail_ = 0;
  alignas(64) void* slots_[kCapacity];
};

struct Stage {
  Queue* from;
  Queue* to;
  size_t blocks;
  size_t largest;
};

void* produce(void* argument) {
  const Stage* stage = static_cast<Stage*>(argument);
  contract::Random random(stage->largest);
  for (size_t i = 0; i < stage->blocks; ++i) {
    const size_t size = 8 + random.below(stage->largest);
    size_t* block = static_cast<size_t*>(malloc(size));
    if (block != nullptr) block[0] = i;
    stage->to->push(block);
  }
  return nullptr;
}

void* consume(void* argument) {
  const Stage* stage = static_cast<Stage*>(argument);
  size_t wrong = 0;
  for (size_t i = 0; i < stage->blocks; ++i) {
    size_t* block = static_cast<size_t*>(stage->from->pop());
    wrong += block == nullptr || block[0] != i ? 1 : 0;
    free(block);
  }
  EXPECT_EQ(wrong, 0u);
  return nullptr;
}

// Frees what comes in and passes on as many blocks of its own.
void* replace(void* argument) {
  const Stage* stage = static_cast<Stage*>(argument);
  for (size_t i = 0; i < stage->blocks; ++i) {
    void* block = stage->from->pop();
    const size_t size = malloc_usable_size(block);
    free(block);
    size_t* own = static_cast<size_t*>(malloc(size));
    if (own != nullptr) own[0] = i;
    stage->to->push(own);
  }
  return nullptr;
}

void expect_bounded(size_t blocks, size_t largest, size_t bound) {
  static Queue first;
  static Queue second;
  const size_t before = resident_bytes();
  Stage source{nullptr, &first, blocks, largest};
  Stage middle{&first, &second, blocks, largest};
  Stage sink{&second, nullptr, blocks, largest};
  pthread_t threads[3];
  REQUIRE(pthread_create(&threads[0], nullptr, produce, &source) == 0);
  REQUIRE(pthread_create(&threads[1], nullptr, replace, &middle) == 0);
  REQUIRE(pthread_create(&threads[2], nullptr, consume, &sink) == 0);
  size_t peak = 0;
  for (int i = 0; i < 20; ++i) {
    contract::sleep_milliseconds(20);
    const size_t resident = resident_bytes();
    if (resident > peak) peak = resident;
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  const size_t resident = resident_bytes();
  if (resident > peak) peak = resident;
  contract::say("blocks to %zu bytes: resident %zu -> %zu", largest, before, peak);
  EXPECT(peak < before + bound);
}

void* free_all(void* list) {
  for (void** node = static_cast<void**>(list); node != nullptr;) {
    void** next = static_cast<void**>(*node);
    free(node);
    node = next;
  }
  return nullptr;
}

}  // namespace

CASE(a_pipeline_of_small_blocks_is_bounded) {
  expect_bounded(800000, 100, 20 * kMiB);
}
CASE(a_pipeline_of_middle_blocks_is_bounded) {
  expect_bounded(300000, 2000, 40 * kMiB);
}
CASE(a_pipeline_of_large_blocks_is_bounded) {
  expect_bounded(20000, 60000, 400 * kMiB);
}

// One thread allocates much and never frees, another only frees, again and again.
CASE(all_blocks_freed_elsewhere_are_used_again) {
  const size_t before = resident_bytes();
  for (int round = 0; round < 15; ++round) {
    void** list = nullptr;
    for (int i = 0; i < 200000; ++i) {
      void** node = static_cast<void**>(malloc(200));
      REQUIRE(node != nullptr);
      *node = list;
      list = node;
    }
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, free_all, list) == 0);
    pthread_join(thread, nullptr);
  }
  const size_t after = resident_bytes();
  contract::say("resident %zu -> %zu", before, after);
  EXPECT(after < before + 90 * kMiB);
}

RUN_CASES()
