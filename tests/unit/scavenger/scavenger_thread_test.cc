// The life of the scavenger's thread.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "platform/futex.h"
#include "scavenger/scavenger.h"
#include "scavenger_fixture.h"

namespace spanmalloc {
namespace {

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
  EXPECT_TRUE(test.wait_for([] { return test.page_heap.backed_bytes() <= 23 * kMiB; }));

  // With nothing to do the thread parks after some epochs; a free wakes it.
  platform::sleep_ns(300 * kNsPerMs);
  Span* more = test.new_large(60 * kMiB);
  ASSERT_NE(more, nullptr);
  ASSERT_TRUE(test.spans.delete_large(more));
  EXPECT_TRUE(test.wait_for([] { return test.page_heap.backed_bytes() <= 23 * kMiB; }));

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

// A parked thread is not woken by less than an eighth of what is in use.
TEST(ScavengerThread, GivesBackLittleThatBecameFreeWhileItIsParked) {
  static Threaded& test = *new Threaded;
  Span* first = test.new_large(8 * kMiB);
  ASSERT_TRUE(test.new_large(92 * kMiB) != nullptr && first != nullptr);
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());
  platform::sleep_ns(400 * kNsPerMs);
  ASSERT_TRUE(test.spans.delete_large(first));
  test.scavenger.note_pages_freed();
  EXPECT_TRUE(test.is_all_given_back());

  platform::sleep_ns(400 * kNsPerMs);
  Span* second = test.new_large(8 * kMiB);
  ASSERT_NE(second, nullptr);
  test.scavenger.note_allocation();
  ASSERT_TRUE(test.spans.delete_large(second));
  test.scavenger.note_pages_freed();
  EXPECT_TRUE(test.is_all_given_back());
}

TEST(ScavengerThread, GivesBackWhatItKeptForAProgramThatRestsByNow) {
  static Threaded& test = *new Threaded;
  ASSERT_NE(test.new_large(100 * kMiB), nullptr);
  Span* some = test.new_large(8 * kMiB);
  ASSERT_NE(some, nullptr);
  test.scavenger.note_growth();
  ASSERT_TRUE(test.scavenger.has_thread());
  ASSERT_TRUE(test.spans.delete_large(some));
  // For a program that takes memory all the time a tenth of the peak is kept. So nothing is to be
  // done, and the thread parks.
  for (int round = 0; round < 200; ++round) {
    ASSERT_TRUE(test.spans.delete_large(test.new_large(kPageBytes)));
    test.scavenger.note_pages_freed();
    platform::sleep_ns(2 * kNsPerMs);
  }
  EXPECT_TRUE(test.is_all_given_back());
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
    if (const auto call = at_sleep_.load(); call != nullptr) call();
  }

  // Called after each sleep, by who slept.
  void call_at_sleep(void (*call)()) { at_sleep_.store(call); }
  void advance(uint64_t nanoseconds) { now_ns_.fetch_add(nanoseconds); }
  uint64_t slept_ns() const { return slept_ns_.load(); }

 private:
  std::atomic<uint64_t> now_ns_{1};
  std::atomic<uint64_t> slept_ns_{0};
  std::atomic<void (*)()> at_sleep_{nullptr};
};

// Beyond its limit, with a function of the program that is called in each tick.
template <typename Clock>
struct Told : ScavengerParts<Clock> {
  explicit Told(uint64_t epoch_ms) {
    EXPECT_TRUE(this->options.set(Option::kEpochMilliseconds, epoch_ms));
    this->scavenger.note_thread_start();
    kept = this->new_large(40 * kMiB);
    this->page_heap.limit().set_wanted({kMiB}, LimitKind::kSoft);
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
  ASSERT_NE(test.new_large(20 * kMiB), nullptr);
  test.is_held.store(false);
  // A tenth of an epoch later, which takes no time here.
  constexpr uint64_t kTenthNs = 360'000 * kNsPerMs;
  for (int round = 0; round < 30'000 && test.clock.slept_ns() < kTenthNs; ++round) {
    platform::sleep_ns(kNsPerMs);
  }
  EXPECT_EQ(test.clock.slept_ns(), kTenthNs);
}

TEST(ScavengerThread, SeesThatItIsSwitchedOffWhileItHoldsAnEarlyTickBack) {
  using Parts = Told<StandingClock>;
  static Parts& test = *new Parts(3'600'000);
  ASSERT_NE(test.kept, nullptr);
  test.clock.call_at_sleep([] { (void)test.options.set(Option::kScavenger, 0); });
  test.is_held.store(true);
  ASSERT_TRUE(test.scavenger.set_pressure_callback(&Parts::note, &test));
  ASSERT_TRUE(test.is_called(1));
  ASSERT_TRUE(test.spans.delete_large(test.kept));
  test.scavenger.note_pages_freed();
  test.is_held.store(false);
  for (int round = 0; round < 30'000 && test.scavenger.has_thread(); ++round) {
    platform::sleep_ns(kNsPerMs);
  }
  EXPECT_FALSE(test.scavenger.has_thread());
  EXPECT_EQ(test.clock.slept_ns(), 10'000 * kNsPerMs) << "it looks whether it is the last as often";
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

TEST(ScavengerThread, TheChildOfAForkThatOnlyFreesGivesBackOnceItHasLivedForAnEpoch) {
  Fixture test;
  Span* first = test.new_large(30 * kMiB);
  Span* second = test.new_large(30 * kMiB);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  (void)test.scavenger.run_epoch(kAllWork);
  test.scavenger.forget_thread(1);
  ASSERT_TRUE(test.spans.delete_large(first));
  test.scavenger.note_pages_freed();
  EXPECT_EQ(test.source.released_bytes(), 0u) << "it may end soon";
  test.clock.advance(test.options[Option::kEpochMilliseconds] * kNsPerMs);
  ASSERT_TRUE(test.spans.delete_large(second));
  test.scavenger.note_pages_freed();
  EXPECT_EQ(test.page_heap.free_retained_bytes(), 0u) << "recent peak or not";
  EXPECT_FALSE(test.scavenger.has_thread());
}

TEST(ScavengerThread, FreesThatGiveLittleBackAreNoWorkForAThread) {
  Fixture test;
  Span* kept = test.new_large(40 * kMiB);
  ASSERT_NE(kept, nullptr);
  (void)test.scavenger.run_epoch(kAllWork);
  test.scavenger.forget_thread(1);
  test.clock.advance(test.options[Option::kEpochMilliseconds] * kNsPerMs);
  for (int call = 0; call < 100; ++call) test.scavenger.note_depot_grown();
  test.scavenger.note_allocation();
  EXPECT_FALSE(test.scavenger.has_thread());
}

// What such a heap's frees would give back, its mallocs would take again.
TEST(ScavengerThread, TheChildOfAForkWithASmallHeapKeepsWhatItsParentWouldKeep) {
  Fixture test;
  Span* freed = test.new_large(30 * kMiB);
  ASSERT_NE(freed, nullptr);
  test.scavenger.forget_thread(1);
  test.clock.advance(test.options[Option::kEpochMilliseconds] * kNsPerMs);
  ASSERT_TRUE(test.spans.delete_large(freed));
  test.scavenger.note_pages_freed();
  EXPECT_EQ(test.source.released_bytes(), 0u);
}

TEST(ScavengerThread, WhereMemoryGoesByItsAgeFreesWithoutTheThreadWaitForIt) {
  Fixture test;
  ASSERT_TRUE(test.options.set(Option::kPolicy, static_cast<uint64_t>(ReleasePolicy::kIdleAge)));
  ASSERT_TRUE(test.options.set(Option::kIdleAgeEpochs, 4));
  Span* freed = test.new_large(60 * kMiB);
  ASSERT_NE(freed, nullptr);
  test.scavenger.forget_thread(1);
  ASSERT_TRUE(test.spans.delete_large(freed));
  for (int epoch = 0; epoch < 3; ++epoch) {
    test.clock.advance(test.options[Option::kEpochMilliseconds] * kNsPerMs);
    test.scavenger.note_pages_freed();
    test.scavenger.note_depot_grown();
    EXPECT_EQ(test.source.released_bytes(), 0u) << epoch;
  }
  for (int epoch = 0; epoch < 60; ++epoch) {
    test.clock.advance(test.options[Option::kEpochMilliseconds] * kNsPerMs);
    test.scavenger.note_pages_freed();
  }
  EXPECT_GE(test.source.released_bytes(), 50 * kMiB);
}

}  // namespace
}  // namespace spanmalloc
