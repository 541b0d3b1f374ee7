#include "pages/huge_page_schedule.h"

#include <gtest/gtest.h>

#include "unit/pages/page_heap_fixture.h"

namespace spanmalloc {
namespace {

constexpr size_t kPages = kPagesPerChunk;
constexpr uint32_t kRest = HugePageSchedule::kRestEpochs;

ChunkActivity dense(uint32_t generation) {
  ChunkActivity activity;
  activity.in_use = kPagesPerChunk;
  activity.generation = generation;
  return activity;
}

// The first epoch from `from` on in which the kernel is asked; 0 when there is none in a while.
uint32_t next_time(const ChunkActivity& activity, HugePageLook& look, uint32_t from) {
  for (uint32_t now = from; now < from + 5000; ++now) {
    if (HugePageSchedule::should_ask(activity, look, now)) return now;
  }
  return 0;
}

TEST(HugePageSchedule, DenseIsWhatTheBackgroundScavengingLeavesAlone) {
  ChunkActivity activity = dense(1);
  EXPECT_TRUE(HugePageSchedule::is_dense(activity));
  activity.in_use = ChunkActivity::kDensePages;
  EXPECT_TRUE(HugePageSchedule::is_dense(activity));
  EXPECT_FALSE(activity.is_sparse(2));
  activity.in_use = ChunkActivity::kDensePages - 1;
  EXPECT_FALSE(HugePageSchedule::is_dense(activity));
}

TEST(HugePageSchedule, AsksWhenTheChunkHasRestedNotBefore) {
  HugePageLook look;
  EXPECT_EQ(next_time(dense(7), look, 1), 1 + kRest);
}

TEST(HugePageSchedule, EveryChangeBeginsTheRestAnew) {
  HugePageLook look;
  for (uint32_t now = 1; now < 40; ++now) {
    EXPECT_FALSE(HugePageSchedule::should_ask(dense(now / 3), look, now)) << now;
  }
  EXPECT_EQ(next_time(dense(13), look, 40), 39 + kRest);
}

TEST(HugePageSchedule, RestIsMeasuredByItsOwnClock) {
  // Generations that tick faster do not make a chunk rest sooner.
  HugePageLook look;
  EXPECT_FALSE(HugePageSchedule::should_ask(dense(100), look, 1));
  EXPECT_FALSE(HugePageSchedule::should_ask(dense(100), look, 2));
  EXPECT_FALSE(HugePageSchedule::should_ask(dense(150), look, 3));
  EXPECT_EQ(next_time(dense(150), look, 4), 3 + kRest);
}

TEST(HugePageSchedule, AsksLessAndLessOftenButNeverStops) {
  HugePageLook look;
  uint32_t last = next_time(dense(1), look, 1);
  uint32_t wait = HugePageSchedule::kFirstWait;
  for (int time = 0; time < 12; ++time) {
    const uint32_t next = next_time(dense(1), look, last + 1);
    EXPECT_EQ(next - last, wait);
    wait = std::min(wait * 2, HugePageSchedule::kLongestWait);
    last = next;
  }
  EXPECT_EQ(wait, HugePageSchedule::kLongestWait);
}

TEST(HugePageSchedule, AChangeDoesNotShortenTheWait) {
  HugePageLook look;
  const uint32_t first = next_time(dense(1), look, 1);
  const uint32_t second = next_time(dense(2), look, first + 1);
  EXPECT_EQ(second - first, HugePageSchedule::kFirstWait);
  EXPECT_EQ(next_time(dense(3), look, second + 1) - second, 2 * HugePageSchedule::kFirstWait);
}

TEST(HugePageBackoff, PausesTwiceAsLongEachTimeThereIsNone) {
  HugePageBackoff backoff;
  for (uint32_t pause = 1; pause <= HugePageBackoff::kLongestPause; pause *= 2) {
    EXPECT_TRUE(backoff.may_ask());
    backoff.note_not_now();
    EXPECT_TRUE(backoff.is_pausing());
    for (uint32_t epoch = 0; epoch < pause; ++epoch) EXPECT_FALSE(backoff.may_ask()) << pause;
  }
  EXPECT_TRUE(backoff.may_ask());
  backoff.note_not_now();
  for (uint32_t epoch = 0; epoch < HugePageBackoff::kLongestPause; ++epoch) {
    EXPECT_FALSE(backoff.may_ask());
  }
  EXPECT_TRUE(backoff.may_ask());
  backoff.note_done();
  backoff.note_not_now();
  EXPECT_FALSE(backoff.may_ask());
  EXPECT_TRUE(backoff.may_ask());
}

TEST(HugePageBackoff, PausesForLongAfterRefusalsInARowOnly) {
  HugePageBackoff backoff;
  for (int round = 0; round < 3; ++round) {
    for (uint32_t i = 0; i + 1 < HugePageBackoff::kMaxRefusals; ++i) backoff.note_refused();
    EXPECT_TRUE(backoff.may_ask());
    backoff.note_done();
  }
  for (uint32_t i = 0; i < HugePageBackoff::kMaxRefusals; ++i) backoff.note_refused();
  // Then one question is left for each such time.
  for (int round = 0; round < 3; ++round) {
    for (uint32_t epoch = 0; epoch < HugePageBackoff::kPauseAfterRefusals; ++epoch) {
      EXPECT_FALSE(backoff.may_ask());
      backoff.check_invariants();
    }
    EXPECT_TRUE(backoff.may_ask());
    backoff.note_refused();
  }
}

// The chunks found in one epoch.
std::vector<size_t> found_in(TestHeap& test, uint32_t epoch) {
  std::vector<size_t> found;
  ChunkNumber from{};
  while (true) {
    const PageHeap::DenseChunk chunk = test.heap.next_dense_chunk(from, epoch);
    if (chunk.pages.count.value > 0) found.push_back(chunk.pages.first.chunk().value);
    if (chunk.end == PageHeap::SearchEnd::kOver) return found;
    EXPECT_GT(chunk.next, from);
    from = chunk.next;
  }
}

TEST(HugePageBackoffDeathTest, APauseThatGoesOnWithoutCauseIsAFault) {
  HugePageBackoff backoff;
  for (int round = 0; round < 10; ++round) {
    backoff.note_not_now();
    backoff.check_invariants();
    while (!backoff.may_ask()) backoff.check_invariants();
  }
  backoff.note_not_now();
  // Nothing is asked for in a pause, so nothing can be done.
  backoff.note_done();
  EXPECT_DEATH(backoff.check_invariants(), "a pause between huge pages is longer");
}

TEST(PageHeapHuge, FindsChunksThatAreDenseAndRestOnce) {
  TestHeap test;
  EXPECT_TRUE(found_in(test, 1).empty());
  // The last chunk is not full.
  ASSERT_TRUE(test.allocate(3 * kPages + kPages / 2).ok());
  for (uint32_t epoch = 1; epoch <= kRest; ++epoch) {
    EXPECT_TRUE(found_in(test, epoch).empty()) << epoch;
    test.heap.start_epoch();
  }
  EXPECT_EQ(found_in(test, 1 + kRest), (std::vector<size_t>{0, 1, 2}));
  EXPECT_TRUE(found_in(test, 2 + kRest).empty());
  test.heap.check_invariants();
}

TEST(PageHeapHuge, AChunkInWhichPagesBecomeFreeIsLeftAlone) {
  TestHeap test;
  const PageAllocation all = test.allocate(3 * kPages);
  ASSERT_TRUE(all.ok());
  uint32_t epoch = 0;
  while (++epoch < 20) {
    // Few enough that the chunk stays dense.
    test.heap.free({all.pages.first + PageCount{kPages + epoch * 4}, {1}});
    const std::vector<size_t> found = found_in(test, epoch);
    EXPECT_TRUE(std::find(found.begin(), found.end(), 1) == found.end()) << epoch;
    test.heap.start_epoch();
  }
}

TEST(PageHeapHuge, SearchesGoOnOverHolesOfTheWindowAndManyChunks) {
  TestHeap test(testing::kTiB);
  ASSERT_TRUE(test.allocate(600 * kPages).ok());
  test.source.jump_to({100000});
  ASSERT_TRUE(test.allocate(2 * kPages).ok());
  EXPECT_TRUE(found_in(test, 1).empty());
  EXPECT_EQ(found_in(test, 1 + kRest).size(), 602u);
}

TEST(PageHeapHuge, WhatWasReleasedCountsAsBackedAfterwards) {
  TestHeap test;
  const PageAllocation all = test.allocate(kPages);
  ASSERT_TRUE(all.ok());
  const PageRange unit{all.pages.first, {kPagesPerHugePage}};
  test.heap.free({all.pages.first + PageCount{8}, {4}});
  test.heap.free_released({all.pages.first + PageCount{20}, {6}});
  test.heap.free_released({all.pages.first + PageCount{kPagesPerHugePage - 1}, {2}});
  EXPECT_EQ(test.heap.expected_resident_bytes(unit), PageCount{kPagesPerHugePage - 7}.bytes());
  test.heap.note_backed(unit);
  test.heap.check_invariants();
  EXPECT_EQ(test.heap.expected_resident_bytes(unit), unit.count.bytes());
  const PageHeapStats stats = test.heap.stats();
  EXPECT_EQ(stats.released, PageCount{1});
  EXPECT_EQ(stats.free_retained, PageCount{11});
  // The search for what to give back finds them.
  EXPECT_EQ(test.heap.scavenge(Bytes{SIZE_MAX}, ScavengeMode::kForced), PageCount{11}.bytes());
  test.heap.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
