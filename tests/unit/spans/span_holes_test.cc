// The holes of a span against a naive twin that looks at every byte.
#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <vector>

#include "base/bits.h"
#include "platform/virtual_memory.h"
#include "spans/span.h"
#include "support/span_record.h"

namespace spanmalloc {
namespace {

using testing::kinds_of_spans;
using testing::make_span_record;
using testing::SpanRecord;

constexpr uintptr_t kBase = 0x4000'0000'0000;

SpanRecord make_small(SizeClass size_class, PageCount count) {
  SpanRecord span = make_span_record();
  span->start_small({{1000}, count}, kBase, size_class, MemoryContent::kUnknown);
  return span;
}

SpanRecord make_small(SizeClass size_class, SpanLength length = SpanLength::kLong) {
  return make_small(size_class, kSizeClasses[size_class].pages_of(length));
}

uintptr_t object_at(SizeClass size_class, size_t index) {
  return kBase + index * kSizeClasses[size_class].object_bytes;
}

void claim_all(Span& span) {
  while (span.free_count() > 0) (void)span.claim(64);
}

uint64_t naive_holes(const Span& span) {
  const size_t object_bytes = kSizeClasses[span.size_class()].object_bytes;
  const size_t unit = span.unit_bytes();
  uint64_t holes = 0;
  for (size_t first = 0; first + unit <= span.bytes().value; first += unit) {
    bool is_hole = true;
    for (size_t offset = first; offset < first + unit; ++offset) {
      const size_t index = offset / object_bytes;
      if (index < span.object_count() && !span.is_free_object(kBase + index * object_bytes)) {
        is_hole = false;
        break;
      }
    }
    if (is_hole) holes |= uint64_t{1} << (first / unit);
  }
  return holes;
}

TEST(SpanHoles, AgreeWithALookAtEveryByte) {
  std::mt19937 random(7);
  for (const auto& [size_class, length] : kinds_of_spans()) {
    for (const unsigned free_of_100 : {0u, 10u, 50u, 90u, 98u, 100u}) {
      const SpanRecord span = make_small(size_class, length);
      claim_all(*span);
      EXPECT_EQ(span->holes(), naive_holes(*span));
      for (size_t object = 0; object < span->object_count(); ++object) {
        if (random() % 100 < free_of_100) {
          ASSERT_TRUE(span->give_back(object_at(size_class, object)));
        }
      }
      ASSERT_EQ(span->holes(), naive_holes(*span)) << "class " << +size_class;
      span->check_invariants();
    }
  }
}

TEST(SpanHoles, ALoanTakesExactlyTheObjectsOfItsUnitsAndGivesThemBack) {
  std::mt19937 random(8);
  for (const auto& [size_class, length] : kinds_of_spans()) {
    const SpanRecord span = make_small(size_class, length);
    claim_all(*span);
    for (size_t object = 0; object < span->object_count(); ++object) {
      if (random() % 100 < 90) (void)span->give_back(object_at(size_class, object));
    }
    const size_t free_before = span->free_count();
    const uint64_t units = span->holes() & (uint64_t{random()} << 32 | random());
    Span::ObjectBits objects;
    const size_t end_of_objects = span->object_count() * kSizeClasses[size_class].object_bytes;
    const size_t units_with_objects = (end_of_objects - 1) / span->unit_bytes() + 1;
    ASSERT_EQ(span->borrow(units, objects), (units & low_bits(units_with_objects)) != 0);
    EXPECT_EQ(span->holes() & units & low_bits(units_with_objects), 0u)
        << "an object on a lent unit can still be claimed";
    size_t lent = 0;
    for (size_t object = 0; object < span->object_count(); ++object) {
      const uintptr_t address = object_at(size_class, object);
      const size_t begin = (address - kBase) / span->unit_bytes();
      const size_t end =
          (address + kSizeClasses[size_class].object_bytes - 1 - kBase) / span->unit_bytes();
      bool touches = false;
      for (size_t unit = begin; unit <= end; ++unit) touches |= (units >> unit & 1) != 0;
      const bool is_lent = (objects[object / 64] >> (object % 64) & 1) != 0;
      EXPECT_EQ(is_lent, touches) << "class " << +size_class << " object " << object;
      lent += is_lent ? 1 : 0;
    }
    EXPECT_EQ(span->free_count() + lent, free_before);
    EXPECT_EQ(span->put_back(objects), 0u);
    EXPECT_EQ(span->free_count(), free_before);
    span->check_invariants();
  }
}

// The classes waste less than a unit behind their last object, so these spans are a page longer.
TEST(SpanHoles, WhatLiesBehindTheLastObjectAloneIsNotLent) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const auto size_class = static_cast<SizeClass>(index);
    const SpanRecord span =
        make_small(size_class, kSizeClasses[index].pages_of(SpanLength::kLong) + PageCount{1});
    claim_all(*span);
    // Of a full span, no other hole is left.
    const uint64_t tail = span->holes();
    ASSERT_NE(tail, 0u) << "class " << index;
    ASSERT_TRUE(span->give_back(object_at(size_class, 0)));
    Span::ObjectBits objects;
    EXPECT_FALSE(span->borrow(tail, objects)) << "class " << index;
    EXPECT_EQ(span->free_count(), 1u);
    // A page that the object shares with none is lent with it.
    const uint64_t rest = span->holes() & ~tail;
    EXPECT_EQ(span->borrow(span->holes(), objects), rest != 0);
    EXPECT_EQ(span->free_count(), rest != 0 ? 0u : 1u);
    EXPECT_EQ(span->put_back(objects), 0u);
    EXPECT_EQ(span->free_count(), 1u);
  }
}

TEST(SpanHoles, AnObjectFreedWhileItIsLentIsNamed) {
  const SizeClass size_class = size_class_of(1024);
  const SpanRecord span = make_small(size_class);
  Span::ObjectBits objects;
  ASSERT_TRUE(span->borrow(span->holes() & 0xf0, objects));
  const uintptr_t twice = object_at(size_class, 5 * span->unit_bytes() / 1024);
  ASSERT_TRUE(span->give_back(twice)) << "for the span a lent object is a used one";
  EXPECT_EQ(span->put_back(objects), twice);
}

TEST(SpanHoles, ClaimsTakeReleasedUnitsBackIntoUse) {
  std::mt19937 random(9);
  for (const auto& [size_class, length] : kinds_of_spans()) {
    const SpanRecord span = make_small(size_class, length);
    const uint64_t released = span->holes();
    span->note_released(released);
    EXPECT_EQ(span->backed_holes(), 0u);
    size_t backed = 0;
    while (span->free_count() > 0) {
      const Claim claim = span->claim(1 + random() % 64);
      backed += span->note_touched(claim).value;
      span->check_invariants();
    }
    const size_t never_touched =
        static_cast<size_t>(std::popcount(span->released_units())) * span->unit_bytes();
    EXPECT_EQ(backed + never_touched,
              static_cast<size_t>(std::popcount(released)) * span->unit_bytes());
    // What is left lies behind the last object.
    EXPECT_LT(never_touched, kSizeClasses[size_class].object_bytes + span->unit_bytes());
  }
}

TEST(SpanHoles, NoSpanHasMoreUnitsThanAMaskHasBits) {
  for (const auto& [size_class, length] : kinds_of_spans()) {
    const SpanRecord span = make_small(size_class, length);
    EXPECT_LE(span->bytes().value, 64 * span->unit_bytes());
    EXPECT_EQ(span->unit_bytes() % platform::page_bytes(), 0u);
  }
}

}  // namespace
}  // namespace spanmalloc
