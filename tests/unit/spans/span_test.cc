#include "spans/span.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <vector>

#include "support/span_record.h"

namespace spanmalloc {
namespace {

using testing::kinds_of_spans;
using testing::make_span_record;
using testing::SpanRecord;

constexpr uintptr_t kBase = 0x4000'0000'0000;

SpanRecord make_small(SizeClass size_class, MemoryContent content = MemoryContent::kZero,
                      SpanLength length = SpanLength::kLong) {
  SpanRecord span = make_span_record();
  span->start_small({{1000}, kSizeClasses[size_class].pages_of(length)}, kBase, size_class,
                    content);
  return span;
}

std::vector<size_t> indices_of(const Claim& claim, size_t object_bytes) {
  std::vector<size_t> indices;
  const size_t first = (claim.word_base - kBase) / object_bytes;
  for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
    indices.push_back(first + static_cast<size_t>(std::countr_zero(bits)));
  }
  return indices;
}

TEST(Span, ANewSpanIsEmptyAndWhole) {
  for (const auto& [size_class, length] : kinds_of_spans()) {
    const SpanRecord span = make_small(size_class, MemoryContent::kZero, length);
    EXPECT_EQ(span->state(), SpanState::kSmall);
    EXPECT_EQ(span->size_class(), size_class);
    EXPECT_EQ(span->object_count(), span->bytes().value / kSizeClasses[size_class].object_bytes);
    EXPECT_EQ(span->free_count(), span->object_count());
    EXPECT_TRUE(span->is_empty());
    EXPECT_FALSE(span->is_full());
    span->check_invariants();
  }
}

TEST(Span, ARecordOfZerosIsDead) {
  EXPECT_EQ(make_span_record()->state(), SpanState::kDead);
}

TEST(Span, ALargeSpanKnowsItsPagesAndContent) {
  const SpanRecord span = make_span_record();
  span->start_large({{5}, {9}}, kBase, PageCount{7});
  EXPECT_EQ(span->state(), SpanState::kLarge);
  EXPECT_EQ(span->size_class(), kNoSizeClass);
  EXPECT_EQ(span->bytes().value, 9 * kPageBytes);
  EXPECT_EQ(span->zero_pages(), PageCount{7});
  span->set_page_count({4});
  EXPECT_EQ(span->pages(), (PageRange{{5}, {4}}));
}

TEST(Span, EndsExactlyOnceAndOnlyFromItsState) {
  const SpanRecord span = make_small(1);
  EXPECT_FALSE(span->end(SpanState::kLarge));
  EXPECT_EQ(span->state(), SpanState::kSmall);
  EXPECT_TRUE(span->end(SpanState::kSmall));
  EXPECT_FALSE(span->end(SpanState::kSmall));
  EXPECT_EQ(span->state(), SpanState::kDead);
}

TEST(Span, ObjectStartsAreExactlyTheMultiplesOfTheObjectSize) {
  for (const size_t bytes : {size_t{16}, size_t{48}, size_t{288}, size_t{7168}, size_t{28672}}) {
    const SizeClass size_class = size_class_of(bytes);
    const SpanRecord span = make_small(size_class);
    const size_t object = kSizeClasses[size_class].object_bytes;
    for (size_t offset = 0; offset < span->bytes().value; ++offset) {
      const bool expected = offset % object == 0 && offset / object < span->object_count();
      ASSERT_EQ(span->is_object_start(kBase + offset), expected) << object << " at " << offset;
      ASSERT_EQ(span->object_index(kBase + offset), offset / object);
    }
  }
}

TEST(Span, ClaimsTakeTheLowestFreeObjectsOfOneWord) {
  const SizeClass size_class = size_class_of(16);
  const SpanRecord span = make_small(size_class);
  EXPECT_EQ(indices_of(span->claim(3), 16), (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(indices_of(span->claim(2), 16), (std::vector<size_t>{3, 4}));
  EXPECT_EQ(indices_of(span->claim(64), 16).size(), 59u) << "the rest of the word, no more";
  ASSERT_TRUE(span->give_back(kBase + 1 * 16));
  ASSERT_TRUE(span->give_back(kBase + 40 * 16));
  EXPECT_EQ(indices_of(span->claim(64), 16), (std::vector<size_t>{1, 40}));
  EXPECT_EQ(indices_of(span->claim(1), 16), (std::vector<size_t>{64}));
}

TEST(Span, AClaimHandsOutEachObjectOnceInTheOrderOfAddresses) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClassInfo& info = kSizeClasses[index];
    const SpanRecord span = make_small(static_cast<SizeClass>(index));
    Claim claim = span->claim(info.claim_limit);
    const size_t count = static_cast<size_t>(std::popcount(claim.bits));
    for (size_t object = 0; object < count; ++object) {
      EXPECT_EQ(claim.take(info.object_bytes), kBase + object * info.object_bytes);
    }
    EXPECT_TRUE(claim.empty()) << "class " << index;
  }
}

TEST(Span, WhatAClaimSkipsIsClaimedNextAndCountsAsUsedBefore) {
  const SpanRecord span = make_small(size_class_of(16), MemoryContent::kZero);
  const Claim first = span->claim(3, 5);
  EXPECT_EQ(indices_of(first, 16), (std::vector<size_t>{5, 6, 7}));
  EXPECT_EQ(first.content, MemoryContent::kZero);
  const Claim skipped = span->claim(2);
  EXPECT_EQ(indices_of(skipped, 16), (std::vector<size_t>{0, 1}));
  EXPECT_EQ(skipped.content, MemoryContent::kUnknown) << "free left no seal in it";
  const Claim rest = span->claim(5);
  EXPECT_EQ(indices_of(rest, 16), (std::vector<size_t>{2, 3, 4, 8, 9}));
  EXPECT_EQ(rest.content, MemoryContent::kUnknown);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kZero);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kZero);
  span->check_invariants();
}

TEST(Span, AnObjectGivenBackTwiceIsNoticed) {
  const SpanRecord span = make_small(size_class_of(48));
  const Claim claim = span->claim(2);
  EXPECT_TRUE(span->give_back(claim.word_base));
  EXPECT_TRUE(span->is_free_object(claim.word_base));
  EXPECT_FALSE(span->give_back(claim.word_base));
  EXPECT_FALSE(span->give_back(kBase + 5 * 48)) << "never handed out";
  span->check_invariants();
}

// Random claims and returns beside a vector of bools; content is known zero exactly for objects
// that were never handed out before.
TEST(Span, AgreesWithANaiveTwinUnderRandomUse) {
  std::mt19937_64 random(7);
  for (const auto& [size_class, length] : kinds_of_spans()) {
    if (size_class >= 6 && size_class % 7 != 0) continue;
    const size_t object_bytes = kSizeClasses[size_class].object_bytes;
    const SpanRecord span = make_small(size_class, MemoryContent::kZero, length);
    const size_t count = span->object_count();
    std::vector<bool> is_free(count, true);
    std::vector<bool> touched(count, false);
    std::vector<size_t> used;
    for (int round = 0; round < 4000; ++round) {
      // Phases of growing and of shrinking, so that full and empty are both reached.
      const bool grow = (round / 500) % 2 == 0 ? random() % 4 != 0 : random() % 4 == 0;
      if (grow && !span->is_full()) {
        const size_t limit = 1 + random() % 64;
        const size_t lowest_free =
            static_cast<size_t>(std::find(is_free.begin(), is_free.end(), true) - is_free.begin());
        const size_t skip = random() % 8 == 0 ? lowest_free % 64 : 0;
        const Claim claim = span->claim(limit, skip);
        const std::vector<size_t> taken = indices_of(claim, object_bytes);
        ASSERT_FALSE(taken.empty());
        ASSERT_LE(taken.size(), limit);
        ASSERT_EQ(taken.front(), lowest_free);
        for (const size_t object : taken) {
          ASSERT_LT(object, count);
          ASSERT_EQ(object / 64, lowest_free / 64);
          ASSERT_TRUE(is_free[object]);
          if (claim.content == MemoryContent::kZero) {
            ASSERT_FALSE(touched[object]);
          }
          is_free[object] = false;
          touched[object] = true;
          used.push_back(object);
        }
      } else if (!used.empty()) {
        std::swap(used[random() % used.size()], used.back());
        const size_t object = used.back();
        used.pop_back();
        ASSERT_TRUE(span->give_back(kBase + object * object_bytes));
        is_free[object] = true;
      }
      ASSERT_EQ(span->free_count(), count - used.size());
      const size_t probe = random() % count;
      ASSERT_EQ(span->is_free_object(kBase + probe * object_bytes), is_free[probe]);
      span->check_invariants();
    }
  }
}

TEST(Span, FirstUseOfZeroMemoryIsKnownZeroAndLaterUseIsNot) {
  const SpanRecord span = make_small(size_class_of(1024), MemoryContent::kZero);
  const Claim first = span->claim(4);
  EXPECT_EQ(first.content, MemoryContent::kZero);
  EXPECT_EQ(span->claim(4).content, MemoryContent::kZero);
  ASSERT_TRUE(span->give_back(first.word_base));
  EXPECT_EQ(span->claim(1).content, MemoryContent::kSealed);
  EXPECT_EQ(span->claim(1).content, MemoryContent::kZero);
}

TEST(Span, AClaimThatMixesUsedAndUnusedObjectsIsNotKnownZero) {
  const SpanRecord span = make_small(size_class_of(1024), MemoryContent::kZero);
  const Claim first = span->claim(4);
  ASSERT_TRUE(span->give_back(first.word_base + 3 * 1024));
  EXPECT_EQ(span->claim(8).content, MemoryContent::kUnknown);
}

TEST(Span, UnknownMemoryStaysUnknown) {
  const SpanRecord span = make_small(size_class_of(1024), MemoryContent::kUnknown);
  while (!span->is_full()) EXPECT_EQ(span->claim(8).content, MemoryContent::kUnknown);
}

TEST(Span, WhatCameBackObjectByObjectIsSealed) {
  const SpanRecord span = make_small(size_class_of(64), MemoryContent::kUnknown);
  const Claim all = span->claim(64);
  for (size_t index = 0; index < 64; index += 2) {
    ASSERT_TRUE(span->give_back(all.word_base + index * 64));
  }
  EXPECT_EQ(span->claim(10).content, MemoryContent::kSealed);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kSealed);
}

TEST(Span, AWordWithTheRestOfAClaimIsNotSealedUntilAllOfItWasClaimed) {
  const SpanRecord span = make_small(size_class_of(64), MemoryContent::kZero);
  Claim claim = span->claim(64);
  const uintptr_t first = claim.word_base;
  span->note_unsealed(claim);
  for (size_t index = 32; index < 64; ++index) ASSERT_TRUE(span->give_back(first + index * 64));
  ASSERT_TRUE(span->give_back(first));
  EXPECT_EQ(span->claim(2).content, MemoryContent::kUnknown);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kUnknown);
  ASSERT_TRUE(span->give_back(first));
  EXPECT_EQ(span->claim(64).content, MemoryContent::kSealed);
  // Of another word nothing is said.
  claim = span->claim(64);
  ASSERT_TRUE(span->give_back(claim.word_base));
  span->note_unsealed(claim);
  ASSERT_TRUE(span->give_back(first));
  EXPECT_EQ(span->claim(64).content, MemoryContent::kSealed);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kUnknown);
}

TEST(Span, ALoanTakesTheSealsOfItsWords) {
  const SpanRecord span = make_small(size_class_of(64), MemoryContent::kUnknown);
  while (!span->is_full()) (void)span->claim(64);
  for (size_t index = 0; index < 192; ++index) ASSERT_TRUE(span->give_back(kBase + index * 64));
  Span::ObjectBits objects;
  // The second kernel page is the second word.
  ASSERT_TRUE(span->borrow(span->holes() & 2, objects));
  EXPECT_EQ(span->put_back(objects), 0u);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kSealed);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kUnknown);
  EXPECT_EQ(span->claim(64).content, MemoryContent::kSealed);
}

TEST(Span, AReusedRecordStartsAgain) {
  const SpanRecord span = make_span_record();
  span->start_small({{0}, {kSizeClasses[1].span_pages}}, kBase, 1, MemoryContent::kZero);
  while (!span->is_full()) (void)span->claim(64);
  ASSERT_TRUE(span->end(SpanState::kSmall));
  span->start_small({{0}, {kSizeClasses[3].span_pages}}, kBase, 3, MemoryContent::kZero);
  EXPECT_TRUE(span->is_empty());
  EXPECT_EQ(span->claim(1).content, MemoryContent::kZero);
  span->check_invariants();
}

}  // namespace
}  // namespace spanmalloc
