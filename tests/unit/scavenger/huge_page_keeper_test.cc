#include "scavenger/huge_page_keeper.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/fake_clock.h"
#include "support/fake_page_source.h"

namespace spanmalloc {
namespace {

using platform::CollapseResult;
using platform::HugePageMode;
using testing::FakeClock;
using testing::FakePageSource;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kNsPerMs = 1'000'000;
constexpr size_t kEnough = 80 * kMiB;
constexpr size_t kEnoughUnits = kEnough / kHugePageBytes;
constexpr size_t kRest = HugePageSchedule::kRestEpochs;

struct Fixture {
  explicit Fixture(size_t bytes = kEnough) {
    EXPECT_TRUE(heap.open(source.window()));
    all = heap.allocate(pages_for(bytes), {1}, Growth::kAllowed);
    EXPECT_TRUE(all.ok());
  }

  size_t run_epochs(size_t count) {
    size_t bytes = 0;
    for (size_t epoch = 0; epoch < count; ++epoch) {
      heap.start_epoch();
      bytes +=
          keeper.run_epoch(options, ScavengePacer(0, 1), TickRest(clock, is_to_end, live_threads))
              .value;
    }
    return bytes;
  }
  void set(HugePagePolicy policy) {
    EXPECT_TRUE(options.set(Option::kHugePages, static_cast<uint64_t>(policy)));
  }

  FakePageSource source{testing::kGiB};
  MetadataArena arena;
  PageHeap heap{source, arena};
  Options options;
  FakeClock clock;
  std::atomic<uint32_t> is_to_end{0};
  std::atomic<size_t> live_threads{1};
  HugePageKeeper keeper{heap};
  PageAllocation all;
};

TEST(HugePageKeeper, MovesADenseHeapThatRestsOnce) {
  Fixture test;
  EXPECT_EQ(test.run_epochs(kRest), 0u);
  EXPECT_TRUE(test.source.take_collapses().empty());
  EXPECT_EQ(test.run_epochs(1), kEnough);
  const std::vector<PageRange> asked = test.source.take_collapses();
  ASSERT_EQ(asked.size(), kEnoughUnits);
  for (size_t unit = 0; unit < asked.size(); ++unit) {
    EXPECT_EQ(asked[unit], (PageRange{{unit * kPagesPerHugePage}, {kPagesPerHugePage}}));
  }
  EXPECT_EQ(test.run_epochs(3), 0u);
}

TEST(HugePageKeeper, EndsBeforeTheNextUnitWhenItIsTo) {
  Fixture fixture;
  fixture.is_to_end = 1;
  EXPECT_LE(fixture.run_epochs(kRest + 1), kHugePageBytes);
}

TEST(HugePageKeeper, DoesNothingUnlessItIsWanted) {
  for (HugePagePolicy policy : {HugePagePolicy::kOff, HugePagePolicy::kNewMemory}) {
    Fixture test;
    test.set(policy);
    EXPECT_EQ(test.run_epochs(20), 0u);
    EXPECT_EQ(test.source.resident_looks(), 0u);
  }
}

TEST(HugePageKeeper, DoesNothingWhereTheSystemHasNoHugePages) {
  Fixture test;
  test.source.set_huge_page_mode(HugePageMode::kNever);
  EXPECT_EQ(test.run_epochs(40), 0u);
  EXPECT_EQ(test.source.resident_looks(), 0u);
  // It is noticed when that changes.
  test.source.set_huge_page_mode(HugePageMode::kAlways);
  EXPECT_EQ(test.run_epochs(40) % kEnough, 0u);
  EXPECT_GE(test.source.take_collapses().size(), kEnoughUnits);
}

TEST(HugePageKeeper, LeavesASmallHeapAlone) {
  Fixture test(HugePageSchedule::kMinHeapBytes - kChunkBytes);
  EXPECT_EQ(test.run_epochs(20), 0u);
  EXPECT_EQ(test.source.resident_looks(), 0u);
}

TEST(HugePageKeeper, LeavesWhatIsNotBackedOrSharedAlone) {
  Fixture test;
  // One page of the first huge page, and most of another.
  test.source.set_absent({{{3}, {1}}, {{5 * kPagesPerHugePage}, {kPagesPerHugePage}}});
  EXPECT_EQ(test.run_epochs(kRest + 1), kEnough - 2 * kHugePageBytes);
  for (const PageRange& asked : test.source.take_collapses()) {
    EXPECT_NE(asked.first.value, 0u);
    EXPECT_NE(asked.first.value, 5 * kPagesPerHugePage);
  }
  // Once it is there, it gets its chance.
  test.source.set_absent({});
  test.run_epochs(HugePageSchedule::kFirstWait);
  EXPECT_EQ(test.source.take_collapses().size(), kEnoughUnits);
}

TEST(HugePageKeeper, PagesKnownToBeReleasedNeedNotBeThere) {
  Fixture test;
  test.heap.free_released({{3}, {2}});
  test.source.set_absent({{{3}, {2}}});
  EXPECT_EQ(test.run_epochs(kRest + 1), kEnough);
  EXPECT_EQ(test.heap.stats().released.value, 0u);
  EXPECT_EQ(test.heap.stats().free_retained, PageCount{2});
  test.heap.check_invariants();
}

TEST(HugePageKeeper, PausesWhenThereIsNoHugePage) {
  Fixture test;
  test.source.set_collapse_result(CollapseResult::kNotNow);
  test.run_epochs(kRest + 1);
  EXPECT_EQ(test.source.take_collapses().size(), 1u);
  test.run_epochs(1);
  EXPECT_TRUE(test.source.take_collapses().empty());
  test.source.set_collapse_result(CollapseResult::kDone);
  EXPECT_EQ(test.run_epochs(2), kEnough - kChunkBytes);
}

TEST(HugePageKeeper, AsksHardlyEverWhereItIsRefused) {
  Fixture test;
  test.source.set_collapse_result(CollapseResult::kRefused);
  test.run_epochs(100);
  // One huge page of each chunk.
  const std::vector<PageRange> asked = test.source.take_collapses();
  ASSERT_EQ(asked.size(), HugePageBackoff::kMaxRefusals);
  for (size_t index = 0; index < asked.size(); ++index) {
    EXPECT_EQ(asked[index].first.value, index * kPagesPerChunk);
  }
  test.run_epochs(HugePageBackoff::kPauseAfterRefusals);
  EXPECT_EQ(test.source.take_collapses().size(), 1u);
  // A process that may have some again gets them.
  test.source.set_collapse_result(CollapseResult::kDone);
  EXPECT_GT(test.run_epochs(HugePageBackoff::kPauseAfterRefusals + 40), 0u);
}

TEST(HugePageKeeper, KeepsThePace) {
  Fixture test;
  test.clock.set_work_between_readings(5 * kNsPerMs);
  test.run_epochs(kRest);
  // 5 ms of work make half a second of sleep at 1 %: two or three chunks an epoch.
  EXPECT_GT(test.run_epochs(1), 0u);
  EXPECT_LE(test.source.take_collapses().size(), 6u);
  // The rest follows.
  test.run_epochs(60);
  EXPECT_GE(test.source.take_collapses().size(), kEnoughUnits - 6);
}

}  // namespace
}  // namespace spanmalloc
