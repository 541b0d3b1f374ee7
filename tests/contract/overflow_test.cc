// Sizes that cannot be had: NULL with ENOMEM, quickly, and nothing else touched.
#include <malloc.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;
using contract::opaque;

constexpr size_t kPtrdiffMax = PTRDIFF_MAX;
// With room to grow, an eighth, this one is 2^64.
constexpr size_t kOverflowsWithRoom = SIZE_MAX - SIZE_MAX / 9 + 1;
constexpr size_t kTooLarge[] = {kOverflowsWithRoom - 1,
                                kOverflowsWithRoom,
                                kOverflowsWithRoom + 100000,
                                SIZE_MAX,
                                SIZE_MAX - 1,
                                SIZE_MAX - 15,
                                SIZE_MAX - 4095,
                                SIZE_MAX - 8192,
                                SIZE_MAX - 65536,
                                SIZE_MAX / 2 + 2,
                                kPtrdiffMax + 1,
                                kPtrdiffMax,
                                kPtrdiffMax - 16,
                                kPtrdiffMax - 8192,
                                size_t{1} << 62,
                                size_t{1} << 48};

}  // namespace

// Evaluates a call that must fail with ENOMEM.
#define EXPECT_ENOMEM(call)                              \
  do {                                                   \
    errno = 0;                                           \
    EXPECT(opaque(static_cast<void*>(call)) == nullptr); \
    EXPECT_EQ(errno, ENOMEM);                            \
  } while (false)

CASE(too_large_sizes_fail_with_enomem) {
  const double start = contract::now();
  for (const size_t constant : kTooLarge) {
    const size_t size = opaque(constant);
    EXPECT_ENOMEM(malloc(size));
    EXPECT_ENOMEM(calloc(size, 1));
    EXPECT_ENOMEM(calloc(1, size));
    EXPECT_ENOMEM(realloc(nullptr, size));
    EXPECT_ENOMEM(aligned_alloc(64, size / 64 * 64));
    EXPECT_ENOMEM(memalign(32, size));
    EXPECT_ENOMEM(memalign(65536, size));
    EXPECT_ENOMEM(valloc(size));
    EXPECT_ENOMEM(pvalloc(size));
  }
  EXPECT(contract::now() - start < 2);
}

CASE(posix_memalign_of_too_large_sizes_returns_enomem) {
  for (const size_t size : kTooLarge) {
    void* untouched = &untouched;
    errno = 4711;
    EXPECT_EQ(posix_memalign(&untouched, 64, opaque(size)), ENOMEM);
    EXPECT_EQ(posix_memalign(&untouched, 8192, opaque(size)), ENOMEM);
    EXPECT(untouched == &untouched);
    EXPECT(errno == 4711 || contract::malloc_is_from_libc());
  }
}

CASE(products_that_overflow_fail_with_enomem) {
  struct Product {
    size_t count;
    size_t size;
  };
  constexpr Product kProducts[] = {
      {SIZE_MAX, 2},
      {2, SIZE_MAX},
      {size_t{1} << 32, size_t{1} << 32},
      {SIZE_MAX / 2 + 1, 2},
      {SIZE_MAX / 16 + 2, 16},
      {size_t{1} << 63, 4},
      {SIZE_MAX, SIZE_MAX},
      {(size_t{1} << 32) + 1, size_t{1} << 32},
  };
  void* block = malloc(100);
  REQUIRE(block != nullptr);
  fill(block, 100, 1);
  for (const Product& product : kProducts) {
    const size_t count = opaque(product.count);
    EXPECT_ENOMEM(calloc(count, product.size));
    EXPECT_ENOMEM(reallocarray(nullptr, count, product.size));
    EXPECT_ENOMEM(reallocarray(opaque(block), count, product.size));
    EXPECT(is_filled(block, 100, 1));
  }
  free(block);
}

CASE(failed_realloc_keeps_the_block) {
  for (const size_t size :
       {size_t{1}, size_t{48}, size_t{5000}, size_t{300000}, size_t{70} << 20}) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    fill(block, size, size);
    for (const size_t too_large : kTooLarge)
      EXPECT_ENOMEM(realloc(opaque(block), opaque(too_large)));
    EXPECT(is_filled(block, size, size));
    EXPECT(malloc_usable_size(block) >= size);
    free(block);
  }
}

CASE(huge_alignments_are_answered_quickly) {
  const double start = contract::now();
  for (int shift = 40; shift < 64; ++shift) {
    const size_t alignment = opaque(size_t{1} << shift);
    void* block = nullptr;
    // Up to the width of the address space success is allowed, though nobody expects it.
    errno = 0;
    block = memalign(alignment, 100);
    EXPECT(block == nullptr ? errno == ENOMEM : contract::is_aligned(block, alignment));
    EXPECT(block == nullptr || shift < 47);
    free(block);
    errno = 0;
    block = aligned_alloc(alignment, alignment);
    EXPECT(block == nullptr && errno == ENOMEM);
    free(block);
    void* untouched = &untouched;
    const int result = posix_memalign(&untouched, alignment, 100);
    EXPECT(result == 0 || result == ENOMEM);
    EXPECT(result == 0 || untouched == &untouched);
    if (result == 0) free(untouched);
  }
  EXPECT(contract::now() - start < 2);
}

CASE(an_alignment_over_the_largest_power_of_two_fails) {
  errno = 0;
  EXPECT(memalign(opaque((size_t{1} << 63) + 1), 8) == nullptr);
  EXPECT(errno == EINVAL || errno == ENOMEM);
  errno = 0;
  EXPECT(memalign(opaque(SIZE_MAX), 8) == nullptr);
  EXPECT(errno == EINVAL || errno == ENOMEM);
}

RUN_CASES()
