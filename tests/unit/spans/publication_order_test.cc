// What one thread publishes to another without a lock: span records, leaves of the page map, the
// class map. The data behind a publication are plain, so that the thread sanitizer reports a race
// when the order of the publishing store or of the load is weakened.
#include <gtest/gtest.h>

#include <thread>

#include "spans/page_map.h"
#include "support/span_record.h"

namespace spanmalloc {
namespace {

using testing::make_span_record;
using testing::SpanRecord;

constexpr int kRounds = 2000;

template <typename Condition>
void wait_for(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(PublicationOrder, WhoSeesTheStateOfASpanSeesItsFields) {
  const SpanRecord span = make_span_record();
  std::thread reader([&] {
    for (uintptr_t round = 1; round <= kRounds; ++round) {
      const SpanState state = round % 2 == 0 ? SpanState::kSmall : SpanState::kLarge;
      wait_for([&] { return span->state() == state; });
      EXPECT_EQ(span->base(), round << kPageShift);
      EXPECT_EQ(span->pages().first.value, round);
      // And whoever sees the end may write the record again.
      EXPECT_TRUE(span->end(state));
    }
  });
  for (uintptr_t round = 1; round <= kRounds; ++round) {
    wait_for([&] { return span->state() == SpanState::kDead; });
    const uintptr_t base = round << kPageShift;
    if (round % 2 == 0) {
      span->start_small({{round}, {kSizeClasses[1].span_pages}}, base, 1, MemoryContent::kZero);
    } else {
      span->start_large({{round}, {1}}, base, PageCount{0});
    }
  }
  reader.join();
}

TEST(PublicationOrder, OfTwoThreadsThatEndASpanOneSucceeds) {
  const SpanRecord span = make_span_record();
  for (int round = 0; round < 200; ++round) {
    span->start_large({{1}, {1}}, kPageBytes, PageCount{0});
    bool ended[2] = {};
    std::thread other([&] { ended[0] = span->end(SpanState::kLarge); });
    ended[1] = span->end(SpanState::kLarge);
    other.join();
    EXPECT_NE(ended[0], ended[1]);
  }
}

TEST(PublicationOrder, WhoFindsASpanInThePageMapFindsTheWholeRecord) {
  MetadataArena arena;
  PageMap map(arena);
  ASSERT_TRUE(map.open(uintptr_t{1} << 36));
  constexpr size_t kSpans = 500;
  std::vector<std::pair<PageNumber, PageCount>> records(kSpans);
  const auto address = [](size_t index) { return (index * 100 + 7) << kPageShift; };
  std::thread reader([&] {
    for (size_t index = 0; index < kSpans; ++index) {
      Span* found = nullptr;
      wait_for([&] { return (found = map.find(address(index))) != nullptr; });
      // Stands for a record: the map never reads what it points to.
      const auto* record = reinterpret_cast<const std::pair<PageNumber, PageCount>*>(found);
      EXPECT_EQ(record->first.value, index * 100 + 7);
      EXPECT_EQ(map.find(address(index) + kPageBytes), nullptr) << "a leaf that is not zero";
    }
  });
  for (size_t index = 0; index < kSpans; ++index) {
    records[index].first = PageNumber{index * 100 + 7};
    ASSERT_TRUE(map.prepare({records[index].first, {1}}));
    map.set_large(records[index].first, reinterpret_cast<Span*>(&records[index]));
  }
  reader.join();
}

TEST(PublicationOrder, WhoSeesALeafOfThePageMapSeesItsZeros) {
  MetadataArena arena;
  // What a leaf is made of was written before.
  PageMap map(arena);
  ASSERT_TRUE(map.open(uintptr_t{1} << 36));
  std::thread reader([&] {
    // Pages of every leaf that no span begins at.
    for (int round = 0; round < 200; ++round) {
      for (size_t chunk = 0; chunk < 600; ++chunk) {
        EXPECT_EQ(map.find(chunk * kChunkBytes), nullptr);
      }
    }
  });
  for (size_t chunk = 0; chunk < 600; ++chunk) {
    ASSERT_TRUE(map.prepare({{chunk * kPagesPerChunk + 1}, {1}}));
  }
  reader.join();
}

TEST(PublicationOrder, WhoSeesTheClassMapSeesItsEntries) {
  for (int round = 0; round < 50; ++round) {
    ClassMap map;
    SizeClass entries[16] = {};
    std::thread reader([&] {
      wait_for([&] { return map.view().block_count != 0; });
      EXPECT_EQ(map[5 * kPageBytes], 7);
    });
    for (SizeClass& entry : entries) entry = 7;
    map.publish(entries, std::size(entries) * (kPageBytes / kMinAlignment));
    reader.join();
  }
}

}  // namespace
}  // namespace spanmalloc
