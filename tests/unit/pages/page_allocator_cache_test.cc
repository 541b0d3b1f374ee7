// Blocks of 64 pages that go to the page cache and come back.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "base/bits.h"
#include "page_allocator_fixture.h"
#include "pages/page_allocator.h"

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;
constexpr uint64_t kAll = ~uint64_t{0};
const Runs kNone = {};

void expect_cache(TestAllocator& test, size_t chunk, size_t page, uint64_t free,
                  uint64_t released) {
  const PageCache cache = test.pages.allocate_to_cache();
  EXPECT_EQ(cache.base().value, TestAllocator::at(chunk, page).value);
  EXPECT_EQ(cache.free(), free);
  EXPECT_EQ(cache.released(), released);
  test.pages.check_invariants();
}

TEST(AllocateToCache, TakesBlockAfterBlock) {
  TestAllocator test({{0, kNone, {{1, 1}, {64, 64}}}});
  expect_cache(test, 0, 0, kAll, 0x2);
  expect_cache(test, 0, 64, kAll, kAll);
  expect_cache(test, 0, 128, kAll, 0);
  expect_cache(test, 0, 192, kAll, 0);
}

TEST(AllocateToCache, TakesWhatIsLeftOfABlock) {
  TestAllocator test({{0, {{0, 32}, {33, 31}, {96, 32}}, {{1, 4}, {31, 5}, {66, 2}}}});
  expect_cache(test, 0, 0, uint64_t{1} << 32, uint64_t{1} << 32);
  expect_cache(test, 0, 64, low_bits(32), uint64_t{0x3} << 2);
}

TEST(AllocateToCache, FindsPagesFarAway) {
  TestAllocator test({{0, {{0, P}}, kNone}, {0x5000, {{0, 100}}, kNone}});
  expect_cache(test, 0x5000, 64, kAll & ~low_bits(36), 0);
}

TEST(AllocateToCache, IsEmptyWhenNothingIsFree) {
  TestAllocator test({{0, {{0, P}}, kNone}});
  EXPECT_TRUE(test.pages.allocate_to_cache().empty());
  EXPECT_EQ(test.pages.search_address(), kNoPage);
  test.pages.free({TestAllocator::at(0, 511), {1}});
  expect_cache(test, 0, 448, uint64_t{1} << 63, 0);
}

TEST(AllocateToCache, LeavesNoReleasedBitsBehind) {
  TestAllocator test({{0, {{0, 1}, {10, 2}}, {{0, 4}, {11, 1}}}});
  expect_cache(test, 0, 0, kAll & ~(uint64_t{1} | uint64_t{3} << 10), 0x7 << 1);
  EXPECT_EQ(test.chunk(0).in_use.word(0), kAll);
  EXPECT_EQ(test.chunk(0).released.word(0), 0u);
}

TEST(Flush, PutsBackExactlyWhatIsInTheCache) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 100; ++round) {
    // A full chunk of which a block belongs to a cache that is partly used up.
    TestAllocator test({{0, {{0, P}}, kNone}});
    const size_t block = random() % (P / 64) * 64;
    const uint64_t free = random();
    const uint64_t released = free & random();
    const size_t other = (block + 64) % P;
    PageCache cache(TestAllocator::at(0, block), free, released);
    test.pages.flush(cache);
    EXPECT_TRUE(cache.empty());
    test.pages.check_invariants();
    EXPECT_EQ(test.chunk(0).in_use.word(block), ~free);
    EXPECT_EQ(test.chunk(0).released.word(block), released);
    EXPECT_EQ(test.chunk(0).in_use.word(other), kAll);
    if (free != 0) {
      const size_t first = static_cast<size_t>(std::countr_zero(free));
      test.expect(1, 0, block + first, released >> first & 1);
    }
  }
}

TEST(Flush, OfAnEmptyCacheDoesNothing) {
  TestAllocator test({{0, kNone, {{0, P}}}});
  PageCache cache;
  test.pages.flush(cache);
  PageCache full = test.pages.allocate_to_cache();
  while (full.take({1}).ok()) continue;
  test.pages.flush(full);
  EXPECT_TRUE(test.chunk(0).in_use.all_set(0, 64));
  test.pages.check_invariants();
}

TEST(Flush, BringsTheSearchAddressBack) {
  TestAllocator test({{0, kNone, kNone}, {1, kNone, kNone}});
  PageCache cache = test.pages.allocate_to_cache();
  (void)cache.take({10});
  test.expect(100, 0, 64, 0);
  test.pages.flush(cache);
  test.pages.check_invariants();
  test.expect(54, 0, 10, 0);
}

}  // namespace
}  // namespace spanmalloc
