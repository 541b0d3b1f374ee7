#include "central/occupancy_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "platform/virtual_memory.h"
#include "support/span_record.h"

namespace spanmalloc {
namespace {

using testing::make_span_record;
using testing::SpanRecord;

const SizeClass kClass = size_class_of(256);

// A span of which `used` objects are claimed.
SpanRecord make_used(size_t used) {
  static uintptr_t next_base = uintptr_t{1} << 40;
  SpanRecord span = make_span_record();
  span->start_small({{0}, {kSizeClasses[kClass].span_pages}}, next_base, kClass,
                    MemoryContent::kUnknown);
  next_base += span->bytes().value;
  for (size_t count = 0; count < used; ++count) (void)span->claim(1);
  return span;
}

TEST(OccupancyLists, EmptyListsHaveNoFullestSpan) {
  const OccupancyLists lists;
  EXPECT_EQ(lists.fullest(), nullptr);
  EXPECT_EQ(lists.span_count(), 0u);
  lists.check_invariants();
}

TEST(OccupancyLists, TheFullestSpanIsFoundWithinAnEighth) {
  OccupancyLists lists;
  std::vector<SpanRecord> spans;
  const size_t count = kSizeClasses[kClass].objects_per_span;
  for (const size_t used : {count / 2, size_t{1}, count - 1, count / 4}) {
    spans.push_back(make_used(used));
    lists.insert(spans.back().get());
    lists.check_invariants();
  }
  EXPECT_EQ(lists.span_count(), 4u);
  for (const size_t index : {2, 0, 3, 1}) {
    ASSERT_EQ(lists.fullest(), spans[index].get());
    lists.remove(spans[index].get());
    lists.check_invariants();
  }
  EXPECT_EQ(lists.fullest(), nullptr);
}

TEST(OccupancyLists, ASpanThatFillsUpLeavesItsList) {
  OccupancyLists lists;
  const SpanRecord span = make_used(1);
  lists.insert(span.get());
  while (!span->is_full()) {
    (void)span->claim(3);
    lists.update(span.get());
    lists.check_invariants();
  }
  EXPECT_EQ(lists.span_count(), 0u);
  EXPECT_EQ(lists.fullest(), nullptr);
}

TEST(OccupancyLists, OfTwoAsFullTheOneWithoutHolesComesFirst) {
  OccupancyLists lists;
  const size_t count = kSizeClasses[kClass].objects_per_span;
  const SpanRecord whole = make_used(count / 2);
  const SpanRecord with_holes = make_used(count / 2);
  if (with_holes->holes() == 0) GTEST_SKIP() << "the kernel's pages are as large as the span";
  lists.insert(whole.get());
  lists.insert(with_holes.get());
  with_holes->note_released(with_holes->holes());
  lists.update(with_holes.get());
  lists.check_invariants();
  EXPECT_EQ(lists.fullest(), whole.get());
  EXPECT_EQ(lists.fullest_without_holes(), whole.get());
  lists.remove(whole.get());
  EXPECT_EQ(lists.fullest(), with_holes.get());
  EXPECT_EQ(lists.fullest_without_holes(), nullptr);
}

TEST(OccupancyLists, TheSearchForASpanWithoutHolesLooksAtNoOther) {
  OccupancyLists lists;
  const size_t count = kSizeClasses[kClass].objects_per_span;
  const SpanRecord whole = make_used(1);
  const uintptr_t page = platform::map(platform::page_bytes(), 0);
  ASSERT_NE(page, 0u);
  // A record of zeros.
  Span* with_holes = reinterpret_cast<Span*>(page);
  with_holes->start_small({{0}, {kSizeClasses[kClass].span_pages}}, uintptr_t{1} << 40, kClass,
                          MemoryContent::kUnknown);
  for (size_t used = 0; used < count / 2; ++used) (void)with_holes->claim(1);
  with_holes->note_released(uint64_t{1} << 63);
  lists.insert(with_holes);
  lists.insert(whole.get());
  EXPECT_EQ(lists.fullest(), with_holes);
  ASSERT_TRUE(platform::make_inaccessible(page, platform::page_bytes()));
  EXPECT_EQ(lists.fullest_without_holes(), whole.get());
  EXPECT_TRUE(platform::unmap(page, platform::page_bytes()));
}

TEST(OccupancyLists, AgreesWithANaiveSearchUnderRandomUse) {
  OccupancyLists lists;
  std::mt19937_64 random(2);
  std::vector<SpanRecord> spans;
  const size_t count = kSizeClasses[kClass].objects_per_span;
  for (int index = 0; index < 40; ++index) {
    spans.push_back(make_used(1 + random() % (count - 1)));
    lists.insert(spans.back().get());
  }
  std::vector<Span*> on_list;
  for (const SpanRecord& span : spans) on_list.push_back(span.get());
  for (int round = 0; round < 5000 && !on_list.empty(); ++round) {
    Span* span = on_list[random() % on_list.size()];
    const uintptr_t object = span->base() + random() % count * 256;
    if (random() % 3 != 0 && span->object_count() - span->free_count() > 1) {
      (void)(!span->is_free_object(object) && span->give_back(object));
    } else {
      (void)span->claim(1 + random() % 8);
    }
    lists.update(span);
    if (span->is_full()) std::erase(on_list, span);
    lists.check_invariants();
    ASSERT_EQ(lists.span_count(), on_list.size());
    if (on_list.empty()) break;
    const Span* fullest = *std::min_element(
        on_list.begin(), on_list.end(),
        [](const Span* a, const Span* b) { return a->free_count() < b->free_count(); });
    ASSERT_LE(lists.fullest()->free_count(), fullest->free_count() + count / 8 + 1);
    size_t visited = 0;
    lists.for_each([&](const Span&) { ++visited; });
    ASSERT_EQ(visited, on_list.size());
  }
}

}  // namespace
}  // namespace spanmalloc
