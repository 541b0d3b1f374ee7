#include "central/hole_releaser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::address_of;
using testing::CentralParts;
using testing::claim_objects;
using testing::drain_objects;

struct Fixture : CentralParts {
  // Objects of a class of which each `nth` one is kept, filled with its index.
  std::vector<FreeNode*> fragment(SizeClass size_class, size_t count, size_t nth) {
    std::vector<FreeNode*> kept;
    std::vector<FreeNode*> freed;
    for (FreeNode* object : claim_objects(centrals[size_class], size_class, count)) {
      memset(static_cast<void*>(object), 0x5a, kSizeClasses[size_class].object_bytes);
      if ((kept.size() + freed.size()) % nth == 0) {
        kept.push_back(object);
      } else {
        freed.push_back(object);
      }
    }
    drain_objects(centrals[size_class], freed);
    return kept;
  }
  Bytes release(HoleReleaser::Rest rest = HoleReleaser::Rest::kNone,
                HoleReleaser::Caller caller = HoleReleaser::Caller::kReleaser) {
    return {holes.release_until([] { return false; }, rest, caller)};
  }
  void check() {
    centrals.for_each([](const CentralList& central, SizeClass) { central.check_invariants(); });
    page_heap.check_invariants();
    EXPECT_EQ(holes.open_loans(), 0u);
  }

  HoleReleaser holes{centrals, page_map, page_heap};
};

bool is_filled(const FreeNode* object, SizeClass size_class) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(object);
  for (size_t index = 0; index < kSizeClasses[size_class].object_bytes; ++index) {
    if (bytes[index] != 0x5a) return false;
  }
  return true;
}

TEST(HoleReleaser, KeepsEveryUsedByteAndGivesBackTheRest) {
  for (const size_t bytes : {16, 48, 512, 1024, 3000, 8192, 16384}) {
    Fixture test;
    const SizeClass size_class = size_class_of(bytes);
    const size_t object_bytes = kSizeClasses[size_class].object_bytes;
    const size_t nth = std::max<size_t>(16384 / object_bytes, 3);
    const std::vector<FreeNode*> kept =
        test.fragment(size_class, (size_t{8} << 20) / object_bytes, nth);
    const Bytes released = test.release();
    EXPECT_EQ(released.value, test.source.released_bytes());
    EXPECT_EQ(released.value, test.page_heap.hole_bytes());
    EXPECT_GT(released.value, size_t{1} << 20) << bytes;
    for (const FreeNode* object : kept) ASSERT_TRUE(is_filled(object, size_class));
    test.check();
    EXPECT_EQ(test.release().value, 0u) << "what is done is not done again";
  }
}

TEST(HoleReleaser, NoSpanIsPassedByHoweverLongItsNeighboursAre) {
  Fixture test;
  std::vector<FreeNode*> kept;
  for (int round = 0; round < 2; ++round) {
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      const SizeClassInfo& info = kSizeClasses[index];
      if (info.object_bytes < 256 || info.object_bytes > kPageBytes) continue;
      // Short spans, and in the second round others.
      const size_t count = round == 0 ? 3 * info.objects_per_short_span : 8 * info.objects_per_span;
      const auto of_class =
          test.fragment(static_cast<SizeClass>(index), count, info.objects_per_short_span);
      kept.insert(kept.end(), of_class.begin(), of_class.end());
    }
  }
  EXPECT_GT(test.release().value, 0u);
  for (const FreeNode* object : kept) {
    ASSERT_EQ(test.page_map.find(address_of(object))->backed_holes(), 0u);
  }
  test.check();
}

TEST(HoleReleaser, WhatIsClaimedAgainIsCountedAndGivenBackOnceMore) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  const std::vector<FreeNode*> kept = test.fragment(size_class, 4096, 16);
  const Bytes first = test.release();
  const std::vector<FreeNode*> again = claim_objects(test.centrals[size_class], size_class, 3000);
  EXPECT_LT(test.page_heap.hole_bytes(), first.value / 4);
  test.check();
  drain_objects(test.centrals[size_class], again);
  EXPECT_GT(test.release().value, first.value / 2);
  EXPECT_EQ(test.page_heap.hole_bytes(), first.value);
  test.check();
}

TEST(HoleReleaser, ASpanThatEmptiesGivesItsReleasedPagesBackAsReleased) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  const std::vector<FreeNode*> kept = test.fragment(size_class, 4096, 64);
  const Bytes holes = test.release();
  const size_t released_before = test.page_heap.released_bytes();
  drain_objects(test.centrals[size_class], kept);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
  // Of our pages, those of which both halves were given back.
  EXPECT_GT(test.page_heap.released_bytes() - released_before, holes.value / 2);
  EXPECT_LE(test.page_heap.released_bytes() - released_before, holes.value);
  test.check();
}

TEST(HoleReleaser, SpansThatWereClaimedFromAreLeftUntilTheyRest) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  test.fragment(size_class, 4096, 16);
  for (size_t epoch = 0; epoch < static_cast<size_t>(HoleReleaser::Rest::kIdle); ++epoch) {
    EXPECT_EQ(test.release(HoleReleaser::Rest::kIdle).value, 0u) << epoch;
    test.centrals.start_epoch();
  }
  EXPECT_GT(test.release(HoleReleaser::Rest::kIdle).value, 0u);
}

TEST(HoleReleaser, AMallocGivesBackAsMuchInSmallBatches) {
  const SizeClass size_class = size_class_of(1024);
  Fixture one;
  const std::vector<FreeNode*> kept = one.fragment(size_class, 8192, 16);
  const Bytes all = one.release();
  Fixture test;
  const std::vector<FreeNode*> kept_too = test.fragment(size_class, 8192, 16);
  Bytes largest{};
  Bytes sum{};
  for (PageNumber next{}; next != kNoPage;) {
    const HoleReleaser::Progress progress =
        test.holes.release_some(next, HoleReleaser::Rest::kNone, HoleReleaser::Caller::kMalloc);
    sum += progress.released;
    largest = std::max(largest, progress.released);
    next = progress.next;
  }
  EXPECT_EQ(sum.value, all.value);
  EXPECT_LE(largest.value, 48 * 3 * size_t{4096}) << "of 16 KiB that hold one object";
  test.check();
}

TEST(HoleReleaser, WhoComesWhileAnotherIsAtItIsToldAndLosesNothing) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  const std::vector<FreeNode*> kept = test.fragment(size_class, 8192, 16);
  const PageNumber somewhere{12345};
  size_t calls = 0;
  test.source.call_at_release([&] {
    ++calls;
    const HoleReleaser::Progress other = test.holes.release_some(
        somewhere, HoleReleaser::Rest::kNone, HoleReleaser::Caller::kMalloc);
    EXPECT_TRUE(other.was_busy);
    EXPECT_EQ(other.next.value, somewhere.value);
    EXPECT_EQ(other.released.value, 0u);
  });
  const Bytes released = test.release();
  EXPECT_GT(calls, 0u);
  EXPECT_EQ(released.value, test.page_heap.hole_bytes());
  test.check();
}

TEST(HoleReleaser, ARefusalLeavesEverythingAsItWas) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  const std::vector<FreeNode*> kept = test.fragment(size_class, 4096, 16);
  test.source.refuse_release(true);
  EXPECT_EQ(test.release().value, 0u);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
  test.check();
  // Behind the span that was refused, none was tried.
  test.source.refuse_release(false);
  EXPECT_GT(test.release().value, size_t{1} << 20);
  EXPECT_EQ(claim_objects(test.centrals[size_class], size_class, 3000).size(), 3000u);
}

TEST(HoleReleaser, OfASpanGivenBackInPartThatPartIsNoted) {
  for (const size_t most : {1, 2, 3, 7, 20}) {
    Fixture test;
    const SizeClass size_class = size_class_of(1024);
    const std::vector<FreeNode*> kept = test.fragment(size_class, 4096, 8);
    test.source.limit_pieces(most);
    const Bytes released = test.release();
    EXPECT_GT(released.value, 0u) << most;
    EXPECT_EQ(released.value, test.source.released_bytes());
    EXPECT_EQ(released.value, test.page_heap.hole_bytes());
    test.check();
    for (const FreeNode* object : kept) ASSERT_TRUE(is_filled(object, size_class));
    // As the spans end, their pages are counted as released or not, each once.
    drain_objects(test.centrals[size_class], kept);
    EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
    EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
    test.check();
  }
}

TEST(HoleReleaser, AnotherThreadAtItIsLeftAlone) {
  Fixture test;
  test.fragment(size_class_of(1024), 4096, 16);
  std::atomic<size_t> released{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] { released += test.release().value; });
  }
  for (std::thread& thread : threads) thread.join();
  released += test.release().value;
  EXPECT_EQ(released.load(), test.page_heap.hole_bytes());
  test.check();
}

TEST(HoleReleaser, ThreadsThatClaimAndFreeMeanwhileLoseNothing) {
  Fixture test;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&test, &stop, thread] {
      std::mt19937 random(thread);
      const SizeClass classes[] = {size_class_of(64), size_class_of(1024), size_class_of(5000)};
      std::vector<std::pair<FreeNode*, SizeClass>> held;
      while (!stop.load(std::memory_order_relaxed)) {
        const SizeClass size_class = classes[random() % 3];
        for (FreeNode* object :
             claim_objects(test.centrals[size_class], size_class, 1 + random() % 200)) {
          memset(static_cast<void*>(object), 0x5a, kSizeClasses[size_class].object_bytes);
          held.emplace_back(object, size_class);
        }
        while (held.size() > 2000 && random() % 50 != 0) {
          std::swap(held[random() % held.size()], held.back());
          ASSERT_TRUE(is_filled(held.back().first, held.back().second));
          drain_objects(test.centrals[held.back().second], {held.back().first});
          held.pop_back();
        }
      }
      for (const auto& [object, size_class] : held) {
        ASSERT_TRUE(is_filled(object, size_class));
        drain_objects(test.centrals[size_class], {object});
      }
    });
  }
  for (int round = 0; round < 30; ++round) {
    (void)test.release();
    std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  test.check();
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
}

// As long as a loan lasts, its memory is nobody else's: so the span must not end.
TEST(HoleReleaser, ALoanKeepsItsSpanWhateverIsFreedMeanwhile) {
  for (const size_t bytes : {8192, 10240, 14336, 20480, 32768, 49152}) {
    Fixture test;
    const SizeClass size_class = size_class_of(bytes);
    const CentralList& central = test.centrals[size_class];
    const size_t object_count = kSizeClasses[size_class].objects_per_short_span;
    std::vector<FreeNode*> used = claim_objects(central, size_class, object_count);
    Span* span = test.page_map.find(address_of(used.front()));
    drain_objects(central, {used.back()});
    used.pop_back();
    // All is given back but the last unit, as at a refusal.
    HoleLoan loan;
    ASSERT_TRUE(central.lend_holes(span, loan));
    central.end_loan(loan, loan.units & ~std::bit_floor(loan.units));
    ASSERT_NE(span->backed_holes(), 0u);
    span->unsettle_holes();

    ASSERT_TRUE(central.lend_holes(span, loan));
    drain_objects(central, used);
    EXPECT_EQ(span->state(), SpanState::kSmall) << bytes;
    central.end_loan(loan, 0);
    EXPECT_EQ(span->state(), SpanState::kDead) << bytes;
    EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
    test.check();
  }
}

TEST(HoleReleaserDeathTest, ASecondFreeOfALentObjectIsReported) {
  Fixture test;
  const SizeClass size_class = size_class_of(1024);
  const std::vector<FreeNode*> kept = test.fragment(size_class, 4096, 16);
  FreeNode* freed = reinterpret_cast<FreeNode*>(address_of(kept[1]) + 8 * 1024);
  EXPECT_DEATH(
      {
        HoleLoan loan;
        Span* span = test.page_map.find(address_of(freed));
        if (!test.centrals[size_class].lend_holes(span, loan)) return;
        drain_objects(test.centrals[size_class], {freed});
        test.centrals[size_class].end_loan(loan, 0);
      },
      "spanmalloc: free.*double free of a 1024-byte block");
}

}  // namespace
}  // namespace spanmalloc
