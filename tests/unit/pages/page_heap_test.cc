#include "pages/page_heap.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/metadata_arena.h"
#include "page_heap_fixture.h"
#include "support/fake_page_source.h"

namespace spanmalloc {
namespace {

using testing::FakePageSource;
using testing::kGiB;
using testing::kTiB;

constexpr PageCount kAny{1};
constexpr PageCount kChunk{kPagesPerChunk};
constexpr Bytes kEverything{SIZE_MAX};

TEST(PageHeap, FailsUntilOpened) {
  FakePageSource source(kGiB);
  MetadataArena arena;
  PageHeap heap(source, arena);
  EXPECT_FALSE(heap.allocate({1}, kAny, Growth::kAllowed).ok());
  EXPECT_FALSE(heap.allocate_at({{0}, {1}}, Growth::kAllowed).ok());
  EXPECT_EQ(heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  heap.start_epoch();
  heap.check_invariants();
  ASSERT_TRUE(heap.open(source.window()));
  ASSERT_TRUE(heap.open(source.window()));
  EXPECT_TRUE(heap.allocate({1}, kAny, Growth::kAllowed).ok());
  EXPECT_EQ(heap.window().base, source.window().base);
}

TEST(PageHeap, NewMemoryIsZeroAndReleased) {
  TestHeap test;
  const PageAllocation a = test.allocate(3);
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE(a.is_zero());
  PageHeapStats stats = test.heap.stats();
  EXPECT_EQ(stats.mapped, kChunk);
  EXPECT_EQ(stats.in_use.value, 3u);
  EXPECT_EQ(stats.released.value, kPagesPerChunk - 3);
  EXPECT_EQ(stats.free_retained.value, 0u);

  test.heap.free(a.pages);
  stats = test.heap.stats();
  EXPECT_EQ(stats.free_retained.value, 3u);
  EXPECT_EQ(test.heap.backed_bytes(), 3 * kPageBytes);
  test.heap.check_invariants();
}

TEST(PageHeap, PagesThatReadAsZeroGoBackAsReleased) {
  TestHeap test;
  const PageAllocation a = test.allocate(1000);
  test.heap.free_released({a.pages.first, {500}});
  test.heap.free({a.pages.first + PageCount{500}, {500}});
  const PageHeapStats stats = test.heap.stats();
  EXPECT_EQ(stats.in_use.value, 0u);
  EXPECT_EQ(stats.free_retained.value, 500u);
  EXPECT_EQ(stats.released.value, 524u);
  test.heap.check_invariants();
  EXPECT_EQ(test.allocate(1000).released.value, 500u);
}

TEST(PageHeap, RefusesSizesBeyondTheWindow) {
  TestHeap test(kGiB);
  EXPECT_FALSE(test.allocate(0).ok());
  EXPECT_FALSE(test.allocate(kGiB / kPageBytes + 1).ok());
  EXPECT_FALSE(test.allocate(SIZE_MAX).ok());
  EXPECT_FALSE(test.allocate(1, kGiB / kPageBytes * 2).ok());
  EXPECT_FALSE(test.allocate(1, size_t{1} << 63).ok());
  EXPECT_FALSE(test.heap.allocate_at({{SIZE_MAX - 1}, {1}}, Growth::kAllowed).ok());
  EXPECT_FALSE(test.heap.allocate_at({{0}, {0}}, Growth::kAllowed).ok());
  EXPECT_EQ(test.source.grow_calls(), 0u);
  EXPECT_TRUE(test.allocate(kGiB / kPageBytes).ok());
  EXPECT_FALSE(test.allocate(1).ok());
}

TEST(PageHeap, GrowthCanBeForbidden) {
  TestHeap test;
  EXPECT_FALSE(test.allocate(1, 1, Growth::kForbidden).ok());
  EXPECT_EQ(test.source.grow_calls(), 0u);
  ASSERT_TRUE(test.allocate(1).ok());
  EXPECT_TRUE(test.allocate(511, 1, Growth::kForbidden).ok());
  EXPECT_FALSE(test.allocate(1, 1, Growth::kForbidden).ok());
}

TEST(PageHeap, AlignsEveryPowerOfTwo) {
  TestHeap test(kTiB);
  for (size_t alignment = 1; alignment <= kTiB / kPageBytes / 64; alignment *= 2) {
    for (const size_t count : {1u, 3u, 256u, 511u, 700u}) {
      const PageAllocation a = test.allocate(count, alignment);
      ASSERT_TRUE(a.ok()) << alignment;
      EXPECT_EQ(a.pages.first.value % alignment, 0u);
      EXPECT_EQ(test.heap.window().address(a.pages.first) % (alignment * kPageBytes), 0u);
    }
  }
  test.heap.check_invariants();
}

TEST(PageHeap, ReusesExactAlignedHoles) {
  TestHeap test;
  std::vector<PageAllocation> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(test.allocate(256, 256));
  for (size_t i = 0; i < 64; i += 2) test.heap.free(blocks[i].pages);
  for (size_t i = 0; i < 64; i += 2) {
    EXPECT_EQ(test.allocate(256, 256, Growth::kForbidden).pages, blocks[i].pages);
  }
}

TEST(PageHeap, GrowsInPlaceIntoFreeNeighbours) {
  TestHeap test;
  const PageAllocation a = test.allocate(20);
  const PageAllocation b = test.allocate(20);
  const PageAllocation c = test.allocate(20);
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {20}}, Growth::kAllowed).ok());
  test.heap.free(b.pages);
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {21}}, Growth::kAllowed).ok());
  const PageAllocation grown = test.heap.allocate_at({a.pages.end(), {20}}, Growth::kForbidden);
  ASSERT_TRUE(grown.ok());
  EXPECT_EQ(grown.released.value, 0u);
  EXPECT_EQ(grown.pages, b.pages);
  // Behind the last block the rest of the chunk is free, and behind that the heap can grow.
  const PageAllocation last = test.heap.allocate_at({c.pages.end(), {5000}}, Growth::kForbidden);
  EXPECT_FALSE(last.ok());
  EXPECT_TRUE(test.heap.allocate_at({c.pages.end(), {5000}}, Growth::kAllowed).ok());
  test.heap.check_invariants();
}

TEST(PageHeap, GrowsInPlaceOverPagesInThePageCache) {
  TestHeap test;
  const PageAllocation a = test.allocate(1);
  const PageAllocation grown = test.heap.allocate_at({a.pages.end(), {10}}, Growth::kForbidden);
  ASSERT_TRUE(grown.ok());
  EXPECT_TRUE(grown.is_zero());
  test.heap.check_invariants();
}

TEST(PageHeap, DoesNotGrowInPlaceWhereTheSourceGoesElsewhere) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.source.jump_to({64});
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {1}}, Growth::kAllowed).ok());
  EXPECT_EQ(test.source.grow_calls(), 1u);
}

TEST(PageHeap, GrowsGeometricallyButExactlyWhenThatIsRefused) {
  TestHeap test(kTiB);
  ASSERT_TRUE(test.allocate(kGiB / kPageBytes).ok());
  ASSERT_TRUE(test.allocate(1).ok());
  EXPECT_EQ(test.source.ranges().back().count.bytes().value, size_t{64} << 20);
  ASSERT_TRUE(test.allocate((size_t{64} << 20) / kPageBytes - 1).ok());
  test.source.limit_to(test.source.handed_out() + PageCount{kPagesPerChunk});
  ASSERT_TRUE(test.allocate(kPagesPerChunk).ok());
  EXPECT_FALSE(test.allocate(64).ok());
  EXPECT_EQ(test.heap.stats().grow_refusals, 1u);
  test.heap.check_invariants();
}

TEST(PageHeap, MapsNoRecordsForWhatTheSourceCannotGive) {
  TestHeap test;
  using Foresight = testing::FakePageSource::Foresight;
  ASSERT_TRUE(test.allocate(1).ok());
  test.source.limit_to({16 * kPagesPerChunk});
  test.source.set_foresight(Foresight::kAll);
  const size_t mapped = test.arena.mapped_bytes();
  const size_t grow_calls = test.source.grow_calls();
  EXPECT_FALSE(test.allocate(1000 * kPagesPerChunk).ok());
  EXPECT_EQ(test.source.foresight_calls(), 1u);
  EXPECT_EQ(test.source.grow_calls(), grow_calls);
  EXPECT_EQ(test.arena.mapped_bytes(), mapped);
  EXPECT_EQ(test.heap.stats().grow_refusals, 1u);
  // A usual step asks for nothing beforehand, and what is found out too late is undone.
  EXPECT_FALSE(test.allocate(16 * kPagesPerChunk).ok());
  EXPECT_EQ(test.source.foresight_calls(), 1u);
  test.source.set_foresight(Foresight::kNone);
  EXPECT_FALSE(test.allocate(1000 * kPagesPerChunk).ok());
  EXPECT_LE(test.arena.mapped_bytes(), mapped + (size_t{1} << 20));
  test.source.limit_to({SIZE_MAX});
  test.source.set_foresight(Foresight::kAll);
  EXPECT_TRUE(test.allocate(1000 * kPagesPerChunk).ok());
  EXPECT_EQ(test.source.foresight_calls(), 3u);
  test.heap.check_invariants();
}

TEST(PageHeap, AsksForNoHugePagesUnlessToldSo) {
  TestHeap test;
  ASSERT_TRUE(test.allocate(4 * 512).ok());
  EXPECT_TRUE(test.source.huge_page_wishes().empty());
}

TEST(PageHeap, AsksForHugePagesBeyondTheFirstChunk) {
  TestHeap test;
  test.heap.set_huge_pages(platform::HugePages::kAsk);
  ASSERT_TRUE(test.allocate(512).ok());
  EXPECT_TRUE(test.source.huge_page_wishes().empty());
  ASSERT_TRUE(test.allocate(1).ok());
  ASSERT_EQ(test.source.huge_page_wishes().size(), 1u);
  EXPECT_EQ(test.source.huge_page_wishes()[0], (PageRange{{512}, {512}}));

  TestHeap large;
  large.heap.set_huge_pages(platform::HugePages::kAsk);
  ASSERT_TRUE(large.allocate(4 * 512).ok());
  ASSERT_EQ(large.source.huge_page_wishes().size(), 1u);
  EXPECT_EQ(large.source.huge_page_wishes()[0], (PageRange{{512}, {3 * 512}}));
}

}  // namespace
}  // namespace spanmalloc
