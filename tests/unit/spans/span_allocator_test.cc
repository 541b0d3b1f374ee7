#include "spans/span_allocator.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "platform/compiler.h"
#include "support/older_kernel.h"
#include "support/span_parts.h"

namespace spanmalloc {
namespace {

using testing::RealPageSource;
using testing::SpanParts;

constexpr PageCount kAny{1};
constexpr size_t kMiB = size_t{1} << 20;

TEST(SpanAllocator, SmallSpansOfEveryClassAreMappedWholeAndUnmappedWhole) {
  SpanParts parts;
  for (size_t index = 2; index < 2 * kSizeClassCount; ++index) {
    const auto size_class = static_cast<SizeClass>(index / 2);
    const SpanLength length = index % 2 == 0 ? SpanLength::kShort : SpanLength::kLong;
    const SizeClassInfo& info = kSizeClasses[size_class];
    Span* span = parts.spans.new_small(size_class, length, Growth::kAllowed);
    ASSERT_NE(span, nullptr);
    EXPECT_EQ(span->state(), SpanState::kSmall);
    EXPECT_EQ(span->size_class(), size_class);
    EXPECT_EQ(span->pages().count, info.pages_of(length));
    EXPECT_EQ(span->is_short(), info.pages_of(length) < info.pages_of(SpanLength::kLong));
    EXPECT_EQ(span->object_count(), span->bytes().value / info.object_bytes);
    span->check_invariants();
    EXPECT_EQ(span->base() % kPageBytes, 0u);
    const uintptr_t last = span->base() + span->bytes().value - kMinAlignment;
    const uintptr_t last_object =
        span->base() + (span->object_count() - 1) * size_t{info.object_bytes};
    for (const uintptr_t address : {span->base(), last_object}) {
      EXPECT_EQ(parts.page_map.find(address), span);
      EXPECT_EQ(parts.page_map.class_map()[address], size_class);
    }
    EXPECT_EQ(parts.page_map.find(last), span);
    EXPECT_EQ(parts.spans.small_span_bytes(), span->bytes().value);
    const uintptr_t base = span->base();
    parts.spans.delete_small(span);
    for (const uintptr_t address : {base, last_object, last}) {
      EXPECT_EQ(parts.page_map.find(address), nullptr);
      EXPECT_EQ(parts.page_map.class_map()[address], kNoSizeClass);
    }
  }
  EXPECT_EQ(parts.spans.small_span_bytes(), 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  parts.page_heap.check_invariants();
}

TEST(SpanAllocator, FreshMemoryIsKnownZeroAndReusedMemoryIsNot) {
  SpanParts parts;
  Span* span = parts.spans.new_large({20}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->zero_pages(), span->pages().count);
  ASSERT_TRUE(parts.spans.delete_large(span));
  span = parts.spans.new_large({20}, kAny, Growth::kForbidden);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->zero_pages().value, 0u);
  ASSERT_TRUE(parts.spans.delete_large(span));
}

TEST(SpanAllocator, ATailGivenBackByTheOwnerCountsAsReleasedAndIsKnownZero) {
  SpanParts parts;
  Span* span = parts.spans.new_large({100}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  parts.spans.shrink_large_released(span, {30});
  EXPECT_EQ(span->pages().count.value, 30u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 30 * kPageBytes);
  EXPECT_EQ(parts.page_heap.free_retained_bytes(), 0u);
  EXPECT_EQ(parts.spans.large_bytes(), 30 * kPageBytes);
  ASSERT_TRUE(parts.spans.delete_large(span));
  span = parts.spans.new_large({100}, kAny, Growth::kForbidden);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->zero_pages().value, 70u);
  parts.page_heap.check_invariants();
}

TEST(SpanAllocator, LargeSpansAreAligned) {
  SpanParts parts;
  for (size_t alignment = 1; alignment <= kPagesPerChunk; alignment *= 2) {
    Span* span = parts.spans.new_large({3}, {alignment}, Growth::kAllowed);
    ASSERT_NE(span, nullptr) << alignment;
    EXPECT_EQ(span->base() % (alignment * kPageBytes), 0u);
  }
  parts.page_heap.check_invariants();
}

TEST(SpanAllocator, ALargeSpanEndsOnceAndSaysSoTheSecondTime) {
  SpanParts parts;
  Span* span = parts.spans.new_large({10}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(parts.spans.large_bytes(), 10 * kPageBytes);
  EXPECT_EQ(parts.spans.large_count(), 1u);
  EXPECT_EQ(parts.page_map.find(span->base()), span);
  EXPECT_TRUE(parts.spans.delete_large(span));
  EXPECT_FALSE(parts.spans.delete_large(span));
  EXPECT_EQ(parts.spans.large_bytes(), 0u);
  EXPECT_EQ(parts.spans.large_count(), 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

TEST(SpanAllocator, MemoryGivenBackByTheOwnerCountsAsReleased) {
  SpanParts parts;
  Span* span = parts.spans.new_large({100}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  parts.spans.delete_large_released(span);
  EXPECT_EQ(parts.page_heap.free_retained_bytes(), 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  span = parts.spans.new_large({100}, kAny, Growth::kForbidden);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->zero_pages(), span->pages().count);
}

TEST(SpanAllocator, WithoutGrowthThereIsOnlyWhatIsMapped) {
  SpanParts parts;
  EXPECT_EQ(parts.spans.new_small(1, SpanLength::kLong, Growth::kForbidden), nullptr);
  EXPECT_EQ(parts.spans.new_large({1}, kAny, Growth::kForbidden), nullptr);
  EXPECT_EQ(parts.source.grow_calls(), 0u);
  Span* span = parts.spans.new_large({1}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  EXPECT_NE(parts.spans.new_small(1, SpanLength::kLong, Growth::kForbidden), nullptr);
}

TEST(SpanAllocator, ShrinkingFreesTheTail) {
  SpanParts parts;
  Span* span = parts.spans.new_large({100}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  ASSERT_TRUE(parts.spans.resize_large(span, {40}));
  EXPECT_EQ(span->pages().count.value, 40u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 40 * kPageBytes);
  EXPECT_EQ(parts.spans.large_bytes(), 40 * kPageBytes);
  EXPECT_EQ(parts.page_map.find(span->base()), span);
  ASSERT_TRUE(parts.spans.resize_large(span, {40})) << "nothing to do";
  ASSERT_TRUE(parts.spans.delete_large(span));
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  parts.page_heap.check_invariants();
}

TEST(SpanAllocator, GrowingTakesTheFreePagesBehindOrNone) {
  SpanParts parts;
  Span* span = parts.spans.new_large({100}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  ASSERT_TRUE(parts.spans.resize_large(span, {300}));
  EXPECT_EQ(span->pages().count.value, 300u);
  EXPECT_EQ(parts.spans.large_bytes(), 300 * kPageBytes);
  memset(reinterpret_cast<void*>(span->base()), 1, span->bytes().value);

  Span* wall = parts.spans.new_large({1}, kAny, Growth::kForbidden);
  ASSERT_NE(wall, nullptr);
  ASSERT_EQ(wall->base(), span->base() + span->bytes().value);
  EXPECT_FALSE(parts.spans.resize_large(span, {301}));
  EXPECT_EQ(span->pages().count.value, 300u);
  EXPECT_EQ(parts.spans.large_bytes(), 301 * kPageBytes);

  ASSERT_TRUE(parts.spans.delete_large(wall));
  EXPECT_TRUE(parts.spans.resize_large(span, {301}));
  parts.page_heap.check_invariants();
}

TEST(SpanAllocator, GrowingBeyondTheMappedPagesGrowsTheHeapInPlace) {
  SpanParts parts;
  Span* span = parts.spans.new_large({kPagesPerChunk}, kAny, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  const uintptr_t base = span->base();
  EXPECT_TRUE(parts.spans.resize_large(span, {3 * kPagesPerChunk}));
  EXPECT_EQ(span->base(), base);
  memset(reinterpret_cast<void*>(base), 1, span->bytes().value);
  EXPECT_FALSE(parts.spans.resize_large(span, {1000 * kPagesPerChunk})) << "more than there is";
  EXPECT_EQ(span->pages().count.value, 3 * kPagesPerChunk);
  parts.page_heap.check_invariants();
}

// Makes spans of all kinds until `steps` are done; failed ones are left out.
void run_mixed_use(SpanParts& parts, size_t steps) {
  std::mt19937_64 random(11);
  std::vector<Span*> spans;
  size_t expected_pages = 0;
  for (size_t step = 0; step < steps; ++step) {
    if (random() % 3 == 0 && !spans.empty()) {
      std::swap(spans[random() % spans.size()], spans.back());
      Span* span = spans.back();
      spans.pop_back();
      expected_pages -= span->pages().count.value;
      if (span->state() == SpanState::kSmall) {
        parts.spans.delete_small(span);
      } else {
        ASSERT_TRUE(parts.spans.delete_large(span));
      }
    } else {
      Span* span =
          random() % 2 == 0
              ? parts.spans.new_small(static_cast<SizeClass>(1 + random() % (kSizeClassCount - 1)),
                                      random() % 2 == 0 ? SpanLength::kShort : SpanLength::kLong,
                                      Growth::kAllowed)
              : parts.spans.new_large({1 + random() % 400}, kAny, Growth::kAllowed);
      if (span != nullptr) {
        spans.push_back(span);
        expected_pages += span->pages().count.value;
      }
    }
    // Together or not at all: every page in use belongs to a span that is there.
    ASSERT_EQ(parts.page_heap.in_use_bytes(), expected_pages * kPageBytes);
  }
  parts.page_heap.check_invariants();
  parts.spans.check_invariants();
  parts.arena.check_invariants();
  ASSERT_EQ(parts.spans.large_bytes() + parts.spans.small_span_bytes(),
            expected_pages * kPageBytes);
  for (const Span* span : spans) ASSERT_EQ(parts.page_map.find(span->base()), span);
}

TEST(SpanAllocator, EveryRefusalOfMemoryLeavesEverythingWholeAndUsable) {
  size_t requests = 0;
  {
    SpanParts parts;
    run_mixed_use(parts, 300);
    requests = parts.source.grow_calls();
  }
  ASSERT_GE(requests, 5u);
  for (size_t nth = 1; nth <= requests; ++nth) {
    SpanParts parts;
    parts.source.fail_grow(nth);
    run_mixed_use(parts, 300);
  }
}

TEST(SpanAllocator, WhereThereAreNoShortSpansAllAreLong) {
  SpanParts parts;
  parts.spans.set_protection({.most_guards = {}, .has_short_spans = false});
  Span* span = parts.spans.new_small(size_class_of(512), SpanLength::kShort, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  EXPECT_FALSE(span->is_short());
  span->check_invariants();
  parts.spans.delete_small(span);
}

TEST(SpanAllocator, ExhaustedMemoryIsReportedAndComesBackAfterTheEndOfSpans) {
  SpanParts parts(8 * kMiB);
  std::vector<Span*> spans;
  while (Span* span = parts.spans.new_small(1, SpanLength::kLong, Growth::kAllowed))
    spans.push_back(span);
  EXPECT_EQ(spans.size() * kSizeClasses[1].span_pages, 8 * kMiB / kPageBytes);
  EXPECT_EQ(parts.spans.new_large({1}, kAny, Growth::kAllowed), nullptr);
  const size_t metadata = parts.arena.used_bytes();
  for (Span* span : spans) parts.spans.delete_small(span);
  for (size_t count = 0; count < spans.size(); ++count) {
    ASSERT_NE(parts.spans.new_small(1, SpanLength::kLong, Growth::kForbidden), nullptr);
  }
  EXPECT_EQ(parts.arena.used_bytes(), metadata) << "records are reused";
}

TEST(SpanAllocator, ThreadsMakeAndEndSpansAtOnce) {
  SpanParts parts;
  std::vector<std::thread> threads;
  for (unsigned index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      std::mt19937_64 random(index);
      std::vector<Span*> mine;
      for (int round = 0; round < 1000; ++round) {
        if (mine.size() < 20) {
          const auto size_class = static_cast<SizeClass>(1 + random() % (kSizeClassCount - 1));
          Span* span = parts.spans.new_small(size_class, SpanLength::kLong, Growth::kAllowed);
          ASSERT_NE(span, nullptr);
          ASSERT_EQ(parts.page_map.find(span->base()), span);
          mine.push_back(span);
        } else {
          std::swap(mine[random() % mine.size()], mine.back());
          parts.spans.delete_small(mine.back());
          mine.pop_back();
        }
      }
      for (Span* span : mine) parts.spans.delete_small(span);
    });
  }
  for (int round = 0; round < 100; ++round) {
    parts.spans.check_invariants();
    parts.arena.check_invariants();
  }
  for (std::thread& thread : threads) thread.join();
  parts.spans.check_invariants();
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  EXPECT_EQ(parts.spans.small_span_bytes(), 0u);
  parts.page_heap.check_invariants();
}

TEST(SpanAllocatorDeathTest, EndingASmallSpanTwiceIsAFault) {
  SpanParts parts;
  Span* span = parts.spans.new_small(1, SpanLength::kLong, Growth::kAllowed);
  parts.spans.delete_small(span);
  EXPECT_DEATH(parts.spans.delete_small(span), "a span ended twice");
}

TEST(SpanAllocatorDeathTest, AnEndedSpanThatLivesOnIsAFault) {
  SpanParts parts;
  Span* small =
      parts.spans.new_small(size_class_of(size_t{100} << 10), SpanLength::kLong, Growth::kAllowed);
  Span* large = parts.spans.new_large({20}, kAny, Growth::kAllowed);
  ASSERT_TRUE(small != nullptr && large != nullptr);
  const PageRange pages = small->pages();
  parts.spans.delete_small(small);
  ASSERT_TRUE(parts.spans.delete_large(large));
  parts.spans.check_invariants();
  const PageNumber last{pages.end().value - 1};
  for (const auto& [page, span] :
       {std::pair{last, small}, std::pair{large->pages().first, large}}) {
    parts.page_map.set_large(page, span);
    EXPECT_DEATH(parts.spans.check_invariants(), "a page leads to a span that has ended");
    parts.page_map.clear_large(page);
  }
  parts.spans.check_invariants();
  large->start_large(large->pages(), large->base(), PageCount{0});
  EXPECT_DEATH(parts.spans.check_invariants(), "the record of a span counts as free");
}

TEST(SpanAllocatorDeathTest, CountersBelowZeroAreAFault) {
  SpanParts parts;
  SpanAllocator other(parts.page_heap, parts.page_map, parts.arena);
  Span* spans[2];
  for (Span*& span : spans) {
    span = parts.spans.new_small(1, SpanLength::kLong, Growth::kAllowed);
    ASSERT_NE(span, nullptr);
  }
  ASSERT_NE(other.new_large({1}, kAny, Growth::kAllowed), nullptr);
  other.check_invariants();
  // Its records come out even, its counters do not.
  other.delete_small(spans[0]);
  EXPECT_DEATH(other.check_invariants(), "bytes of small spans miscounted");
}

TEST(SpanAllocator, GuardsAreHolesAndGoBackWithTheirSpans) {
  SpanParts parts;
  parts.spans.set_protection({.most_guards = PageCount{100}});
  Span* small = parts.spans.new_small(5, SpanLength::kLong, Growth::kAllowed);
  Span* large = parts.spans.new_large({3}, kAny, Growth::kAllowed);
  ASSERT_TRUE(small != nullptr && large != nullptr);
  const PageCount guards = small->guards().total() + large->guards().total();
  EXPECT_GE(guards.value, 2u);
  EXPECT_EQ(parts.spans.guard_bytes(), guards.bytes().value);
  EXPECT_EQ(parts.page_heap.hole_bytes(), guards.bytes().value);
  parts.spans.delete_small(small);
  ASSERT_TRUE(parts.spans.delete_large(large));
  EXPECT_EQ(parts.spans.guard_bytes(), 0u);
  EXPECT_EQ(parts.page_heap.hole_bytes(), 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  parts.page_heap.check_invariants();
}

// Guards that are mappings count as data when they are opened.
TEST(SpanAllocatorDeathTest, GuardsThatTheSystemDoesNotOpenWait) {
  if (!platform::kAddressHintsAllowed) GTEST_SKIP() << "the sanitizer needs data itself";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto work = [] {
    if (!testing::forbid_guard_marks()) _exit(0);
    SpanParts parts;
    parts.spans.set_protection({.most_guards = PageCount{100}});
    Span* small = parts.spans.new_small(5, SpanLength::kLong, Growth::kAllowed);
    Span* large = parts.spans.new_large({3}, kAny, Growth::kAllowed);
    if (small == nullptr || large == nullptr) _exit(1);
    const size_t guards = parts.spans.guard_bytes();
    if (guards < 2 * kPageBytes) _exit(2);
    rlimit limits{};
    if (getrlimit(RLIMIT_DATA, &limits) != 0) _exit(3);
    const rlimit tight{kMiB, limits.rlim_max};
    if (setrlimit(RLIMIT_DATA, &tight) != 0) _exit(4);
    parts.spans.delete_small(small);
    if (!parts.spans.delete_large(large)) _exit(5);
    parts.spans.open_refused_guards();
    if (parts.spans.guard_bytes() != guards || parts.page_heap.hole_bytes() != guards) _exit(6);
    if (parts.page_heap.in_use_bytes() != guards || parts.spans.large_count() != 0) _exit(7);
    parts.spans.check_invariants();
    if (setrlimit(RLIMIT_DATA, &limits) != 0) _exit(8);
    parts.spans.open_refused_guards();
    if (parts.spans.guard_bytes() != 0 || parts.page_heap.hole_bytes() != 0) _exit(9);
    if (parts.page_heap.in_use_bytes() != 0 || parts.spans.large_count() != 0) _exit(10);
    parts.spans.check_invariants();
    parts.page_heap.check_invariants();
    _exit(0);
  };
  EXPECT_EXIT(work(), ::testing::ExitedWithCode(0), "");
}

TEST(SpanAllocatorDeathTest, CountersThatDoNotCoverListedSpansAreAFault) {
  SpanParts parts;
  parts.spans.set_protection({.most_guards = PageCount{100}});
  const Span* span = parts.spans.new_small(1, SpanLength::kLong, Growth::kAllowed);
  ASSERT_NE(span, nullptr);
  const PageCount pages = span->pages().count;
  const PageCount guards = span->guards().total();
  ASSERT_GT(guards.value, 0u);
  constexpr PageCount kOne{1};
  parts.spans.check_counts({1, pages, guards});
  EXPECT_DEATH(parts.spans.check_counts({2, pages, guards}),
               "more spans are listed than were made");
  EXPECT_DEATH(parts.spans.check_counts({1, pages + kOne, guards}), "small spans miscounted");
  EXPECT_DEATH(parts.spans.check_counts({1, pages, guards + kOne}), "guard pages miscounted");
}

}  // namespace
}  // namespace spanmalloc
