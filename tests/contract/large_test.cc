// Blocks of megabytes: growth by realloc, memory given back, alignment.
#include <malloc.h>
#include <sys/resource.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::is_zero;
using contract::kMiB;
using contract::resident_bytes;

size_t page_faults() {
  rusage usage{};
  EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
  return static_cast<size_t>(usage.ru_minflt);
}

// A block that is written, grows past one that lies behind it, and is written again.
void grow_and_free(size_t from, size_t to) {
  auto* block = static_cast<char*>(malloc(from));
  REQUIRE(block != nullptr);
  memset(block, 1, from);
  void* behind = malloc(200000);
  block = static_cast<char*>(realloc(block, to));
  REQUIRE(block != nullptr);
  memset(block + from, 1, to - from);
  free(behind);
  free(block);
}

}  // namespace

// The first case, for what follows others may be kept.
CASE(a_huge_block_goes_back_when_it_is_freed) {
  const size_t before = resident_bytes();
  void* block = malloc(100 * kMiB);
  REQUIRE(block != nullptr);
  fill(block, 100 * kMiB, 3);
  EXPECT(resident_bytes() > before + 90 * kMiB);
  free(block);
  EXPECT(resident_bytes() < before + 10 * kMiB);
}

CASE(realloc_grows_from_1_byte_to_300_mib) {
  size_t size = 1;
  void* block = malloc(size);
  REQUIRE(block != nullptr);
  fill(block, size, 9);
  while (size < 300 * kMiB) {
    const size_t next = size + size / 2 + 1;
    block = realloc(block, next);
    REQUIRE(block != nullptr);
    EXPECT(is_aligned(block, 16));
    EXPECT(is_filled(block, size, 9));
    fill(block, next, 9);
    size = next;
  }
  free(block);
}

// A vector that grows by a constant amount must not copy everything at every step.
CASE(growth_by_small_steps_is_not_quadratic) {
  const double start = contract::now();
  size_t size = 64 * kMiB;
  char* block = static_cast<char*>(malloc(size));
  REQUIRE(block != nullptr);
  memset(block, 1, size);
  while (size < 300 * kMiB) {
    char* grown = static_cast<char*>(realloc(block, size + kMiB / 4));
    REQUIRE(grown != nullptr);
    block = grown;
    memset(block + size, 1, kMiB / 4);
    size += kMiB / 4;
  }
  EXPECT(block[0] == 1 && block[size - 1] == 1 && block[size / 2] == 1);
  free(block);
  const double seconds = contract::now() - start;
  contract::say("growth of 64 to 300 MiB by 256 KiB: %.2f s", seconds);
  EXPECT(seconds < 6);
}

// Memory that was used a moment ago is used again, wherever the blocks lie.
CASE(blocks_that_grow_time_and_again_use_the_same_memory) {
  for (int round = 0; round < 4; ++round) grow_and_free(2 * kMiB, 5 * kMiB);
  const size_t before = page_faults();
  for (int round = 0; round < 40; ++round) grow_and_free(2 * kMiB, 5 * kMiB);
  // A twentieth of the pages that were written.
  EXPECT(page_faults() - before < 40 * (5 * kMiB / 4096) / 20);
}

// Nor is huge memory that is freed and taken in turn given back each time.
CASE(huge_blocks_taken_time_and_again_use_the_same_memory) {
  if (contract::not_promised_by_libc()) return;
  // What other cases left may lie elsewhere.
  malloc_trim(0);
  size_t before = 0;
  for (int round = 0; round < 40; ++round) {
    if (round == 4) before = page_faults();
    void* block = malloc(64 * kMiB);
    REQUIRE(block != nullptr);
    fill(block, 64 * kMiB, static_cast<unsigned>(round));
    free(block);
  }
  // Without its thread, or under a tool that ends it, the allocator keeps nothing.
  if (contract::count_threads() == 1) return contract::say("no background thread");
  EXPECT(page_faults() - before < 36 * (64 * kMiB / 4096) / 20);
}

CASE(shrinking_gives_memory_back) {
  for (const size_t size : {40 * kMiB, 200 * kMiB}) {
    malloc_trim(0);
    const size_t before = resident_bytes();
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    fill(block, size, 2);
    EXPECT(resident_bytes() > before + size - 8 * kMiB);
    void* small = realloc(block, kMiB);
    REQUIRE(small != nullptr);
    EXPECT(is_filled(small, kMiB, 2));
    malloc_trim(0);
    EXPECT(resident_bytes() < before + 10 * kMiB);
    EXPECT(malloc_usable_size(small) < 2 * kMiB);
    small = realloc(small, 100);
    REQUIRE(small != nullptr);
    EXPECT(is_filled(small, 100, kMiB, 2));
    free(small);
  }
}

CASE(freed_large_blocks_give_memory_back) {
  malloc_trim(0);
  const size_t before = resident_bytes();
  for (int round = 0; round < 10; ++round) {
    void* block[4];
    for (void*& one : block) {
      one = malloc(50 * kMiB);
      REQUIRE(one != nullptr);
      memset(one, 1, 50 * kMiB);
    }
    for (void* one : block) free(one);
  }
  malloc_trim(0);
  EXPECT(resident_bytes() < before + 20 * kMiB);
}

CASE(large_blocks_of_many_sizes_are_apart) {
  constexpr size_t kBlocks = 100;
  void* block[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t size = 32 * 1024 + i * 30000;
    block[i] = i % 2 == 0 ? malloc(size) : memalign(size_t{4096} << i % 8, size);
    REQUIRE(block[i] != nullptr);
    EXPECT(is_aligned(block[i], 16));
    fill(block[i], size, i);
  }
  for (size_t i = 0; i < kBlocks; ++i) {
    EXPECT(is_filled(block[i], 32 * 1024 + i * 30000, i));
    free(block[i]);
  }
}

CASE(random_large_reallocs_keep_the_contents) {
  contract::Random random(21);
  constexpr size_t kBlocks = 8;
  void* block[kBlocks] = {};
  size_t sizes[kBlocks] = {};
  for (int step = 0; step < 300; ++step) {
    const size_t i = random.below(kBlocks);
    const size_t size = 1 + random.below(size_t{1} << (15 + random.below(10)));
    block[i] = realloc(block[i], size);
    REQUIRE(block[i] != nullptr);
    EXPECT(is_filled(block[i], size < sizes[i] ? size : sizes[i], sizes[i], i));
    fill(block[i], size, i);
    sizes[i] = size;
  }
  for (void* one : block) free(one);
}

CASE(calloc_is_zero_to_the_usable_end) {
  for (const size_t size : {size_t{200001}, size_t{700001}, 3 * kMiB + 1}) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    fill(block, malloc_usable_size(block), 4);
    free(block);
    block = calloc(1, size);
    REQUIRE(block != nullptr);
    EXPECT(is_zero(block, malloc_usable_size(block)));
    free(block);
  }
}

CASE(fresh_large_calloc_touches_no_memory) {
  malloc_trim(0);
  const size_t before = resident_bytes();
  char* block = static_cast<char*>(calloc(1, 512 * kMiB));
  REQUIRE(block != nullptr);
  EXPECT(resident_bytes() < before + 16 * kMiB);
  EXPECT(is_zero(block + 100 * kMiB, kMiB));
  free(block);
}

RUN_CASES()
