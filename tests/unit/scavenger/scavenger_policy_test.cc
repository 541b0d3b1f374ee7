// Limits, pressure, causes of epochs, and the policy of idle age.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "scavenger/scavenger.h"
#include "scavenger_fixture.h"

namespace spanmalloc {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif
#else
constexpr bool kAddressSanitizer = false;
#endif

struct Calls {
  static void note(PressureReason reason, size_t excess_bytes, void* context) {
    static_cast<Calls*>(context)->all.push_back({reason, excess_bytes});
  }
  struct Call {
    PressureReason reason;
    size_t excess_bytes;
  };
  std::vector<Call> all;
};

// In a container, with `kept` bytes in use and `freed` bytes free and retained.
struct Contained : Fixture {
  Contained(size_t kept_bytes, size_t freed_bytes) {
    root.mount_unified("/a");
    set_stalled(0);
    kept = new_large(kept_bytes);
    Span* freed = new_large(freed_bytes);
    EXPECT_TRUE(kept != nullptr && spans.delete_large(freed));
  }
  void set_container(size_t bytes) { root.write("/cg/a/memory.max", std::to_string(bytes) + "\n"); }
  void set_stalled(uint64_t total_us) {
    root.write("/cg/a/memory.pressure",
               "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(total_us) + "\n");
  }
  // An epoch of a second.
  EpochResult pass_second() {
    clock.advance(1000 * kNsPerMs);
    use_a_page();
    const EpochResult result = scavenger.run_epoch(kAllWork);
    page_heap.check_invariants();
    return result;
  }
  void use_a_page() { EXPECT_TRUE(spans.delete_large(new_large(kPageBytes))); }

  Span* kept = nullptr;
};

TEST(ScavengerPolicy, BeyondTheContainersLimitRecentPeaksAreNotKept) {
  Contained test(40 * kMiB, 60 * kMiB);
  // A container counts what is resident; nobody has touched the heap of this test.
  const std::vector<char> resident(60 * kMiB, 1);
  // What nobody looks at, a compiler may leave out.
  asm volatile("" : : "r"(resident.data()) : "memory");
  test.set_container(80 * kMiB);
  (void)test.pass_second();
  EXPECT_LE(test.page_heap.consumed_bytes(), 76 * kMiB);
  EXPECT_GE(test.page_heap.consumed_bytes(), 70 * kMiB);
  EXPECT_EQ(test.page_heap.limit().bytes(), 80 * kMiB / 100 * 95);
}

TEST(ScavengerPolicy, AtTheLimitDepotsAreDrainedAtOnce) {
  Contained test(10 * kMiB, kMiB);
  FreeNode sentinel{};
  test.fill_depot(100, &sentinel);
  test.page_heap.limit().set_wanted({5 * kMiB}, LimitKind::kSoft);
  (void)test.pass_second();
  EXPECT_EQ(test.centrals.depot_bytes(), 0u);
  EXPECT_LE(test.page_heap.free_retained_bytes(), kHugePageBytes);
}

// Frees a heap of 30 MiB in blocks of 256 KiB; returns how often the system was called for it.
size_t free_block_by_block(Fixture& test) {
  constexpr size_t kBlockBytes = kMiB / 4;
  std::vector<Span*> blocks;
  for (size_t bytes = 0; bytes < 30 * kMiB; bytes += kBlockBytes) {
    blocks.push_back(test.new_large(kBlockBytes));
  }
  size_t calls = 0;
  test.source.call_at_release([&calls] { ++calls; });
  for (Span* block : blocks) {
    EXPECT_TRUE(test.spans.delete_large(block));
    test.scavenger.note_pages_freed();
  }
  return calls;
}

TEST(ScavengerPolicy, WhereNoThreadRunsFreesKeepTheLimit) {
  for (const uint64_t scavenger : {uint64_t{0}, uint64_t{1}}) {
    Fixture test;
    ASSERT_TRUE(test.options.set(Option::kScavenger, scavenger));
    test.page_heap.limit().set_wanted({10 * kMiB}, LimitKind::kSoft);
    const size_t calls = free_block_by_block(test);
    EXPECT_LE(test.page_heap.consumed_bytes(), 11 * kMiB);
    EXPECT_GE(test.page_heap.consumed_bytes(), 7 * kMiB) << "what is within the limit stays";
    EXPECT_LE(calls, 30u) << "not at every free";
    EXPECT_FALSE(test.scavenger.has_thread());
  }
}

TEST(ScavengerPolicy, FreesDoNotAskAgainForWhatTheSystemRefused) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  Span* freed = test.new_large(30 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  test.page_heap.limit().set_wanted({10 * kMiB}, LimitKind::kSoft);
  test.source.refuse_release(true);
  test.scavenger.note_pages_freed();
  const uint64_t refusals = test.page_heap.stats().scavenge_refusals;
  EXPECT_GT(refusals, 0u);
  for (int call = 0; call < 100; ++call) test.scavenger.note_pages_freed();
  EXPECT_EQ(test.page_heap.stats().scavenge_refusals, refusals);
}

TEST(ScavengerPolicy, WhereNoThreadRunsDepotsBeyondTheLimitAreDrainedOnceTheyHoldMuch) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  FreeNode sentinel{};
  test.page_heap.limit().set_wanted({kMiB}, LimitKind::kSoft);
  test.fill_depot(500, &sentinel);
  for (int call = 0; call < 100; ++call) test.scavenger.note_depot_grown();
  EXPECT_GT(test.centrals.depot_bytes(), 0u);
  for (int magazine = 0; magazine < 7; ++magazine) test.fill_depot(500, &sentinel);
  for (int call = 0; call < 100; ++call) test.scavenger.note_depot_grown();
  EXPECT_EQ(test.centrals.depot_bytes(), 0u);
  EXPECT_LE(test.page_heap.consumed_bytes(), 2 * kMiB);
}

TEST(ScavengerPolicy, UnderPressureOnlyWhatIsInUseIsKept) {
  Contained test(40 * kMiB, 60 * kMiB);
  EXPECT_EQ(test.pass_second().released_bytes, 0u);
  test.set_stalled(400'000);
  EXPECT_GT(test.pass_second().released_bytes, 55 * kMiB);
  EXPECT_LE(test.page_heap.backed_bytes(), 41 * kMiB);
}

TEST(ScavengerPolicy, UnderPressureTheScavengerWorksTenTimesAsFast) {
  const auto slept_for_one_ms = [](uint64_t stalled_us) {
    Contained test(2 * kMiB, 100 * kMiB);
    (void)test.pass_second();
    for (size_t epoch = 0; epoch < PeakWindow::kEpochs - 1; ++epoch) (void)test.pass_second();
    test.clock.set_work_between_readings(kNsPerMs);
    test.set_stalled(stalled_us);
    const uint64_t slept = test.clock.slept_ns();
    const size_t sleeps = test.clock.sleeps();
    (void)test.pass_second();
    return static_cast<double>(test.clock.slept_ns() - slept) /
           static_cast<double>(test.clock.sleeps() - sleeps);
  };
  const double usual = slept_for_one_ms(0);
  const double pressed = slept_for_one_ms(900'000);
  EXPECT_GT(usual, 9 * pressed);
}

TEST(ScavengerPolicy, AQuotaOfAProcessorBoundsTheShare) {
  const auto slept = [](const char* quota) {
    Contained test(2 * kMiB, 100 * kMiB);
    test.root.write("/cg/a/cpu.max", quota);
    test.clock.set_work_between_readings(kNsPerMs);
    for (size_t epoch = 0; epoch <= PeakWindow::kEpochs; ++epoch) (void)test.pass_second();
    EXPECT_GT(test.clock.sleeps(), 0u);
    return static_cast<double>(test.clock.slept_ns()) / static_cast<double>(test.clock.sleeps());
  };
  EXPECT_NEAR(slept("50000 100000\n"), 199.0 * kNsPerMs, 1.0 * kNsPerMs);
  EXPECT_NEAR(slept("100000 100000\n"), 99.0 * kNsPerMs, 1.0 * kNsPerMs);
}

TEST(ScavengerPolicy, TheProgramIsToldOfALimitThatCannotBeKept) {
  Contained test(40 * kMiB, kMiB);
  Calls calls;
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  EXPECT_FALSE(test.scavenger.set_pressure_callback(&Calls::note, &calls)) << "there is no thread";
  (void)test.pass_second();
  EXPECT_TRUE(calls.all.empty());
  test.page_heap.limit().set_wanted({30 * kMiB}, LimitKind::kSoft);
  (void)test.pass_second();
  ASSERT_EQ(calls.all.size(), 1u);
  EXPECT_EQ(calls.all[0].reason, PressureReason::kLimit);
  EXPECT_GE(calls.all[0].excess_bytes, 10 * kMiB);
  (void)test.pass_second();
  EXPECT_EQ(calls.all.size(), 2u) << "once an epoch";
  ASSERT_TRUE(test.spans.delete_large(test.kept));
  (void)test.pass_second();
  EXPECT_EQ(calls.all.size(), 2u);
  (void)test.scavenger.run_epoch(kAllWork, EpochCause::kCall);
  EXPECT_EQ(calls.all.size(), 2u);
}

TEST(ScavengerPolicy, TheProgramIsToldOnceWhenPressureBegins) {
  Contained test(40 * kMiB, kMiB);
  Calls calls;
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  (void)test.scavenger.set_pressure_callback(&Calls::note, &calls);
  uint64_t stalled = 0;
  for (int second = 0; second < 5; ++second) {
    (void)test.pass_second();
    test.set_stalled(stalled += 500'000);
  }
  ASSERT_EQ(calls.all.size(), 1u);
  EXPECT_EQ(calls.all[0].reason, PressureReason::kSystem);
  EXPECT_EQ(calls.all[0].excess_bytes, 0u);
  (void)test.scavenger.set_pressure_callback(nullptr, nullptr);
  test.page_heap.limit().set_wanted({kMiB}, LimitKind::kSoft);
  (void)test.pass_second();
  EXPECT_EQ(calls.all.size(), 1u);
}

TEST(ScavengerEpochs, ATickByChangeNeitherDrainsNorForgets) {
  Fixture test;
  FreeNode sentinel{};
  test.fill_depot(50, &sentinel);
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
  for (size_t tick = 0; tick < 10 * PeakWindow::kEpochs; ++tick) {
    const EpochResult result = test.scavenger.run_epoch(kAllWork, EpochCause::kChange);
    ASSERT_FALSE(result.did_something());
  }
  // The peak still counts from the end of the epoch that it was in.
  (void)test.scavenger.run_epoch(kAllWork);
  EXPECT_EQ(test.run_busy_epochs(PeakWindow::kEpochs - 2), 0u);
  EXPECT_GT(test.run_busy_epochs(2), 0u);
}

TEST(ScavengerEpochs, ACallWorksInTheCallersTimeWithoutSleep) {
  Fixture test;
  test.clock.set_work_between_readings(kNsPerMs);
  Span* freed = test.new_large(200 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
  size_t released = 0;
  for (size_t call = 0; call < kManyEpochs; ++call) {
    released += test.scavenger.run_epoch(kAllWork, EpochCause::kCall).released_bytes;
  }
  EXPECT_GT(released, 190 * kMiB);
  EXPECT_EQ(test.clock.sleeps(), 0u);
}

TEST(ScavengerEpochs, TheGoalOfAllocationsFollowsTheGoalOfTheEpoch) {
  Fixture test;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && test.spans.delete_large(freed));
  (void)test.scavenger.run_epoch(kAllWork);
  // A sawtooth within the recent peak pays for nothing.
  for (int wave = 0; wave < 20; ++wave) {
    Span* span = test.new_large(60 * kMiB);
    ASSERT_TRUE(test.spans.delete_large(span));
  }
  EXPECT_EQ(test.source.released_bytes(), 0u);
}

TEST(ScavengerIdleAge, FreeMemoryGoesWhenItsChunkWasNotUsedForTheAge) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  ASSERT_TRUE(test.options.set(Option::kIdleAgeEpochs, 4));
  std::vector<Span*> pieces;
  for (int piece = 0; piece < 10; ++piece) pieces.push_back(test.new_large(4 * kMiB));
  for (Span* piece : pieces) ASSERT_TRUE(test.spans.delete_large(piece));
  for (int epoch = 0; epoch < 3; ++epoch) {
    ASSERT_EQ(test.scavenger.run_epoch(kAllWork).released_bytes, 0u) << epoch;
  }
  EXPECT_EQ(test.scavenger.run_epoch(kAllWork).released_bytes, 40 * kMiB)
      << "recent peak or not: all of it is of one age";
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 0u);
}

TEST(ScavengerIdleAge, TicksByChangeDoNotAgeWhatIsFree) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  ASSERT_TRUE(test.options.set(Option::kIdleAgeEpochs, 4));
  Span* freed = test.new_large(40 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(freed));
  for (int tick = 0; tick < 40; ++tick) {
    ASSERT_EQ(test.scavenger.run_epoch(kAllWork, EpochCause::kChange).released_bytes, 0u) << tick;
  }
  EXPECT_EQ(test.run_epochs(3), 0u);
  EXPECT_EQ(test.run_epochs(1), 40 * kMiB);
}

TEST(ScavengerIdleAge, ChunksInUseKeepWhatIsFreeInThem) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  ASSERT_TRUE(test.options.set(Option::kIdleAgeEpochs, 4));
  // First fit takes the lowest pages, so only the first chunk is used again.
  Span* low = test.new_large(4 * kMiB);
  Span* high = test.new_large(40 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(low) && test.spans.delete_large(high));
  for (int epoch = 0; epoch < 12; ++epoch) (void)test.run_busy_epochs(1);
  EXPECT_EQ(test.source.released_bytes(), 40 * kMiB);
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 4 * kMiB);
  test.run_epochs(5);
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 0u);
}

// The thread's life, with real time.

TEST(ScavengerThreadLife, WaitsWithALargeHeapEndsWithASmallOneAndMallocStartsItAgain) {
  static Threaded& test = *new Threaded;
  Span* kept = test.new_large(20 * kMiB);
  Span* late = test.new_large(60 * kMiB);
  ASSERT_TRUE(kept != nullptr && late != nullptr);
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());
  const auto wait_for_end = [] {
    for (int round = 0; round < 4000 && test.scavenger.has_thread(); ++round) {
      platform::sleep_ns(5 * kNsPerMs);
    }
  };
  platform::sleep_ns(400 * kNsPerMs);
  EXPECT_TRUE(test.scavenger.has_thread())
      << "40 epochs without work, and 80 MiB that may be freed";

  ASSERT_TRUE(test.spans.delete_large(late));
  test.scavenger.note_pages_freed();
  wait_for_end();
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_LE(test.page_heap.backed_bytes(), 21 * kMiB);

  // A small heap needs none, and a free never starts one.
  Span* small = test.new_large(8 * kMiB);
  ASSERT_TRUE(test.spans.delete_large(small));
  test.scavenger.note_pages_freed();
  test.scavenger.note_allocation();
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_LE(test.page_heap.backed_bytes(), 21 * kMiB);

  Span* again = test.new_large(60 * kMiB);
  test.scavenger.note_growth();
  EXPECT_TRUE(test.scavenger.has_thread());
  ASSERT_TRUE(test.spans.delete_large(again) && test.spans.delete_large(kept));
  test.scavenger.note_pages_freed();
  wait_for_end();
  EXPECT_FALSE(test.scavenger.has_thread());
}

TEST(ScavengerThreadLife, ComesBackWhereFreesGiveBackWhatIsTakenAgain) {
  static Threaded& test = *new Threaded;
  Span* large = test.new_large(60 * kMiB);
  test.scavenger.note_growth();
  ASSERT_TRUE(large != nullptr && test.scavenger.has_thread());
  ASSERT_TRUE(test.spans.delete_large(large));
  test.scavenger.note_pages_freed();
  for (int round = 0; round < 4000 && test.scavenger.has_thread(); ++round) {
    platform::sleep_ns(5 * kNsPerMs);
  }
  ASSERT_FALSE(test.scavenger.has_thread());

  int buffers = 0;
  for (; buffers < 100 && !test.scavenger.has_thread(); ++buffers) {
    Span* buffer = test.new_large(12 * kMiB);
    ASSERT_NE(buffer, nullptr);
    test.scavenger.note_growth();
    test.scavenger.note_allocation();
    ASSERT_TRUE(test.spans.delete_large(buffer));
    test.scavenger.note_pages_freed();
  }
  EXPECT_TRUE(test.scavenger.has_thread());
  EXPECT_GT(buffers, 2) << "a small heap needs none for what comes once";
}

TEST(ScavengerThreadLife, AChildThatIsBornWithMuchFreeMemoryGivesItBack) {
  static Threaded& test = *new Threaded;
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_TRUE(test.new_large(40 * kMiB) != nullptr && freed != nullptr);
  ASSERT_TRUE(test.spans.delete_large(freed));
  // What was free when its parent ticked last is no change.
  (void)test.scavenger.run_epoch(kAllWork);
  ASSERT_EQ(test.page_heap.free_retained_bytes(), 60 * kMiB);
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 3'600'000));
  test.scavenger.forget_thread(1);
  test.scavenger.note_allocation();
  EXPECT_FALSE(test.scavenger.has_thread()) << "it may end soon";
  ASSERT_TRUE(test.options.set(Option::kEpochMilliseconds, 10));
  platform::sleep_ns(30 * kNsPerMs);
  test.scavenger.note_allocation();
  EXPECT_TRUE(test.scavenger.has_thread());
  EXPECT_TRUE(test.is_all_given_back());
}

TEST(ScavengerThreadLife, TheThreadEndsWhenTheScavengerIsSwitchedOff) {
  static Threaded& test = *new Threaded;
  ASSERT_NE(test.new_large(80 * kMiB), nullptr);
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());
  ASSERT_TRUE(test.options.set(Option::kScavenger, 0));
  for (int round = 0; round < 4000 && test.scavenger.has_thread(); ++round) {
    platform::sleep_ns(5 * kNsPerMs);
  }
  EXPECT_FALSE(test.scavenger.has_thread());
  test.scavenger.note_growth();
  EXPECT_FALSE(test.scavenger.has_thread());
  ASSERT_TRUE(test.options.set(Option::kScavenger, 1));
  test.scavenger.note_growth();
  EXPECT_TRUE(test.scavenger.has_thread());
}

// Refuses the process all further memory, and so the stack of a new thread.
class NoMoreMemory {
 public:
  NoMoreMemory() {
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    const rlimit none{0, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &none), 0);
  }
  ~NoMoreMemory() { EXPECT_EQ(setrlimit(RLIMIT_AS, &before_), 0); }

 private:
  rlimit before_{};
};

TEST(ScavengerThreadLife, AThreadThatWasRefusedIsAskedForAgain) {
  if constexpr (platform::kThreadSanitizer || kAddressSanitizer) {
    GTEST_SKIP() << "the sanitizer needs memory itself";
  }
  static Fixture& test = *new Fixture;
  constexpr uint64_t kLong = 60'000 * kNsPerMs;
  ASSERT_NE(test.new_large(80 * kMiB), nullptr);
  {
    const NoMoreMemory no_more_memory;
    test.scavenger.note_growth();
    ASSERT_FALSE(test.scavenger.has_thread());
    test.clock.advance(kLong);
    test.scavenger.note_growth();
    ASSERT_FALSE(test.scavenger.has_thread());
  }
  test.scavenger.note_growth();
  EXPECT_FALSE(test.scavenger.has_thread()) << "not at every growth";
  test.clock.advance(kLong);
  test.scavenger.note_growth();
  EXPECT_TRUE(test.scavenger.has_thread());
}

TEST(ScavengerThreadLife, ACallbackStartsAndKeepsTheThread) {
  static Threaded& test = *new Threaded;
  static std::atomic<int> calls{0};
  ASSERT_NE(test.new_large(4 * kMiB), nullptr);
  ASSERT_TRUE(test.scavenger.set_pressure_callback(
      [](PressureReason, size_t, void*) { calls.fetch_add(1); }, nullptr));
  EXPECT_TRUE(test.scavenger.has_thread());
  platform::sleep_ns(400 * kNsPerMs);
  EXPECT_TRUE(test.scavenger.has_thread()) << "40 epochs without work";
  EXPECT_EQ(calls.load(), 0);
  test.page_heap.limit().set_wanted({kMiB}, LimitKind::kSoft);
  test.scavenger.note_limit_passed();
  for (int round = 0; round < 4000 && calls.load() == 0; ++round) platform::sleep_ns(5 * kNsPerMs);
  EXPECT_GT(calls.load(), 0);
  EXPECT_TRUE(test.scavenger.set_pressure_callback(nullptr, nullptr));
  for (int round = 0; round < 4000 && test.scavenger.has_thread(); ++round) {
    platform::sleep_ns(5 * kNsPerMs);
  }
  EXPECT_FALSE(test.scavenger.has_thread());
}

}  // namespace
}  // namespace spanmalloc
