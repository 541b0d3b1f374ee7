// The aligned calls: good, bad and large alignments.
#include <malloc.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_aligned;
using contract::is_filled;
using contract::kGiB;
using contract::kMiB;
using contract::opaque;

constexpr size_t kSizes[] = {0,    1,    15,   16,    17,    100,   1000,       4095,
                             4096, 4097, 8192, 20000, 32768, 40000, 300 * 1024, 3 * kMiB + 5};

void check(void* block, size_t alignment, size_t size) {
  REQUIRE(block != nullptr);
  EXPECT(is_aligned(block, alignment));
  EXPECT(is_aligned(block, 16));
  EXPECT(malloc_usable_size(block) >= size);
  fill(block, size, size + alignment);
  EXPECT(is_filled(block, size, size + alignment));
}

}  // namespace

CASE(every_power_of_two_to_1_mib) {
  for (size_t alignment = 1; alignment <= kMiB; alignment *= 2) {
    for (const size_t size : kSizes) {
      void* block = memalign(alignment, size);
      check(block, alignment, size);
      void* other = aligned_alloc(alignment, size);
      check(other, alignment, size);
      EXPECT(is_filled(block, size, size + alignment));
      void* third = nullptr;
      if (alignment >= sizeof(void*)) {
        EXPECT_EQ(posix_memalign(&third, alignment, size), 0);
        check(third, alignment, size);
      }
      EXPECT(is_filled(block, size, size + alignment));
      EXPECT(is_filled(other, size, size + alignment));
      free(block);
      free(other);
      free(third);
    }
  }
}

CASE(large_alignments_to_1_gib) {
  for (size_t alignment = 2 * kMiB; alignment <= kGiB; alignment *= 2) {
    for (const size_t size : {size_t{1}, size_t{5000}, size_t{3} * kMiB}) {
      void* first = memalign(alignment, size);
      void* second = memalign(alignment, size);
      check(first, alignment, size);
      check(second, alignment, size);
      EXPECT(first != second);
      free(first);
      free(second);
    }
  }
}

// Small blocks of large alignment cost no more than the distance that the alignment sets; where no
// huge pages back the heap, far less.
CASE(aligned_blocks_cost_bounded_memory) {
  constexpr size_t kAlignment = 64 * contract::kKiB;
  static void* block[1000];
  const size_t before = contract::resident_bytes();
  for (void*& one : block) {
    one = memalign(kAlignment, 100);
    REQUIRE(one != nullptr && is_aligned(one, kAlignment));
    memset(one, 1, 100);
  }
  const size_t after = contract::resident_bytes();
  EXPECT(after < before + 1000 * kAlignment + 8 * kMiB);
  for (void* one : block) free(one);
}

CASE(posix_memalign_refuses_bad_alignments) {
  for (const size_t alignment : {0u, 1u, 2u, 3u, 4u, 7u, 12u, 24u, 48u, 65u, 1000u, 4097u}) {
    void* untouched = &untouched;
    errno = 4711;
    EXPECT_EQ(posix_memalign(&untouched, opaque(size_t{alignment}), 64), EINVAL);
    EXPECT(untouched == &untouched);
    EXPECT_EQ(errno, 4711);
  }
  void* untouched = &untouched;
  EXPECT_EQ(posix_memalign(&untouched, opaque(SIZE_MAX), 64), EINVAL);
  EXPECT_EQ(posix_memalign(&untouched, opaque((size_t{1} << 63) + 8), 64), EINVAL);
  EXPECT(untouched == &untouched);
}

CASE(memalign_rounds_the_alignment_up) {
  for (const size_t alignment : {3u, 17u, 24u, 48u, 65u, 1000u, 4097u, 100000u}) {
    size_t power = 1;
    while (power < alignment) power *= 2;
    void* block = memalign(opaque(size_t{alignment}), 100);
    check(block, power, 100);
    free(block);
  }
  void* block = memalign(opaque(size_t{0}), 100);
  check(block, 16, 100);
  free(block);
}

// As C23 and glibc 2.38 and later.
CASE(aligned_alloc_refuses_alignments_that_are_no_power_of_two) {
  if (contract::not_promised_by_libc()) return;
  for (const size_t alignment : {0u, 3u, 24u, 65u, 1000u}) {
    errno = 0;
    EXPECT(aligned_alloc(opaque(size_t{alignment}), 64) == nullptr);
    EXPECT_EQ(errno, EINVAL);
  }
}

CASE(valloc_and_pvalloc_give_pages) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (const size_t size : kSizes) {
    void* block = valloc(size);
    check(block, page, size);
    free(block);
    block = pvalloc(size);
    check(block, page, (size + page - 1) / page * page);
    free(block);
  }
}

CASE(many_aligned_blocks_live_together) {
  static void* block[2000];
  static size_t sizes[2000];
  contract::Random random(3);
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < 2000; ++i) {
      const size_t alignment = size_t{1} << random.below(15);
      sizes[i] = random.below(9000);
      block[i] = memalign(alignment, sizes[i]);
      REQUIRE(block[i] != nullptr && is_aligned(block[i], alignment));
      fill(block[i], sizes[i], i);
    }
    for (size_t i = 0; i < 2000; ++i) {
      EXPECT(is_filled(block[i], sizes[i], i));
      free(block[i]);
    }
  }
}

CASE(realloc_of_an_aligned_block_keeps_the_contents) {
  for (size_t alignment = 16; alignment <= 4 * kMiB; alignment *= 4) {
    for (const size_t size : {size_t{1}, size_t{100}, size_t{5000}, size_t{200000}}) {
      void* block = memalign(alignment, size);
      REQUIRE(block != nullptr);
      fill(block, size, 5);
      block = realloc(block, size * 3);
      REQUIRE(block != nullptr);
      EXPECT(is_filled(block, size, 5));
      block = realloc(block, size / 2 + 1);
      EXPECT(is_filled(block, size / 2 + 1, size, 5));
      free(block);
    }
  }
}

RUN_CASES()
