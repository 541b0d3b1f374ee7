// When central lists make spans, of which length, and when they end.
#include <gtest/gtest.h>

#include <vector>

#include "central/central_list.h"
#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::address_of;
using testing::CentralParts;
using testing::claim_objects;
using testing::drain_objects;

const SizeClass kClass = size_class_of(512);
// The first spans are short.
constexpr size_t kShortSpans = 16;
const size_t kObjectsPerSpan = kSizeClasses[kClass].objects_per_short_span;
const size_t kObjectsPerLongSpan = kSizeClasses[kClass].objects_per_span;

// The blocks of which a program has one each do not share lines of the processor's first-level
// cache, and those of which it has many lie in a row.
TEST(CentralList, OnlyTheFirstSpanOfAClassBeginsAtTheColor) {
  CentralParts parts;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const auto size_class = static_cast<SizeClass>(index);
    const SizeClassInfo& info = kSizeClasses[index];
    const CentralList central = parts.centrals[size_class];
    Claim first = central.claim(Growth::kAllowed, 1);
    const Span* span = parts.page_map.find(first.word_base);
    EXPECT_EQ(first.take(info.object_bytes), span->base() + info.color * info.object_bytes);
    size_t left = info.objects_per_short_span - 1;
    uintptr_t last = 0;
    while (left > 0) {
      Claim claim = central.claim(Growth::kForbidden);
      while (!claim.empty()) {
        const uintptr_t address = claim.take(info.object_bytes);
        EXPECT_GT(address, last) << "class " << index;
        last = address;
        --left;
      }
    }
    Claim next = central.claim(Growth::kAllowed, 1);
    const Span* next_span = parts.page_map.find(next.word_base);
    EXPECT_NE(next_span, span);
    EXPECT_EQ(next.take(info.object_bytes), next_span->base()) << "class " << index;
  }
}

TEST(CentralList, ASpanThatBecomesEmptyGoesBackToThePageHeap) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, 3 * kObjectsPerSpan);
  EXPECT_EQ(central.stats().spans, 3u);
  drain_objects(central, objects);
  EXPECT_EQ(central.stats().spans, 0u);
  EXPECT_EQ(central.stats().partly_used_spans, 0u);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
  for (const FreeNode* object : objects) {
    ASSERT_EQ(parts.page_map.find(address_of(object)), nullptr);
  }
  central.check_invariants();
  parts.page_heap.check_invariants();
}

TEST(CentralList, TheFirstSpansOfAClassAreShortAndSoAreThoseOfOneThatHasFewAgain) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const size_t count = kShortSpans * kObjectsPerSpan + 2 * kObjectsPerLongSpan;
  std::vector<FreeNode*> objects = claim_objects(central, kClass, count);
  const CentralStats stats = central.stats();
  EXPECT_EQ(stats.spans, kShortSpans + 2);
  EXPECT_EQ(stats.objects, count);
  EXPECT_EQ(stats.span_bytes, parts.page_heap.in_use_bytes());
  const auto is_short = [&](const FreeNode* object) {
    return parts.page_map.find(address_of(object))->is_short();
  };
  for (size_t index = 0; index < count; ++index) {
    EXPECT_EQ(is_short(objects[index]), index < kShortSpans * kObjectsPerSpan) << index;
  }
  // All but the two that are not short go.
  const auto first_of_long = objects.begin() + kShortSpans * kObjectsPerSpan;
  drain_objects(central, {objects.begin(), first_of_long});
  objects.erase(objects.begin(), first_of_long);
  EXPECT_EQ(central.stats().objects, 2 * kObjectsPerLongSpan);
  for (FreeNode* object : claim_objects(central, kClass, kObjectsPerSpan)) {
    EXPECT_TRUE(is_short(object));
    objects.push_back(object);
  }
  EXPECT_EQ(central.stats().span_bytes, parts.page_heap.in_use_bytes());
  drain_objects(central, objects);
  EXPECT_EQ(central.stats().objects, 0u);
  EXPECT_EQ(central.stats().span_bytes, 0u);
}

TEST(CentralList, SpansOfAClassThatGrowsAreBackedAtOnceAndOthersAreNot) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> few = claim_objects(central, kClass, kShortSpans * kObjectsPerSpan);
  EXPECT_EQ(parts.source.populate_calls(), 0u);
  const std::vector<FreeNode*> more = claim_objects(central, kClass, 10 * kObjectsPerLongSpan);
  EXPECT_EQ(parts.source.populate_calls(), 10u);
  drain_objects(central, few);
  drain_objects(central, more);
}

TEST(CentralList, ExhaustedMemoryGivesEmptyClaimsAndLaterWorksAgain) {
  CentralParts parts(kChunkBytes);
  const CentralList central = parts.centrals[kClass];
  const std::vector<FreeNode*> objects = claim_objects(central, kClass, SIZE_MAX);
  const PageCount short_pages{kShortSpans * kSizeClasses[kClass].short_span_pages};
  const PageCount other_pages = PageCount{kPagesPerChunk} - short_pages;
  const size_t long_spans = other_pages.value / kSizeClasses[kClass].span_pages;
  EXPECT_EQ(objects.size(), kShortSpans * kObjectsPerSpan + long_spans * kObjectsPerLongSpan);
  EXPECT_TRUE(central.claim(Growth::kAllowed).empty());
  central.check_invariants();
  drain_objects(central, objects);
  EXPECT_FALSE(parts.centrals[size_class_of(4096)].claim(Growth::kForbidden).empty());
}

}  // namespace
}  // namespace spanmalloc
