// malloc, calloc and free of every size: alignment, room, distinctness, zeroness.
#include <malloc.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::is_zero;
using contract::kMiB;
using contract::opaque;

void* block[4096];

// Allocates, checks the alignment, writes all of the block, and keeps nothing.
void check_one(size_t size) {
  char* one = static_cast<char*>(malloc(opaque(size)));
  REQUIRE(one != nullptr);
  EXPECT(is_aligned(one, 16));
  EXPECT(malloc_usable_size(one) >= size);
  if (size > 0) {
    one[0] = 'a';
    one[size / 2] = 'b';
    one[size - 1] = 'c';
    EXPECT(opaque(one)[size - 1] == 'c');
  }
  free(one);
}

}  // namespace

CASE(every_size_to_2048_is_aligned_and_apart) {
  constexpr size_t kSizes = 2049;
  for (size_t size = 0; size < kSizes; ++size) {
    block[size] = malloc(size);
    REQUIRE(block[size] != nullptr);
    EXPECT(is_aligned(block[size], 16));
    EXPECT(malloc_usable_size(block[size]) >= size);
    fill(block[size], malloc_usable_size(block[size]), size);
  }
  for (size_t size = 0; size < kSizes; ++size) {
    EXPECT(is_filled(block[size], malloc_usable_size(block[size]), size));
    free(block[size]);
  }
}

CASE(sizes_around_class_and_page_boundaries) {
  for (size_t power = 32; power <= 64 * kMiB; power *= 2) {
    for (size_t eighth = 8; eighth < 16; ++eighth) {
      const size_t boundary = power / 8 * eighth;
      check_one(boundary - 1);
      check_one(boundary);
      check_one(boundary + 1);
      check_one(boundary + 16);
    }
  }
  for (size_t pages = 1; pages <= 600; ++pages) {
    check_one(pages * 4096 - 1);
    check_one(pages * 4096);
    check_one(pages * 4096 + 1);
  }
}

CASE(blocks_of_size_zero_are_distinct) {
  constexpr size_t kBlocks = 1000;
  for (size_t i = 0; i < kBlocks; ++i) {
    block[i] = malloc(opaque(size_t{0}));
    REQUIRE(block[i] != nullptr);
    for (size_t j = 0; j < i; ++j) EXPECT(block[i] != block[j]);
  }
  for (size_t i = 0; i < kBlocks; ++i) free(block[i]);
  void* zeroed = calloc(opaque(size_t{0}), 8);
  void* none = calloc(8, opaque(size_t{0}));
  EXPECT(zeroed != nullptr && none != nullptr && zeroed != none);
  free(zeroed);
  free(none);
}

CASE(free_of_null_does_nothing) {
  free(opaque(static_cast<void*>(nullptr)));
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
}

CASE(calloc_of_small_blocks_is_zero_after_they_were_dirtied) {
  constexpr size_t kBlocks = 1500;
  for (size_t size = 1; size <= 40000; size += 1 + size / 5) {
    for (int round = 0; round < 2; ++round) {
      for (size_t i = 0; i < kBlocks; ++i) {
        block[i] = malloc(size);
        REQUIRE(block[i] != nullptr);
        memset(block[i], 0xff, malloc_usable_size(block[i]));
      }
      for (size_t i = 0; i < kBlocks; ++i) free(block[i]);
    }
    for (size_t i = 0; i < kBlocks; ++i) {
      block[i] = calloc(1, size);
      REQUIRE(block[i] != nullptr);
      EXPECT(is_zero(block[i], size));
    }
    for (size_t i = 0; i < kBlocks; ++i) free(block[i]);
    if (contract::has_failed()) return;
  }
}

CASE(calloc_of_large_blocks_is_zero_after_they_were_dirtied) {
  for (size_t size = 33000; size <= 100 * kMiB; size = size * 3 / 2) {
    for (int round = 0; round < 3; ++round) {
      void* dirty = malloc(size);
      REQUIRE(dirty != nullptr);
      memset(dirty, 0xff, malloc_usable_size(dirty));
      free(dirty);
      char* zeroed = static_cast<char*>(calloc(size / 3, 3));
      REQUIRE(zeroed != nullptr);
      EXPECT(is_zero(zeroed, size / 3 * 3));
      memset(zeroed, 0xee, size / 3 * 3);
      free(zeroed);
    }
  }
}

// The memory of freed blocks of one size comes back in blocks of another.
CASE(calloc_is_zero_when_memory_changes_its_size_class) {
  contract::Random random(7);
  for (int round = 0; round < 60; ++round) {
    const size_t size = 16 + random.below(size_t{1} << (5 + random.below(13)));
    size_t count = 4 * kMiB / size;
    if (count > 4096) count = 4096;
    for (size_t i = 0; i < count; ++i) {
      block[i] = calloc(size, 1);
      REQUIRE(block[i] != nullptr);
      EXPECT(is_zero(block[i], size));
      memset(block[i], 0xa5, malloc_usable_size(block[i]));
    }
    for (size_t i = 0; i < count; ++i) free(block[i]);
    if (round % 16 == 15) malloc_trim(0);
    if (contract::has_failed()) return;
  }
}

CASE(random_sizes_live_together) {
  contract::Random random(11);
  static size_t sizes[4096];
  for (void*& one : block) one = nullptr;
  for (int step = 0; step < 300000; ++step) {
    const size_t i = random.below(4096);
    if (block[i] != nullptr) {
      if (!is_filled(block[i], sizes[i], sizes[i])) {
        EXPECT(is_filled(block[i], sizes[i], sizes[i]));
        return;
      }
      free(block[i]);
      block[i] = nullptr;
    } else {
      sizes[i] = random.below(size_t{1} << (4 + random.below(11)));
      block[i] = malloc(sizes[i]);
      REQUIRE(block[i] != nullptr && is_aligned(block[i], 16));
      fill(block[i], sizes[i], sizes[i]);
    }
  }
  for (void*& one : block) {
    free(one);
    one = nullptr;
  }
}

RUN_CASES()
