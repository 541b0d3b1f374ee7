// That one block of a hundred is a sampled one, whichever call makes it and however the program
// goes about it. The test's environment asks for sample_guard=100. A sampled block is known by its
// usable size, which is the size that was asked for.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr size_t kBlocks = 200000;
constexpr size_t kInterval = 100;
// No size class has blocks of this size.
constexpr size_t kSize = 100;

bool is_sampled(void* block) {
  return malloc_usable_size(block) == kSize;
}

// The distances are even between 1 and 199, so the count deviates by 1.3 % (one sigma).
bool is_as_promised(size_t sampled, size_t blocks) {
  const size_t wanted = blocks / kInterval;
  contract::say("%zu of %zu blocks sampled", sampled, blocks);
  return sampled > wanted - wanted / 10 && sampled < wanted + wanted / 10;
}

// A block at a time, all of which come from the place of the one before.
template <typename Allocate>
size_t count_sampled(Allocate allocate) {
  size_t sampled = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    void* block = allocate();
    if (block == nullptr) return 0;
    sampled += is_sampled(block) ? 1 : 0;
    free(block);
  }
  return sampled;
}

}  // namespace

CASE(blocks_of_malloc_are_sampled) {
  EXPECT(is_as_promised(count_sampled([] { return malloc(kSize); }), kBlocks));
}

CASE(blocks_of_calloc_are_sampled_and_zero) {
  EXPECT(is_as_promised(count_sampled([] {
                          void* block = calloc(1, kSize);
                          EXPECT(contract::is_zero(block, kSize));
                          memset(block, 1, kSize);
                          return block;
                        }),
                        kBlocks));
}

CASE(aligned_blocks_are_sampled) {
  EXPECT(is_as_promised(count_sampled([] {
                          void* block = memalign(64, kSize);
                          EXPECT(contract::is_aligned(block, 64));
                          return block;
                        }),
                        kBlocks));
}

// Every round makes two blocks, of which the one that moved is counted.
CASE(blocks_of_realloc_are_sampled) {
  EXPECT(is_as_promised(count_sampled([] { return realloc(malloc(3000), kSize); }), kBlocks));
}

// In a heap that grows, where few blocks come from lists.
CASE(blocks_that_stay_are_sampled) {
  constexpr size_t kStay = 20000;
  static void* blocks[kStay];
  size_t sampled = 0;
  for (void*& block : blocks) {
    block = malloc(kSize);
    REQUIRE(block != nullptr);
    sampled += is_sampled(block) ? 1 : 0;
  }
  contract::say("%zu of %zu blocks sampled", sampled, kStay);
  EXPECT(sampled > kStay / kInterval * 7 / 10 && sampled < kStay / kInterval * 13 / 10);
  for (void* block : blocks) free(block);
}

// Small ones and large ones in between are never sampled blocks of this size, but count.
CASE(blocks_of_other_sizes_count) {
  size_t sampled = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    void* others[] = {malloc(0), malloc(3000), malloc(40000), malloc(100000)};
    void* block = malloc(kSize);
    REQUIRE(block != nullptr);
    sampled += is_sampled(block) ? 1 : 0;
    free(block);
    for (void* other : others) free(other);
  }
  EXPECT(is_as_promised(sampled, kBlocks));
}

CASE(every_thread_is_sampled) {
  constexpr size_t kThreads = 4;
  pthread_t threads[kThreads];
  const auto body = [](void*) -> void* {
    EXPECT(is_as_promised(count_sampled([] { return malloc(kSize); }), kBlocks));
    return nullptr;
  };
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, body, nullptr) == 0);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}

RUN_CASES()
