#include "scavenger/scavenger.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "scavenger_fixture.h"

namespace spanmalloc {
namespace {

using testing::claim_objects;

TEST(Scavenger, AnEmptyHeapIsNoWork) {
  Fixture test;
  for (int epoch = 0; epoch < 10; ++epoch) {
    EXPECT_FALSE(test.scavenger.run_epoch(kAllWork).did_something());
  }
  EXPECT_EQ(test.clock.sleeps(), 0u);
  EXPECT_EQ(test.scavenger.release_all(), 0u);
}

TEST(Scavenger, ARecentPeakIsKept) {
  Fixture test;
  Span* kept = test.new_large(40 * kMiB);
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(kept != nullptr && freed != nullptr);
  ASSERT_TRUE(test.spans.delete_large(freed));
  EXPECT_EQ(test.run_epochs(PeakWindow::kEpochs - 1), 0u);
}

TEST(Scavenger, ReleasesDownToThePeakAndATenthButNotBelow) {
  Fixture test;
  Span* kept = test.new_large(40 * kMiB);
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(kept != nullptr && freed != nullptr);
  ASSERT_TRUE(test.spans.delete_large(freed));
  const size_t released = test.run_busy_epochs(kManyEpochs);
  EXPECT_GT(released, 0u);
  EXPECT_EQ(test.source.released_bytes(), released);
  EXPECT_LE(test.page_heap.backed_bytes(), 44 * kMiB + kPageBytes);
  // Huge pages are not broken for the last bytes.
  EXPECT_GE(test.page_heap.backed_bytes(), 44 * kMiB - kHugePageBytes);
}

TEST(Scavenger, WhatIsDoneIsNotDoneAgain) {
  Fixture test;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
  test.run_epochs(kManyEpochs);
  const size_t released = test.source.released_bytes();
  EXPECT_EQ(test.run_epochs(20), 0u);
  EXPECT_EQ(test.source.released_bytes(), released);
}

TEST(Scavenger, AQuietProgramKeepsNothingThatItDoesNotUse) {
  Fixture test;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
  test.run_busy_epochs(kManyEpochs);
  EXPECT_GT(test.page_heap.backed_bytes(), 41 * kMiB);
  test.run_epochs(kManyEpochs);
  EXPECT_EQ(test.page_heap.backed_bytes(), 40 * kMiB);
}

TEST(Scavenger, HolesOfSpansThatRestAreGivenBackAndNoOthers) {
  Fixture test;
  const CentralList central = test.centrals[kClass];
  std::vector<FreeNode*> objects = claim_objects(central, kClass, 4000);
  std::vector<FreeNode*> freed;
  for (size_t index = 0; index < objects.size(); ++index) {
    if (index % 16 != 0) freed.push_back(objects[index]);
  }
  testing::drain_objects(central, freed);
  size_t before_rest = 0;
  for (size_t epoch = 0; epoch + 1 < static_cast<size_t>(HoleReleaser::Rest::kIdle); ++epoch) {
    before_rest += test.scavenger.run_epoch(kAllWork).hole_bytes;
  }
  EXPECT_EQ(before_rest, 0u);
  size_t released = 0;
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    released += test.scavenger.run_epoch(kAllWork).hole_bytes;
  }
  // Of 16 KiB that hold one object, 12 KiB are holes.
  EXPECT_GE(released, objects.size() / 16 * 3 * 4096 * 9 / 10);
  EXPECT_EQ(test.page_heap.hole_bytes(), released);
  EXPECT_EQ(test.holes.open_loans(), 0u);
  central.check_invariants();
}

// Two sizes one after the other, of the first of which a sixteenth stays; gives the bytes that
// mallocs gave back meanwhile.
size_t holes_given_back_by_growth(Fixture& test) {
  std::vector<FreeNode*> freed;
  const auto grow = [&](SizeClass size_class, std::vector<FreeNode*>* but_a_sixteenth) {
    const CentralList central = test.centrals[size_class];
    for (size_t taken = 0; taken < 40 * kMiB; taken += 32 * kSizeClasses[size_class].object_bytes) {
      const std::vector<FreeNode*> objects = claim_objects(central, size_class, 32);
      for (size_t index = 0; index < objects.size(); ++index) {
        if (index % 16 != 0 && but_a_sixteenth != nullptr) {
          but_a_sixteenth->push_back(objects[index]);
        }
      }
      test.scavenger.note_allocation();
    }
  };
  grow(kClass, &freed);
  testing::drain_objects(test.centrals[kClass], freed);
  grow(size_class_of(3000), nullptr);
  test.scavenger.check_invariants();
  test.page_heap.check_invariants();
  return test.page_heap.hole_bytes();
}

TEST(Scavenger, GrowthIsPaidForWithHolesWhereTheOptionsAllowIt) {
  Fixture test;
  EXPECT_GT(holes_given_back_by_growth(test), 8 * kMiB);
  Fixture without;
  ASSERT_TRUE(without.options.set(Option::kScavenger, 0));
  EXPECT_EQ(holes_given_back_by_growth(without), 0u);
  Fixture by_age;
  ASSERT_TRUE(by_age.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  EXPECT_EQ(holes_given_back_by_growth(by_age), 0u);
}

TEST(ScavengerDeathTest, AnAllocationThatATickDidNotSeeIsAFault) {
  Fixture test;
  ASSERT_NE(test.new_large(kMiB), nullptr);
  test.run_epochs(2);
  test.scavenger.check_invariants();
  ASSERT_NE(test.new_large(kMiB), nullptr);
  (void)test.page_heap.take_use();
  (void)test.scavenger.run_epoch(kAllWork);
  EXPECT_DEATH(test.scavenger.check_invariants(), "memory in use grew without an allocation");
}

TEST(Scavenger, NothingIsReleasedWhileMemoryIsUsedAtItsPeakAgainAndAgain) {
  Fixture test;
  ASSERT_NE(test.new_large(20 * kMiB), nullptr);
  for (int wave = 0; wave < 20; ++wave) {
    Span* span = test.new_large(60 * kMiB);
    ASSERT_TRUE(test.spans.delete_large(span));
    ASSERT_EQ(test.run_epochs(PeakWindow::kEpochs - 1), 0u) << wave;
  }
}

TEST(Scavenger, RetainPercentSetsTheGoal) {
  for (const uint64_t percent : {0, 50, 100}) {
    Fixture test;
    ASSERT_TRUE(test.options.set(Option::kRetainPercent, percent));
    Span* freed = test.new_large(100 * kMiB);
    ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
    test.run_busy_epochs(kManyEpochs);
    const size_t goal = 40 * kMiB + 40 * kMiB * percent / 100;
    EXPECT_LE(test.page_heap.backed_bytes(), goal + kPageBytes);
    EXPECT_GE(test.page_heap.backed_bytes() + kHugePageBytes, goal);
  }
}

TEST(Scavenger, AtMostWhatIsAskedForIsReleasedInOneTick) {
  Fixture test;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  test.run_epochs(PeakWindow::kEpochs - 1);
  // The first epoch saw the peak; from the next one on it is forgotten.
  (void)test.scavenger.run_epoch(0);
  const size_t sleeps = test.clock.sleeps();
  for (int tick = 0; tick < 5; ++tick) {
    const EpochResult result = test.scavenger.run_epoch(2 * kMiB);
    EXPECT_GT(result.released_bytes, 0u);
    EXPECT_LE(result.released_bytes, 2 * kMiB + kHugePageBytes);
  }
  EXPECT_EQ(test.clock.sleeps(), sleeps) << "a tick in the program's own thread does not sleep";
}

TEST(Scavenger, StaysWithinItsShareOfProcessorTime) {
  Fixture test;
  test.clock.set_work_between_readings(kNsPerMs);
  Span* freed = test.new_large(200 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  ASSERT_GT(test.run_busy_epochs(kManyEpochs), 150 * kMiB);
  ASSERT_GT(test.clock.sleeps(), 20u);
  // Each step of work is measured by two readings.
  const auto worked = static_cast<double>(test.clock.sleeps() * kNsPerMs);
  const double share = worked / (worked + static_cast<double>(test.clock.slept_ns()));
  EXPECT_LE(share, 0.015 * platform::usable_processors());
  EXPECT_GE(share, 0.005);
}

TEST(Scavenger, RefusedReleasesEndTheWork) {
  Fixture test;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  test.source.refuse_release(true);
  EXPECT_EQ(test.run_epochs(kManyEpochs), 0u);
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 60 * kMiB);
  EXPECT_EQ(test.scavenger.release_all(), 0u);
  test.page_heap.check_invariants();
}

TEST(Scavenger, ReleaseAllKeepsNothingAndSleepsNever) {
  Fixture test;
  Span* kept = test.new_large(3 * kMiB);
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(kept != nullptr && test.spans.delete_large(freed));
  EXPECT_EQ(test.scavenger.release_all(), 60 * kMiB);
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 0u);
  EXPECT_EQ(test.scavenger.release_all(), 0u);
  EXPECT_EQ(test.clock.sleeps(), 0u);
  test.page_heap.check_invariants();
}

TEST(Scavenger, ReleaseAllEndsHoweverMuchOthersFreeMeanwhile) {
  Fixture test;
  constexpr size_t kFree = 8 * kMiB;
  Span* freed = test.new_large(kFree);
  std::vector<Span*> spans;
  for (size_t count = 0; count < 40; ++count) spans.push_back(test.new_large(4 * kMiB));
  ASSERT_TRUE(test.spans.delete_large(freed));
  test.source.call_at_release([&] {
    if (spans.empty()) return;
    ASSERT_TRUE(test.spans.delete_large(spans.back()));
    spans.pop_back();
  });
  const size_t released = test.scavenger.release_all();
  EXPECT_GT(released, 0u);
  // The last piece may be a huge page.
  EXPECT_LT(released, kFree + platform::kHugePageBytes);
  EXPECT_GT(test.page_heap.free_retained_bytes(), 0u);
  test.page_heap.check_invariants();
}

TEST(Scavenger, DepotsThatLayIdleForAnEpochAreDrained) {
  Fixture test;
  FreeNode sentinel{};
  test.fill_depot(50, &sentinel);
  EXPECT_EQ(test.scavenger.run_epoch(kAllWork).drained_bytes, 0u);
  EXPECT_EQ(test.scavenger.run_epoch(kAllWork).drained_bytes, 50u * 1024);
  EXPECT_EQ(test.centrals.depot_bytes(), 0u);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
  EXPECT_EQ(test.scavenger.run_epoch(kAllWork).drained_bytes, 0u);
}

TEST(Scavenger, DepotsInUseAreLeftAlone) {
  Fixture test;
  FreeNode sentinel{};
  test.fill_depot(50, &sentinel);
  for (int epoch = 0; epoch < 10; ++epoch) {
    ASSERT_EQ(test.scavenger.run_epoch(kAllWork).drained_bytes, 0u);
    test.centrals[kClass].put_magazine(test.centrals[kClass].take_magazine(), kTestKey);
  }
}

TEST(Scavenger, CachesOfEndedThreadsAreEmptiedOnceNoThreadStartsForAnEpoch) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  std::vector<FreeNode*> objects;
  for (int count = 0; count < 20; ++count) objects.push_back(test.allocate(*cache, kClass));
  for (FreeNode* object : objects) test.deallocate(*cache, kClass, object);
  test.registry.release(cache, ThreadCacheRegistry::Contents::kKept);
  EXPECT_EQ(test.scavenger.run_epoch(kAllWork).drained_bytes, 0u) << "a thread has started";
  EXPECT_GE(test.scavenger.run_epoch(kAllWork).drained_bytes, 20u * 1024);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
}

TEST(Scavenger, WithoutAThreadLargeFreesTickOnceAnEpochAndGiveBackALittle) {
  Fixture test;
  Span* freed = test.new_large(30 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  const uint64_t epoch_ns = test.options[Option::kEpochMilliseconds] * kNsPerMs;
  size_t last = 0;
  for (size_t epoch = 0; epoch < PeakWindow::kEpochs + 5; ++epoch) {
    test.clock.advance(epoch_ns);
    for (int call = 0; call < 1000; ++call) test.scavenger.note_pages_freed();
    const size_t now = test.source.released_bytes();
    if (epoch < PeakWindow::kEpochs - 1) {
      EXPECT_EQ(now, 0u);
    }
    EXPECT_LE(now - last, 2 * kMiB + kHugePageBytes);
    last = now;
  }
  EXPECT_GT(last, 4 * kMiB);
  EXPECT_FALSE(test.scavenger.has_thread());
}

TEST(Scavenger, WithoutAThreadTheLengthOfEpochsCountsAndNotWhereTheClockBegan) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kTrace, 1));
  Span* freed = test.new_large(30 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  const auto ticks = [&] {
    ::testing::internal::CaptureStderr();
    test.scavenger.note_pages_freed();
    return !::testing::internal::GetCapturedStderr().empty();
  };
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 3'600'000));
  test.clock.advance(3'600'000 * kNsPerMs);
  EXPECT_TRUE(ticks());
  test.clock.advance(1000 * kNsPerMs);
  EXPECT_FALSE(ticks());
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 1000));
  EXPECT_TRUE(ticks()) << "the epochs are shorter now";
  EXPECT_FALSE(ticks());
  // As in a process that was restored from an image where the clock began later.
  test.clock.set(10 * kNsPerMs);
  EXPECT_TRUE(ticks());
  EXPECT_FALSE(ticks());
}

TEST(Scavenger, TheOptionTurnsAllAutomaticWorkOff) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  Span* kept = test.new_large(50 * kMiB);
  Span* freed = test.new_large(50 * kMiB);
  ASSERT_TRUE(kept != nullptr && test.spans.delete_large(freed));
  for (int call = 0; call < 1000; ++call) {
    test.clock.advance(1000 * kNsPerMs);
    test.scavenger.note_growth();
    test.scavenger.note_pages_freed();
  }
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_EQ(test.source.released_bytes(), 0u);
}

TEST(Scavenger, ASmallHeapStartsNoThread) {
  Fixture test;
  ASSERT_NE(test.new_large(31 * kMiB), nullptr);
  test.scavenger.note_growth();
  EXPECT_FALSE(test.scavenger.has_thread());
}

TEST(Scavenger, TraceWritesOneLineATick) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kTrace, 1));
  Span* freed = test.new_large(8 * kMiB);
  ASSERT_TRUE(test.new_large(4 * kMiB) != nullptr && test.spans.delete_large(freed));
  ::testing::internal::CaptureStderr();
  (void)test.scavenger.run_epoch(kAllWork);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "spanmalloc: scavenger: 4096 KiB in use, 8192 KiB idle, 0 KiB released, "
            "12288 KiB consumed, 0 KiB drained, 0 KiB in spans and 0 KiB given back now, "
            "0 KiB in huge pages now, no limit\n");
  test.page_heap.limit().set_wanted({100 * kMiB}, LimitKind::kSoft);
  ::testing::internal::CaptureStderr();
  (void)test.scavenger.run_epoch(kAllWork);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "spanmalloc: scavenger: 4096 KiB in use, 8192 KiB idle, 0 KiB released, "
            "12288 KiB consumed, 0 KiB drained, 0 KiB in spans and 0 KiB given back now, "
            "0 KiB in huge pages now, limit 102400 KiB\n");
}

TEST(Scavenger, TicksOfManyThreadsDoNotOverlap) {
  Fixture test;
  Span* freed = test.new_large(100 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    // The fake clock is not made for threads: the race detector would see two ticks at once.
    threads.emplace_back([&] {
      for (int tick = 0; tick < 20; ++tick) (void)test.scavenger.run_epoch(4 * kMiB);
    });
  }
  for (std::thread& thread : threads) thread.join();
  test.page_heap.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
