// Sequences of allocations from given states, as (pages -> place, released pages among them).
#include "pages/page_allocator.h"

#include <gtest/gtest.h>

#include "page_allocator_fixture.h"

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;
const Runs kFull = {{0, P}};
const Runs kNone = {};
const std::vector<ChunkState> kFourFree = {
    {0, kNone, kNone}, {1, kNone, kNone}, {2, kNone, kNone}, {3, kNone, kNone}};
const std::vector<ChunkState> kFourFull = {
    {0, kFull, kNone}, {1, kFull, kNone}, {2, kFull, kNone}, {3, kFull, kNone}};

TEST(PageAllocator, SmallRequestsFromOneFreeChunk) {
  TestAllocator five({{0, kNone, {{0, 8}, {9, 1}, {17, 5}}}});
  five.expect(5, 0, 0, 5);
  five.expect(5, 0, 5, 4);
  five.expect(5, 0, 10, 0);
  five.expect(5, 0, 15, 3);
  five.expect(5, 0, 20, 2);

  TestAllocator two({{0, kNone, {{0, 3}, {7, 1}}}});
  two.expect(2, 0, 0, 2);
  two.expect(2, 0, 2, 1);
  two.expect(2, 0, 4, 0);
  two.expect(2, 0, 6, 1);
  two.expect(2, 0, 8, 0);
}

TEST(PageAllocator, RequestsOfAWordAndMore) {
  TestAllocator word({{0, kNone, {{21, 1}, {63, 65}}}});
  word.expect(64, 0, 0, 2);
  word.expect(64, 0, 64, 64);
  word.expect(64, 0, 128, 0);

  TestAllocator more({{0, kNone, {{129, 1}}}});
  more.expect(65, 0, 0, 0);
  more.expect(65, 0, 65, 1);
  more.expect(65, 0, 130, 0);
}

TEST(PageAllocator, RunsMayCrossAChunkBorder) {
  TestAllocator pair({{0, {{0, 511}}, {{511, 1}}}, {1, {{1, 511}}, kNone}});
  pair.expect(2, 0, 511, 1);
  pair.expect_failure(1);

  TestAllocator chunk({{0, {{0, 256}}, kNone}, {1, {{256, 256}}, {{3, 100}}}});
  chunk.expect(512, 0, 256, 100);
  chunk.expect_failure(512);
  chunk.expect_failure(1);

  TestAllocator more({{0, {{0, 256}}, {{0, P}}}, {1, kNone, {{0, P}}}});
  more.expect(513, 0, 256, 513);
  more.expect_failure(512);
  more.expect(1, 1, 257, 1);
}

TEST(PageAllocator, RunsMayCoverWholeChunks) {
  TestAllocator two(
      {{0, {{0, 256}}, {{0, 7}}}, {1, kNone, {{3, 5}, {121, 10}}}, {2, {{256, 256}}, {{268, 2}}}});
  two.expect(1024, 0, 256, 15);
  two.expect_failure(1024);
  two.expect_failure(1);

  TestAllocator five_quarters({{0, kFull, kNone},
                               {1, {{0, 384}}, {{256, 129}}},
                               {2, {{0, 384}}, {{170, 1}}},
                               {3, kNone, {{341, 1}}}});
  five_quarters.expect(640, 2, 384, 1);
  five_quarters.expect_failure(640);
  five_quarters.expect(1, 1, 384, 1);

  std::vector<ChunkState> eight;
  const size_t released[] = {50, 31, 7, 200, 3, 51, 20, 1};
  for (size_t i = 0; i < 8; ++i) eight.push_back({i, kNone, {{released[i], 1}}});
  TestAllocator seven_and_five(eight);
  seven_and_five.expect(7 * P + 5, 0, 0, 8);
  seven_and_five.expect_failure(7 * P + 5);
  seven_and_five.expect(1, 7, 5, 0);
}

TEST(PageAllocator, SmallPiecesAreFoundAfterLargeRequestsFail) {
  TestAllocator test({{0, kNone, {{10, 1}}}});
  test.expect(509, 0, 0, 1);
  test.expect_failure(509);
  test.expect(1, 0, 509, 0);
  test.expect(2, 0, 510, 0);
  test.expect_failure(1);
  test.expect_failure(509);
}

TEST(PageAllocator, RunsDoNotCrossHoles) {
  TestAllocator test({{0, kNone, {{0, P}}}, {0x40, kNone, kNone}, {0x41, kNone, kNone}});
  test.expect(1024, 0x40, 0, 0);
  test.expect(21, 0, 0, 21);
  test.expect(1, 0, 21, 1);
}

TEST(PageAllocator, RangesLieTerabytesApart) {
  constexpr size_t kFar = 0x100000;  // 4 TiB
  // The first chunk is the last one below its parent's parent.
  constexpr size_t kLast = 0x1000 - 1;
  TestAllocator test({{kLast, kNone, kNone}, {kLast + kFar, kNone, kNone}});
  test.expect(P - 1, kLast, 0, 0);
  test.expect(1, kLast, P - 1, 0);
  test.expect(1, kLast + kFar, 0, 0);
  test.expect(P - 1, kLast + kFar, 1, 0);
  test.expect_failure(1);
}

TEST(PageAllocator, RunsCrossTheBordersOfRootEntriesThatArePassedBy) {
  constexpr size_t kRoot = 0x1000;  // chunks of a root entry; the base chunk starts one
  std::vector<ChunkState> chunks = {
      {0, {{0, 511}}, kNone},          {2 * kRoot - 1, {{0, 500}}, kNone},
      {2 * kRoot, {{20, 492}}, kNone}, {4 * kRoot - 1, {{0, 472}}, kNone},
      {5 * kRoot, {{10, 502}}, kNone}, {6 * kRoot - 1, {{0, 502}}, kNone}};
  for (size_t i = 0; i < kRoot; ++i) chunks.push_back({6 * kRoot + i, kNone, kNone});
  chunks.push_back({7 * kRoot, {{10, 502}}, kNone});
  TestAllocator test(chunks);
  test.expect_failure(kRoot * P + 21);
  test.expect(kRoot * P + 20, 6 * kRoot - 1, 502, 0);
  test.expect_failure(41);
  test.expect(33, 4 * kRoot - 1, 472, 0);
  test.expect(32, 2 * kRoot - 1, 500, 0);
  test.expect_failure(11);
  test.expect(10, 5 * kRoot, 0, 0);
  test.expect(1, 0, 511, 0);
  test.expect(7, 4 * kRoot - 1, 505, 0);
  test.expect_failure(1);
}

TEST(PageAllocator, AlignedRunsAreFoundBehindRootEntriesThatHaveNone) {
  constexpr size_t kRoot = 0x1000;
  // The run at the border is long enough, but not where it is aligned.
  TestAllocator test({{0, {{0, 511}}, kNone},
                      {3 * kRoot - 1, {{0, 500}}, kNone},
                      {3 * kRoot, {{10, 502}}, kNone},
                      {5 * kRoot + 7, {{0, 256}}, kNone}});
  const PageAllocation a = test.pages.allocate({16}, {16});
  EXPECT_EQ(a.pages.first.value, TestAllocator::at(5 * kRoot + 7, 256).value);
  test.pages.check_invariants();
  test.expect(16, 3 * kRoot - 1, 500, 0);
}

TEST(PageAllocator, SearchAddressNeverPointsIntoAHole) {
  constexpr size_t kFar = 0x100000;
  constexpr size_t kB = kFar + 0x503;
  constexpr size_t kC = 2 * kFar;
  TestAllocator test(
      {{0, {{0, 511}}, kNone}, {kB, {{0, 502}, {511, 1}}, kNone}, {kC, kNone, kNone}});
  test.expect(1, 0, 511, 0);
  test.expect(100, kC, 0, 0);
  test.expect(9, kB, 502, 0);
}

TEST(PageAllocator, ExhaustsTheHeapWithEverySize) {
  for (const size_t count : {1u, 2u, 3u, 4u, 5u, 8u, 16u, 64u, 1024u, 1025u, 2048u, 2049u}) {
    TestAllocator test(kFourFree);
    for (size_t i = 0; i < 4 * P / count; ++i) {
      const PageAllocation a = test.pages.allocate({count}, {1});
      ASSERT_EQ(a.pages.first.value, TestAllocator::at(0, i * count).value);
    }
    test.expect_failure(count);
    EXPECT_EQ(test.pages.search_address() == kNoPage, 4 * P % count == 0);
  }
}

TEST(PageAllocator, FreedPagesAreFoundAgain) {
  std::vector<ChunkState> eight;
  for (size_t i = 0; i < 8; ++i) eight.push_back({i, kNone, kNone});
  TestAllocator test(eight);
  test.expect(8 * P, 0, 0, 0);
  test.expect_failure(1);
  test.pages.free({TestAllocator::at(0, 0), {8 * P}});
  test.expect(1, 0, 0, 0);
  test.pages.free({TestAllocator::at(0, 0), {1}});
  test.expect(8 * P, 0, 0, 0);
}

TEST(PageAllocator, FreeingMakesExactlyThesePagesFree) {
  const auto range_at = [](size_t page, size_t count) {
    return PageRange{TestAllocator::at(0, page), {count}};
  };
  const PageRange ranges[] = {range_at(0, 1),   range_at(511, 1),   range_at(64, 64),
                              range_at(60, 70), range_at(256, 512), range_at(256, 1024),
                              range_at(0, 2048)};
  for (const PageRange& range : ranges) {
    TestAllocator test(kFourFull);
    test.pages.free(range);
    test.pages.check_invariants();
    for (size_t page = 0; page < 4 * P; ++page) {
      const PageNumber number = TestAllocator::at(0, page);
      const bool freed = range.first <= number && number < range.end();
      ASSERT_EQ(test.chunk(page / P).in_use.test(page % P), !freed);
      ASSERT_EQ(test.pages.is_free({number, {1}}), freed);
    }
    EXPECT_EQ(test.pages.allocate(range.count, {1}).pages, range);
    test.expect_failure(1);
  }
}

TEST(PageAllocator, GrowthKeepsSortedRanges) {
  const auto count_ranges = [](const std::vector<size_t>& chunks) {
    std::vector<ChunkState> states;
    for (const size_t chunk : chunks) states.push_back({chunk, kNone, kNone});
    return TestAllocator(states).pages.mapped().size();
  };
  EXPECT_EQ(count_ranges({0}), 1u);
  EXPECT_EQ(count_ranges({0, 1}), 1u);
  EXPECT_EQ(count_ranges({0, 2, 4}), 3u);
  EXPECT_EQ(count_ranges({0, 1, 2, 4}), 2u);
  EXPECT_EQ(count_ranges({4, 2, 0, 1, 3}), 1u);
  std::vector<size_t> many;
  for (size_t i = 0; i < 33; ++i) many.push_back(2 * i);
  EXPECT_EQ(count_ranges(many), 33u);
}

TEST(PageAllocator, NewMemoryIsReleased) {
  MetadataArena arena;
  PageAllocator pages(arena);
  ASSERT_TRUE(pages.reserve({64 * P}));
  ASSERT_TRUE(pages.grow({{10 * P}, {3 * P}}));
  const PageAllocation a = pages.allocate({3 * P}, {1});
  EXPECT_EQ(a.pages.first.value, 10 * P);
  EXPECT_TRUE(a.is_zero());
}

TEST(PageAllocator, AlignedRequestsTakeTheLowestPlaceThatFits) {
  TestAllocator test({{0, {{0, 10}, {100, 28}}, kNone}, {1, kNone, kNone}, {2, kNone, kNone}});
  const auto allocate = [&test](size_t count, size_t alignment) {
    const PageAllocation a = test.pages.allocate({count}, {alignment});
    test.pages.check_invariants();
    return a.ok() ? a.pages.first.value - TestAllocator::at(0, 0).value : SIZE_MAX;
  };
  EXPECT_EQ(allocate(1, 16), 16u);
  EXPECT_EQ(allocate(64, 32), 32u);
  EXPECT_EQ(allocate(64, 64), 128u);
  EXPECT_EQ(allocate(100, 512), 512u);
  EXPECT_EQ(allocate(3, 2), 10u);
  EXPECT_EQ(allocate(300, 256), 768u);
  EXPECT_EQ(allocate(300, 256), SIZE_MAX);
  EXPECT_EQ(allocate(320, 64), 192u);  // across the border to chunk 1
  EXPECT_EQ(allocate(1, 1024), SIZE_MAX);
}

TEST(PageAllocator, TakesExactlyTheWantedPages) {
  TestAllocator test({{0, {{0, 100}}, {{200, 10}}}, {1, kNone, kNone}});
  EXPECT_FALSE(test.pages.allocate_at({TestAllocator::at(0, 99), {2}}).ok());
  EXPECT_FALSE(test.pages.allocate_at({TestAllocator::at(1, 500), {100}}).ok());
  EXPECT_FALSE(test.pages.allocate_at({TestAllocator::at(2, 0), {1}}).ok());
  EXPECT_FALSE(test.pages.allocate_at({{0}, {1}}).ok());
  EXPECT_FALSE(test.pages.allocate_at({{SIZE_MAX}, {1}}).ok());
  const PageAllocation a = test.pages.allocate_at({TestAllocator::at(0, 205), {400}});
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(a.released.value, 5u);
  test.pages.check_invariants();
}

TEST(PageAllocatorDeathTest, MisuseIsFatal) {
  TestAllocator test({{0, {{0, 100}}, kNone}});
  EXPECT_DEATH(test.pages.free({TestAllocator::at(0, 50), {51}}), "not in use");
  EXPECT_DEATH((void)test.pages.grow({{1}, {P}}), "something else than chunks");
  EXPECT_DEATH((void)test.pages.grow({TestAllocator::at(0, 0), {P}}), "mapped twice");
}

}  // namespace
}  // namespace spanmalloc
