// Giving memory back: what is released, in which order, and when the background may.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/record_pool.h"
#include "page_heap_fixture.h"
#include "pages/page_heap.h"

namespace spanmalloc {
namespace {

constexpr Bytes kEverything{SIZE_MAX};

TEST(PageHeapScavenge, ForcedScavengingReturnsAllWholeHugePagesFirst) {
  TestHeap test;
  const PageAllocation a = test.allocate(2 * 512);
  // The upper chunk keeps one page, the lower one becomes free.
  test.heap.free({a.pages.first, {1023}});
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 1023 * kPageBytes);
  const std::vector<PageRange>& releases = test.source.releases();
  ASSERT_EQ(releases.size(), 4u);
  EXPECT_EQ(releases[0], (PageRange{a.pages.first + PageCount{512}, {256}}));
  EXPECT_EQ(releases[1], (PageRange{a.pages.first + PageCount{256}, {256}}));
  EXPECT_EQ(releases[2], (PageRange{a.pages.first, {256}}));
  EXPECT_EQ(releases[3], (PageRange{a.pages.first + PageCount{768}, {255}}));
  EXPECT_EQ(test.heap.free_retained_bytes(), 0u);
  EXPECT_EQ(test.heap.in_use_bytes(), kPageBytes);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  EXPECT_EQ(test.heap.stats().scavenged_pages, 1023u);
  test.heap.check_invariants();
  const PageAllocation again = test.allocate(1023, 1, Growth::kForbidden);
  EXPECT_TRUE(again.is_zero());
}

TEST(PageHeapScavenge, ForcedScavengingEmptiesThePageCache) {
  TestHeap test;
  const PageAllocation a = test.allocate(5);
  test.heap.free(a.pages);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 5 * kPageBytes);
  EXPECT_EQ(test.heap.backed_bytes(), 0u);
}

TEST(PageHeapScavenge, ScavengingStopsWhenEnoughIsDone) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  for (size_t page = 0; page < 512; page += 2) {
    test.heap.free({a.pages.first + PageCount{page}, {1}});
  }
  EXPECT_EQ(test.heap.scavenge({1}, ScavengeMode::kForced).value, kPageBytes);
  EXPECT_EQ(test.heap.scavenge({3 * kPageBytes}, ScavengeMode::kForced).value, 3 * kPageBytes);
  ASSERT_EQ(test.source.releases().size(), 4u);
  EXPECT_EQ(test.source.releases()[0].first, a.pages.first + PageCount{510});
  EXPECT_EQ(test.source.releases()[3].first, a.pages.first + PageCount{504});
}

TEST(PageHeapScavenge, BackgroundScavengingWaitsUntilADensePeakIsForgotten) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.heap.free(a.pages);
  const auto background = [&test] {
    return test.heap.scavenge(kEverything, ScavengeMode::kBackground).value / kPageBytes;
  };
  EXPECT_EQ(background(), 0u);  // freed in this epoch
  test.heap.start_epoch();
  EXPECT_EQ(background(), 0u);  // full in the last one
  test.heap.start_epoch();
  EXPECT_EQ(background(), 512u);
  EXPECT_EQ(background(), 0u);
}

TEST(PageHeapScavenge, BackgroundScavengingTakesSparseChunksAfterAnEpoch) {
  TestHeap test;
  const PageAllocation a = test.allocate(400);
  test.heap.free({a.pages.first, {100}});
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 0u);
  test.heap.start_epoch();
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 100 * kPageBytes);
}

TEST(PageHeapScavenge, BackgroundScavengingLeavesDenseChunksAlone) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.heap.free({a.pages.first, {10}});
  for (int i = 0; i < 5; ++i) {
    test.heap.start_epoch();
    EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 0u);
  }
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 10 * kPageBytes);
}

TEST(PageHeapScavenge, RefusedReleasesLoseNothing) {
  TestHeap test;
  const PageAllocation a = test.allocate(3 * 512);
  test.heap.free(a.pages);
  test.source.refuse_release(true);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  EXPECT_EQ(test.heap.free_retained_bytes(), 3 * kChunkBytes);
  EXPECT_GE(test.heap.stats().scavenge_refusals, 3u);
  test.heap.check_invariants();
  test.source.refuse_release(false);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 3 * kChunkBytes);
  test.heap.check_invariants();
  test.heap.free(test.allocate(3 * 512).pages);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 3 * kChunkBytes);
  test.heap.check_invariants();
}
// Uses a range of chunks up and gives part of each page back as released, part as retained.
TEST(PageHeapScavenge, GoesFromHighPagesToLowOnes) {
  TestHeap one;
  const PageAllocation a = one.allocate(512);
  one.heap.free_released({a.pages.first + PageCount{1}, {510}});
  one.heap.free({a.pages.first, {1}});
  one.heap.free({a.pages.first + PageCount{511}, {1}});
  one.source.forget_releases();
  // A huge page that is free as a whole goes first, and as a whole.
  EXPECT_EQ(one.heap.scavenge({1}, ScavengeMode::kForced).value, kPageBytes);
  EXPECT_EQ(one.source.releases().back().end(), a.pages.end());
  EXPECT_EQ(one.heap.scavenge({1}, ScavengeMode::kForced).value, kPageBytes);
  EXPECT_EQ(one.source.releases().back().first, a.pages.first);
  EXPECT_EQ(one.heap.scavenge({1}, ScavengeMode::kForced).value, 0u);

  // The same where a page in use in each half rules huge pages out.
  TestHeap two;
  const PageAllocation b = two.allocate(1024);
  const auto page = [&b](size_t index) { return b.pages.first + PageCount{index}; };
  for (const size_t index : {0u, 511u, 1023u}) two.heap.free({page(index), {1}});
  const auto scavenge = [&two](size_t pages) {
    return two.heap.scavenge({pages * kPageBytes}, ScavengeMode::kForced).value / kPageBytes;
  };
  EXPECT_EQ(scavenge(1), 1u);
  EXPECT_EQ(two.source.releases().back(), (PageRange{page(1023), {1}}));
  EXPECT_EQ(scavenge(1), 1u);
  EXPECT_EQ(two.source.releases().back(), (PageRange{page(511), {1}}));
  EXPECT_EQ(scavenge(2), 1u);
  EXPECT_EQ(two.source.releases().back(), (PageRange{page(0), {1}}));
}

TEST(PageHeapScavenge, ReachesRangesFarApart) {
  TestHeap test(16 * testing::kTiB);
  std::vector<PageRange> blocks;
  for (size_t i = 0; i < 5; ++i) {
    test.source.jump_to({i * 0x1000 * 64});
    blocks.push_back(test.allocate(512).pages);
  }
  for (const PageRange& block : blocks) test.heap.free(block);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 5 * kChunkBytes);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
}

// All that may be under way, in threads that stand still between the two sections of a release.
struct StandingReleases {
  static constexpr size_t kThreads = 4;

  StandingReleases() {
    test.source.call_before_release([this] {
      begun.fetch_add(1);
      while (!may_end.load()) std::this_thread::yield();
    });
    for (size_t index = 0; index < kThreads; ++index) {
      test.heap.free(test.allocate(512).pages);
      threads.emplace_back(
          [this] { (void)test.heap.scavenge(kEverything, ScavengeMode::kForced); });
      while (begun.load() == index) std::this_thread::yield();
    }
  }
  ~StandingReleases() {
    may_end.store(true);
    for (std::thread& thread : threads) thread.join();
  }

  TestHeap test;
  std::atomic<size_t> begun{0};
  std::atomic<bool> may_end{false};
  std::vector<std::thread> threads;
};

TEST(PageHeapScavenge, AChildThatWasForkedInsideASectionTakesThemBackLater) {
  StandingReleases releases;
  PageHeap& heap = releases.test.heap;
  heap.mutex().lock();
  const pid_t child = fork();
  if (child == 0) {
    // As the end of the fork does; then the section ends that the handler has interrupted.
    heap.recover_later();
    heap.mutex().unlock();
    releases.may_end.store(true);
    const size_t retained = heap.free_retained_bytes();
    const bool all_went = heap.scavenge(kEverything, ScavengeMode::kForced).value == retained;
    heap.check_invariants();
    _exit(all_went && retained > 0 ? 0 : 1);
  }
  heap.mutex().unlock();
  int status = -1;
  EXPECT_TRUE(waitpid(child, &status, 0) == child && status == 0);
}

// What is in the hands of other threads is free, and where the heap cannot grow it is all there is.
TEST(PageHeapScavenge, ARequestThatMayGrowWaitsForPagesThatAreBeingGivenBack) {
  StandingReleases releases;
  TestHeap& test = releases.test;
  test.source.fail_grow(1, true);
  RecordPool records(test.arena, 64, 64);
  EXPECT_EQ(test.heap.allocate_recorded({512}, {1}, Growth::kForbidden, records).record, nullptr);
  EXPECT_EQ(records.in_use(), 0u);
  std::thread end_later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    releases.may_end.store(true);
  });
  const PageHeap::Recorded taken =
      test.heap.allocate_recorded({512}, {1}, Growth::kAllowed, records);
  EXPECT_EQ(taken.pages.pages.count.value, 512u);
  EXPECT_NE(taken.record, nullptr);
  end_later.join();
}

TEST(PageHeapScavenge, AChildTakesBackWhatNobodyReleasesAnyMore) {
  TestHeap test;
  test.heap.free(test.allocate(512).pages);
  test.heap.recover_in_child();
  EXPECT_EQ(test.heap.free_retained_bytes(), kChunkBytes);
  test.heap.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
