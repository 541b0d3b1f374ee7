#include "scavenger/scavenger.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "platform/futex.h"
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
  EXPECT_LE(test.page_heap.retained_bytes(), 44 * kMiB + kPageBytes);
  // Huge pages are not broken for the last bytes.
  EXPECT_GE(test.page_heap.retained_bytes(), 44 * kMiB - kHugePageBytes);
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
  EXPECT_GT(test.page_heap.retained_bytes(), 41 * kMiB);
  test.run_epochs(kManyEpochs);
  EXPECT_EQ(test.page_heap.retained_bytes(), 40 * kMiB);
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
  for (size_t epoch = 0; epoch + 1 < HoleReleaser::kRestEpochs; ++epoch) {
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
    EXPECT_LE(test.page_heap.retained_bytes(), goal + kPageBytes);
    EXPECT_GE(test.page_heap.retained_bytes() + kHugePageBytes, goal);
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

TEST(ScavengerThread, StartsWithAGrownHeapGivesMemoryBackParksWakesAndEnds) {
  static Threaded& test = *new Threaded;
  Span* kept = test.new_large(20 * kMiB);
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(kept != nullptr && freed != nullptr);
  EXPECT_FALSE(test.scavenger.has_thread());
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());

  memset(reinterpret_cast<void*>(freed->base()), 1, freed->bytes().value);
  ASSERT_TRUE(test.spans.delete_large(freed));
  EXPECT_TRUE(test.wait_for([] { return test.page_heap.retained_bytes() <= 23 * kMiB; }));

  // With nothing to do the thread parks after some epochs; a free wakes it.
  platform::sleep_ns(300 * kNsPerMs);
  Span* more = test.new_large(60 * kMiB);
  ASSERT_NE(more, nullptr);
  ASSERT_TRUE(test.spans.delete_large(more));
  EXPECT_TRUE(test.wait_for([] { return test.page_heap.retained_bytes() <= 23 * kMiB; }));

  ASSERT_TRUE(test.spans.delete_large(kept));
  EXPECT_TRUE(test.wait_for([] { return !test.scavenger.has_thread(); }))
      << "the heap is small again";
  test.page_heap.check_invariants();

  Span* again = test.new_large(60 * kMiB);
  ASSERT_NE(again, nullptr);
  test.scavenger.note_growth();
  EXPECT_TRUE(test.scavenger.has_thread()) << "a second life";
  ASSERT_TRUE(test.spans.delete_large(again));
  EXPECT_TRUE(test.wait_for([] { return !test.scavenger.has_thread(); }));
}

// Each step of work costs so much that the thread rests for a second after it.
class DearWorkClock final : public ScavengerClock {
 public:
  uint64_t monotonic_ns() override { return platform::coarse_monotonic_ns(); }
  uint64_t thread_cpu_ns() override { return cpu_ns_.fetch_add(1000 * kNsPerMs); }
  void sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>& word) override {
    rests_.fetch_add(1);
    platform::futex_wait(word, 0, nanoseconds);
  }

  bool has_rested() const { return rests_.load() > 0; }

 private:
  std::atomic<uint64_t> cpu_ns_{0};
  std::atomic<int> rests_{0};
};

TEST(ScavengerThread, EndsWithinATickWhenNoThreadOfTheProgramIsLeftAndComesBackWithOne) {
  static auto& test = *new ScavengerParts<DearWorkClock>;
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 60'000));
  ASSERT_TRUE(test.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  ASSERT_TRUE(test.options.set(Option::kIdleAgeEpochs, 1));
  test.scavenger.note_thread_start();
  Span* kept = test.new_large(40 * kMiB);
  Span* freed = test.new_large(160 * kMiB);
  ASSERT_TRUE(kept != nullptr && freed != nullptr && test.spans.delete_large(freed));
  for (int epoch = 0; epoch < 3; ++epoch) (void)test.scavenger.run_epoch(0);
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());
  for (int round = 0; round < 4000 && !test.clock.has_rested(); ++round) {
    platform::sleep_ns(kNsPerMs);
  }
  ASSERT_TRUE(test.clock.has_rested());
  test.scavenger.note_thread_end();
  for (int round = 0; round < 4000 && test.scavenger.has_thread(); ++round) {
    platform::sleep_ns(kNsPerMs);
  }
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_GT(test.page_heap.free_retained_bytes(), 0u) << "the tick was not over";
  test.scavenger.note_growth();
  EXPECT_FALSE(test.scavenger.has_thread()) << "a destructor has allocated";

  test.scavenger.note_thread_start();
  test.scavenger.note_growth();
  EXPECT_TRUE(test.scavenger.has_thread());
  test.scavenger.note_thread_end();
}

// A sleep within a tick takes no time, and the clock moves by nothing else.
class StandingClock final : public ScavengerClock {
 public:
  uint64_t monotonic_ns() override { return now_ns_.load(); }
  uint64_t thread_cpu_ns() override { return 0; }
  void sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>&) override {
    now_ns_.fetch_add(nanoseconds);
    slept_ns_.fetch_add(nanoseconds);
  }

  void advance(uint64_t nanoseconds) { now_ns_.fetch_add(nanoseconds); }
  uint64_t slept_ns() const { return slept_ns_.load(); }

 private:
  std::atomic<uint64_t> now_ns_{1};
  std::atomic<uint64_t> slept_ns_{0};
};

// Beyond its limit, with a function of the program that is called in each tick.
template <typename Clock>
struct Told : CacheParts {
  explicit Told(uint64_t epoch_ms) : CacheParts(256 * kMiB) {
    EXPECT_TRUE(options.set(Option::kEpochMilliseconds, epoch_ms));
    scavenger.set_key(kTestKey);
    scavenger.note_thread_start();
    kept = spans.new_large(pages_for(40 * kMiB), PageCount{1}, Growth::kAllowed);
    page_heap.limit().set_wanted({kMiB}, LimitKind::kSoft);
  }
  static void note(PressureReason, size_t, void* self) {
    Told& test = *static_cast<Told*>(self);
    test.calls.fetch_add(1);
    while (test.is_held.load()) platform::sleep_ns(kNsPerMs);
  }
  bool is_called(int times) const {
    for (int round = 0; round < 30'000 && calls.load() < times; ++round) {
      platform::sleep_ns(kNsPerMs);
    }
    return calls.load() >= times;
  }

  std::atomic<int> calls{0};
  std::atomic<bool> is_held{false};
  Span* kept = nullptr;
  Options options;
  Clock clock;
  HoleReleaser holes{centrals, page_map, page_heap};
  FakeRoot root;
  platform::CgroupPlaces places;
  Scavenger scavenger{page_heap, centrals, holes, registry,
                      sentinels, options,  clock, {places, root.path()}};
};

TEST(ScavengerThread, AChangeDuringATickIsNotSleptOver) {
  using Parts = Told<StandingClock>;
  static Parts& test = *new Parts(3'600'000);
  ASSERT_NE(test.kept, nullptr);
  test.is_held.store(true);
  ASSERT_TRUE(test.scavenger.set_pressure_callback(&Parts::note, &test));
  ASSERT_TRUE(test.is_called(1));
  ASSERT_TRUE(test.spans.delete_large(test.kept));
  test.scavenger.note_pages_freed();
  ASSERT_NE(test.spans.new_large(pages_for(20 * kMiB), PageCount{1}, Growth::kAllowed), nullptr);
  test.is_held.store(false);
  // A tenth of an epoch later, which takes no time here.
  for (int round = 0; round < 30'000 && test.clock.slept_ns() == 0; ++round) {
    platform::sleep_ns(kNsPerMs);
  }
  EXPECT_EQ(test.clock.slept_ns(), 360'000 * kNsPerMs);
}

TEST(ScavengerThread, ALimitThatIsPassedTimeAndAgainIsToldOnceAnEpoch) {
  using Parts = Told<StandingClock>;
  static Parts& test = *new Parts(3'600'000);
  constexpr uint64_t kEpochNs = 3'600'000 * kNsPerMs;
  ASSERT_NE(test.kept, nullptr);
  ASSERT_TRUE(test.scavenger.set_pressure_callback(
      [](PressureReason, size_t, void*) {
        test.calls.fetch_add(1);
        // As where it allocates.
        test.scavenger.note_limit_passed();
      },
      nullptr));
  ASSERT_TRUE(test.is_called(1));
  for (int pass = 0; pass < 20; ++pass) {
    platform::sleep_ns(10 * kNsPerMs);
    test.scavenger.note_limit_passed();
  }
  const int calls = test.calls.load();
  EXPECT_LE(calls, 1 + static_cast<int>(test.clock.slept_ns() / kEpochNs));
  test.clock.advance(kEpochNs);
  test.scavenger.note_limit_passed();
  EXPECT_TRUE(test.is_called(calls + 1));
}

TEST(ScavengerThread, EpochsThatBecomeShorterBeginSoon) {
  using Parts = Told<SystemScavengerClock>;
  static Parts& test = *new Parts(3'600'000);
  ASSERT_NE(test.kept, nullptr);
  ASSERT_TRUE(test.scavenger.set_pressure_callback(&Parts::note, &test));
  ASSERT_TRUE(test.is_called(1));
  platform::sleep_ns(50 * kNsPerMs);
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 1000));
  EXPECT_TRUE(test.is_called(2)) << "the next time that the thread looks whether it is the last";
}

TEST(ScavengerThread, TheChildOfAForkForgetsIt) {
  Fixture test;
  test.scavenger.forget_thread(1);
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_FALSE(test.scavenger.run_epoch(kAllWork).did_something()) << "a tick may run again";
  // One that was lost in the moment of the fork has taken note of an allocation.
  test.run_epochs(kManyEpochs);
  ASSERT_NE(test.new_large(kMiB), nullptr);
  (void)test.page_heap.take_use();
  test.scavenger.forget_thread(1);
  test.run_epochs(kManyEpochs);
  test.scavenger.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
