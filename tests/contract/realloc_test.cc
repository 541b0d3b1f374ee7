// realloc, reallocarray and malloc_usable_size.
#include <malloc.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::kMiB;
using contract::opaque;

constexpr size_t kSizes[] = {1,     8,     16,    17,     24,     100,  255,      256,
                             257,   1000,  1024,  4095,   4096,   8192, 12345,    32767,
                             32768, 32769, 65536, 100000, 262144, kMiB, kMiB + 1, 3 * kMiB};

}  // namespace

CASE(realloc_between_all_sizes_keeps_the_contents) {
  for (const size_t from : kSizes) {
    for (const size_t to : kSizes) {
      void* block = malloc(from);
      REQUIRE(block != nullptr);
      fill(block, from, from ^ to);
      block = realloc(block, to);
      REQUIRE(block != nullptr);
      EXPECT(is_aligned(block, 16));
      EXPECT(malloc_usable_size(block) >= to);
      EXPECT(is_filled(block, from < to ? from : to, from, from ^ to));
      memset(block, 0x33, to);
      free(block);
    }
  }
}

CASE(realloc_of_null_is_malloc) {
  for (const size_t size : kSizes) {
    void* block = realloc(opaque(static_cast<void*>(nullptr)), size);
    REQUIRE(block != nullptr);
    fill(block, size, 1);
    free(block);
  }
  void* block = realloc(opaque(static_cast<void*>(nullptr)), 0);
  EXPECT(block != nullptr);
  free(block);
}

CASE(realloc_to_zero_frees_and_returns_null) {
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (int i = 0; i < 200000; ++i) {
    void* block = malloc(1000);
    REQUIRE(block != nullptr);
    errno = 4711;
    EXPECT(realloc(block, opaque(size_t{0})) == nullptr);
    EXPECT_EQ(errno, 4711);
  }
  for (int i = 0; i < 50; ++i) {
    void* block = malloc(20 * kMiB);
    REQUIRE(block != nullptr);
    EXPECT(realloc(block, opaque(size_t{0})) == nullptr);
  }
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  EXPECT(after < before + 20 * kMiB);
  EXPECT(reallocarray(malloc(10), opaque(size_t{0}), 8) == nullptr);
}

CASE(realloc_of_a_block_of_size_zero) {
  for (const size_t size : kSizes) {
    void* block = realloc(malloc(0), size);
    REQUIRE(block != nullptr);
    fill(block, size, 1);
    EXPECT(is_filled(block, size, 1));
    free(block);
  }
}

CASE(reallocarray_multiplies) {
  void* block = reallocarray(nullptr, 10, 10);
  REQUIRE(block != nullptr);
  EXPECT(malloc_usable_size(block) >= 100);
  fill(block, 100, 1);
  block = reallocarray(block, 300, 1000);
  REQUIRE(block != nullptr);
  EXPECT(malloc_usable_size(block) >= 300000);
  EXPECT(is_filled(block, 100, 1));
  free(block);
}

CASE(usable_size_is_stable_and_writable) {
  for (const size_t size : kSizes) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    const size_t usable = malloc_usable_size(block);
    EXPECT(usable >= size);
    fill(block, usable, size);
    void* neighbours[64];
    for (void*& neighbour : neighbours) {
      neighbour = malloc(size);
      REQUIRE(neighbour != nullptr);
      memset(neighbour, 0x77, malloc_usable_size(neighbour));
    }
    for (void* neighbour : neighbours) free(neighbour);
    EXPECT_EQ(malloc_usable_size(block), usable);
    EXPECT(is_filled(block, usable, size));
    free(block);
  }
}

// Programs write up to the usable size and then grow the block.
CASE(realloc_copies_all_of_the_usable_size) {
  for (const size_t size : kSizes) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    const size_t usable = malloc_usable_size(block);
    fill(block, usable, size);
    block = realloc(block, usable * 2 + 100000);
    REQUIRE(block != nullptr);
    EXPECT(is_filled(block, usable, size));
    free(block);
  }
}

CASE(realloc_within_the_usable_size_stays) {
  for (const size_t size : kSizes) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    void* same = realloc(block, malloc_usable_size(block));
    EXPECT(same != nullptr);
    same = realloc(same, size);
    EXPECT(same != nullptr);
    free(same);
  }
}

// Every step of many interleaved growths: neighbours must not be run over.
CASE(interleaved_growth_keeps_all_contents) {
  constexpr size_t kBlocks = 64;
  void* block[kBlocks];
  size_t sizes[kBlocks];
  for (size_t i = 0; i < kBlocks; ++i) {
    sizes[i] = i + 1;
    block[i] = malloc(sizes[i]);
    REQUIRE(block[i] != nullptr);
    fill(block[i], sizes[i], i);
  }
  contract::Random random(5);
  for (int step = 0; step < 20000; ++step) {
    const size_t i = random.below(kBlocks);
    size_t size = sizes[i] + 1 + random.below(sizes[i] + 40);
    if (size > 400000) size = 1 + random.below(5000);
    block[i] = realloc(block[i], size);
    REQUIRE(block[i] != nullptr);
    const size_t kept = size < sizes[i] ? size : sizes[i];
    if (!is_filled(block[i], kept, sizes[i], i)) {
      EXPECT(is_filled(block[i], kept, sizes[i], i));
      return;
    }
    sizes[i] = size;
    fill(block[i], size, i);
  }
  for (void* one : block) free(one);
}

RUN_CASES()
