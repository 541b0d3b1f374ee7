#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "page_heap_fixture.h"
#include "pages/page_heap.h"

namespace spanmalloc {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
// What the records of these small heaps may come to.
constexpr size_t kRecords = kMiB;

// How free memory lies: together, or each page between two that are in use.
enum class Shape { kOneRun, kSinglePages };

struct LimitedHeap : TestHeap {
  PageRange take(size_t bytes) { return allocate(bytes / kPageBytes).pages; }

  void hold(size_t in_use, size_t free, Shape shape) {
    kept = take(in_use);
    if (shape == Shape::kOneRun) {
      heap.free(take(free));
      return;
    }
    const PageRange both = take(2 * free);
    for (size_t page = 0; page < both.count.value; page += 2) {
      heap.free({both.first + PageCount{page}, {1}});
    }
  }
  void set_limit(size_t bytes, LimitKind kind) { heap.limit().set_wanted({bytes}, kind); }

  PageRange kept{};
};

TEST(MemoryLimit, TheProgramsLimitComesBeforeTheContainers) {
  MemoryLimit limit;
  EXPECT_FALSE(limit.is_set());
  limit.set_container({50});
  EXPECT_EQ(limit.bytes(), 50u);
  EXPECT_FALSE(limit.is_hard());
  limit.set_wanted({70}, LimitKind::kHard);
  EXPECT_EQ(limit.bytes(), 70u);
  EXPECT_TRUE(limit.is_hard());
  limit.set_container({20});
  EXPECT_EQ(limit.bytes(), 70u);
  limit.set_wanted({0}, LimitKind::kHard);
  EXPECT_EQ(limit.bytes(), 20u);
  EXPECT_FALSE(limit.is_hard()) << "a container's limit never refuses";
  limit.set_container({MemoryLimit::kNone});
  EXPECT_FALSE(limit.is_set());
}

TEST(PageHeapLimit, WithoutALimitNothingIsGivenBack) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  ASSERT_EQ(test.take(30 * kMiB).count, pages_for(30 * kMiB));
  EXPECT_TRUE(test.source.releases().empty());
  EXPECT_FALSE(test.heap.was_over_limit());
}

TEST(PageHeapLimit, NewMemoryIsPaidForWithFreeMemory) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  const size_t limit = test.heap.consumed_bytes() + kRecords;
  test.set_limit(limit, LimitKind::kSoft);
  for (int count = 0; count < 4; ++count) {
    ASSERT_NE(test.take(4 * kMiB).count.value, 0u);
    EXPECT_LE(test.heap.consumed_bytes(), limit);
    EXPECT_FALSE(test.heap.was_over_limit());
    test.heap.check_invariants();
  }
  // No more is free than this.
  ASSERT_NE(test.take(8 * kMiB).count.value, 0u);
  EXPECT_EQ(test.heap.free_retained_bytes(), 0u);
  EXPECT_TRUE(test.heap.was_over_limit());
  test.heap.check_invariants();
}

TEST(PageHeapLimit, MemoryThatIsBackedAlreadyIsUsedWithoutPayment) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kOneRun);
  test.set_limit(test.heap.consumed_bytes() + kRecords, LimitKind::kSoft);
  for (int round = 0; round < 50; ++round) test.heap.free(test.take(20 * kMiB));
  EXPECT_TRUE(test.source.releases().empty());
}

TEST(PageHeapLimit, OnePaymentIsWhatOneAllocationNeedsAndALittle) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  // Far below what is held: the limit was lowered.
  test.set_limit(10 * kMiB, LimitKind::kSoft);
  ASSERT_NE(test.take(64 * kPageBytes).count.value, 0u);
  size_t released = 0;
  for (const PageRange& range : test.source.releases()) released += range.count.bytes().value;
  EXPECT_GE(released, 64 * kPageBytes);
  EXPECT_LE(released, 64 * kPageBytes + kMiB);
  EXPECT_TRUE(test.heap.was_over_limit());
  test.heap.forget_over_limit();
  EXPECT_FALSE(test.heap.was_over_limit());
}

// As in a process that locks its memory.
TEST(PageHeapLimit, WhatTheSystemDoesNotTakeIsNotTriedAtEachAllocation) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  test.set_limit(10 * kMiB, LimitKind::kSoft);
  test.source.refuse_release(true);
  ASSERT_NE(test.take(kMiB).count.value, 0u);
  const size_t refused = test.source.refused_releases().size();
  EXPECT_GT(refused, 0u);
  for (int count = 0; count < 20; ++count) ASSERT_NE(test.take(kMiB).count.value, 0u);
  EXPECT_EQ(test.source.refused_releases().size(), refused);

  test.source.refuse_release(false);
  EXPECT_EQ(test.heap.scavenge({SIZE_MAX}, ScavengeMode::kForced).value, 20 * kMiB);
  test.heap.check_invariants();
}

TEST(PageHeapLimit, ASoftLimitRefusesNothing) {
  LimitedHeap test;
  test.set_limit(kMiB, LimitKind::kSoft);
  EXPECT_EQ(test.take(100 * kMiB).count, pages_for(100 * kMiB));
  EXPECT_TRUE(test.heap.was_over_limit());
  EXPECT_GE(test.heap.excess_bytes(), 99 * kMiB);
}

TEST(PageHeapLimit, AHardLimitRefusesWhatDoesNotFitAndCountsExactly) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  const size_t in_use = test.heap.in_use_bytes();
  const size_t limit = in_use + 30 * kMiB;
  test.set_limit(limit, LimitKind::kHard);
  EXPECT_EQ(test.take(31 * kMiB).count.value, 0u);
  EXPECT_EQ(test.take(size_t{1} << 33).count.value, 0u) << "nor is address space taken for it";
  EXPECT_LT(test.heap.stats().mapped.bytes().value, size_t{1} << 30);
  test.heap.check_invariants();
  EXPECT_EQ(test.heap.in_use_bytes(), in_use);
  // What fits is given, if all that is free goes back for it.
  const PageRange fits = test.take(28 * kMiB);
  ASSERT_NE(fits.count.value, 0u);
  EXPECT_LE(test.heap.consumed_bytes(), limit);
  EXPECT_EQ(test.take(4 * kMiB).count.value, 0u);
  test.heap.check_invariants();
  test.heap.free(fits);
  EXPECT_NE(test.take(28 * kMiB).count.value, 0u);
  test.heap.check_invariants();
}

TEST(PageHeapLimit, AHardLimitTakesAndGivesBackNothingForWhatCannotFit) {
  LimitedHeap test;
  const PageRange released = test.take(40 * kMiB);
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  test.heap.free_released(released);
  const size_t retained = test.heap.free_retained_bytes();
  test.set_limit(test.heap.in_use_bytes() + 30 * kMiB, LimitKind::kHard);
  EXPECT_EQ(test.take(31 * kMiB).count.value, 0u);
  EXPECT_EQ(test.heap.allocate_at({released.first, pages_for(31 * kMiB)}, Growth::kForbidden)
                .pages.count.value,
            0u);
  EXPECT_EQ(test.heap.free_retained_bytes(), retained);
  EXPECT_TRUE(test.source.releases().empty());
}

TEST(PageHeapLimit, AHardLimitAlsoBoundsGrowthInPlace) {
  LimitedHeap test;
  const PageRange block = test.take(8 * kMiB);
  test.set_limit(test.heap.consumed_bytes() + 4 * kMiB, LimitKind::kHard);
  EXPECT_FALSE(test.heap.allocate_at({block.end(), pages_for(16 * kMiB)}, Growth::kAllowed).ok());
  EXPECT_EQ(test.heap.in_use_bytes(), 8 * kMiB);
  EXPECT_TRUE(test.heap.allocate_at({block.end(), pages_for(2 * kMiB)}, Growth::kAllowed).ok());
  test.heap.check_invariants();
}

TEST(PageHeapLimit, RefusedReleasesMakeAHardLimitRefuseAndASoftOneNot) {
  for (const LimitKind kind : {LimitKind::kSoft, LimitKind::kHard}) {
    LimitedHeap test;
    test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
    test.set_limit(test.heap.consumed_bytes() + kMiB, kind);
    test.source.refuse_release(true);
    EXPECT_EQ(test.take(10 * kMiB).count.value > 0, kind == LimitKind::kSoft);
    test.heap.check_invariants();
  }
}

TEST(PageHeapLimit, GrowthBeyondTheGoalIsPaidForWithWhatLayFreeForAnEpoch) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  test.heap.set_retention_goal({50 * kMiB});
  ASSERT_NE(test.take(kMiB).count.value, 0u);
  EXPECT_TRUE(test.source.releases().empty()) << "freed in this epoch";
  test.heap.start_epoch();
  test.heap.start_epoch();
  const size_t before = test.heap.backed_bytes();
  ASSERT_NE(test.take(kMiB).count.value, 0u);
  EXPECT_LE(test.heap.backed_bytes(), before + kHugePageBytes);
  EXPECT_FALSE(test.source.releases().empty());
  test.heap.check_invariants();
}

TEST(PageHeapLimit, GrowthWithinTheGoalIsNotPaidFor) {
  LimitedHeap test;
  test.hold(40 * kMiB, 20 * kMiB, Shape::kSinglePages);
  test.heap.start_epoch();
  test.heap.start_epoch();
  test.heap.set_retention_goal({100 * kMiB});
  ASSERT_NE(test.take(8 * kMiB).count.value, 0u);
  EXPECT_TRUE(test.source.releases().empty());
}

// Random requests under a limit that comes and goes: the counts stay exact, a hard limit holds.
TEST(PageHeapLimit, RandomRequestsUnderChangingLimitsKeepTheCountsExact) {
  TestHeap test;
  std::mt19937_64 random(3);
  std::vector<PageRange> live;
  bool hard = false;
  for (int step = 0; step < 20000; ++step) {
    const size_t action = random() % 100;
    if (action < 50) {
      const size_t count = size_t{1} << random() % 11;
      const PageAllocation got = test.allocate(count);
      if (got.ok()) live.push_back(got.pages);
      if (got.ok() && hard && got.released.value > 0) {
        ASSERT_LE(test.heap.consumed_bytes(), test.heap.limit().bytes());
      }
    } else if (action < 98 && !live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      test.heap.free(live.back());
      live.pop_back();
    } else if (action == 98) {
      test.heap.start_epoch();
      test.heap.set_retention_goal({(random() % 128) * kMiB});
    } else {
      hard = random() % 2 == 0;
      test.heap.limit().set_wanted({(random() % 128) * kMiB},
                                   hard ? LimitKind::kHard : LimitKind::kSoft);
    }
    if (step % 256 == 0) test.heap.check_invariants();
  }
  for (const PageRange& range : live) test.heap.free(range);
  test.heap.check_invariants();
  EXPECT_EQ(test.heap.in_use_bytes(), 0u);
}

}  // namespace
}  // namespace spanmalloc
