#include "spans/page_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "support/span_record.h"

namespace spanmalloc {
namespace {

using testing::make_span_record;
using testing::SpanRecord;

constexpr uintptr_t kEnd = uintptr_t{1} << 40;
constexpr size_t kPages = kEnd >> kPageShift;

struct TestMap {
  TestMap() { EXPECT_TRUE(map.open(kEnd)); }
  void set(PageRange pages, Span* span, SizeClass size_class) {
    ASSERT_TRUE(map.prepare(pages));
    map.set_small(pages, span, size_class);
  }

  MetadataArena arena;
  PageMap map{arena};
};

// The map never reads what it points to.
Span* span_number(uintptr_t number) {
  return reinterpret_cast<Span*>(number << 12);
}

std::vector<uintptr_t> strange_values() {
  std::vector<uintptr_t> values{0,
                                1,
                                15,
                                16,
                                4095,
                                8191,
                                8192,
                                UINTPTR_MAX,
                                UINTPTR_MAX - 15,
                                kEnd - 1,
                                kEnd,
                                kEnd + 1,
                                0x00007fffffffffff,
                                0x0000800000000000,
                                0xffff7fffffffffff,
                                0xffff800000000000,
                                0xdeadbeefdeadbeef,
                                reinterpret_cast<uintptr_t>(&strange_values)};
  for (unsigned shift = 0; shift < 64; ++shift) {
    values.push_back(uintptr_t{1} << shift);
    values.push_back((uintptr_t{1} << shift) - 1);
    values.push_back(~(uintptr_t{1} << shift));
  }
  std::mt19937_64 random(3);
  for (int round = 0; round < 10000; ++round) values.push_back(random());
  return values;
}

// A pointer and a byte a page.
constexpr size_t kLeafBytes = kPagesPerChunk * (sizeof(Span*) + 1);

TEST(PageMap, BeforeItIsOpenNothingIsOurs) {
  MetadataArena arena;
  const PageMap map(arena);
  for (const uintptr_t value : strange_values()) {
    ASSERT_EQ(map.find(value), nullptr);
    ASSERT_EQ(map.class_map()[value], kNoSizeClass);
  }
}

TEST(PageMap, AnyValueIsAnsweredAndForeignOnesAreNotOurs) {
  const TestMap test;
  for (const uintptr_t value : strange_values()) {
    ASSERT_EQ(test.map.find(value), nullptr) << value;
    ASSERT_EQ(test.map.class_map()[value], kNoSizeClass) << value;
  }
}

TEST(PageMap, TheFirstAndTheLastPageOfTheWindowCanBeMapped) {
  TestMap test;
  test.set({{0}, {1}}, span_number(1), 5);
  test.set({{kPages - 1}, {1}}, span_number(2), 6);
  EXPECT_EQ(test.map.find(0), span_number(1));
  EXPECT_EQ(test.map.find(kPageBytes - 1), span_number(1));
  EXPECT_EQ(test.map.find(kPageBytes), nullptr);
  EXPECT_EQ(test.map.find(kEnd - kPageBytes - 1), nullptr);
  EXPECT_EQ(test.map.find(kEnd - kPageBytes), span_number(2));
  EXPECT_EQ(test.map.class_map()[kEnd - kMinAlignment], 6);
  EXPECT_EQ(test.map.class_map()[kEnd], kNoSizeClass);
  EXPECT_EQ(test.map.find(kEnd), nullptr);
}

TEST(PageMap, BothHalvesCoverEveryByteOfASmallSpanAcrossChunks) {
  TestMap test;
  const PageRange pages{{3 * kPagesPerChunk - 2}, {2 * kPagesPerChunk + 4}};
  test.set(pages, span_number(9), 7);
  const uintptr_t begin = pages.first.value * kPageBytes;
  const uintptr_t end = pages.end().value * kPageBytes;
  for (const uintptr_t address : {begin, begin + 16, begin + 2 * kPageBytes, begin + kChunkBytes,
                                  end - kPageBytes, end - 16}) {
    EXPECT_EQ(test.map.find(address), span_number(9));
    EXPECT_EQ(test.map.class_map()[address], 7);
  }
  EXPECT_EQ(test.map.find(end - 1), span_number(9));
  for (const uintptr_t address : {begin - 16, end}) {
    EXPECT_EQ(test.map.find(address), nullptr);
    EXPECT_EQ(test.map.class_map()[address], kNoSizeClass);
  }
}

TEST(PageMap, AMisalignedAddressHasNoClassButASpan) {
  TestMap test;
  test.set({{50}, {1}}, span_number(1), 3);
  for (uintptr_t offset = 1; offset < 64; ++offset) {
    const uintptr_t address = 50 * kPageBytes + offset;
    EXPECT_EQ(test.map.class_map()[address], offset % kMinAlignment == 0 ? 3 : kNoSizeClass);
    EXPECT_EQ(test.map.find(address), span_number(1));
  }
}

TEST(PageMap, OnlyPagesWhereAnObjectStartsHaveTheClassOfALongObject) {
  TestMap test;
  const SizeClass size_class = size_class_of(5 * kPageBytes / 2);
  ASSERT_EQ(kSizeClasses[size_class].object_bytes, 5 * kPageBytes / 2);
  const PageRange pages{{300}, {kSizeClasses[size_class].span_pages}};
  test.set(pages, span_number(2), size_class);
  for (size_t page = 0; page < pages.count.value; ++page) {
    const uintptr_t address = (300 + page) * kPageBytes;
    // Two objects take five pages; the last one must be whole.
    const bool starts = (page % 5 == 0 || page % 5 == 2) && page + 2 < pages.count.value;
    EXPECT_EQ(test.map.class_map()[address], starts ? size_class : kNoSizeClass) << page;
    EXPECT_EQ(test.map.find(address), span_number(2)) << page;
  }
  test.map.clear_small(pages);
  for (size_t page = 0; page < pages.count.value; ++page) {
    EXPECT_EQ(test.map.class_map()[(300 + page) * kPageBytes], kNoSizeClass);
  }
}

TEST(PageMap, ALargeSpanIsFoundByItsFirstPageAndHasNoClass) {
  TestMap test;
  ASSERT_TRUE(test.map.prepare({{200}, {1}}));
  test.map.set_large({200}, span_number(4));
  EXPECT_EQ(test.map.find(200 * kPageBytes), span_number(4));
  EXPECT_EQ(test.map.find(201 * kPageBytes - 1), span_number(4));
  EXPECT_EQ(test.map.find(201 * kPageBytes), nullptr);
  EXPECT_EQ(test.map.class_map()[200 * kPageBytes], kNoSizeClass);
  test.map.clear_large({200});
  EXPECT_EQ(test.map.find(200 * kPageBytes), nullptr);
}

TEST(PageMap, ALargeSpanIsFoundAroundEachOfItsBytesAndNoOther) {
  TestMap test;
  SpanRecord span = make_span_record();
  constexpr size_t kFirst = 3 * kPagesPerChunk - 100;
  constexpr size_t kCount = 3 * kPagesPerChunk;
  span->start_large({{kFirst}, {kCount}}, kFirst * kPageBytes, PageCount{0});
  ASSERT_TRUE(test.map.prepare({{kFirst}, {1}}));
  test.map.set_large({kFirst}, span.get());
  for (size_t page = kFirst; page < kFirst + kCount; page += 37) {
    EXPECT_EQ(test.map.find_large_around(page * kPageBytes + 17), span.get()) << page;
  }
  EXPECT_EQ(test.map.find_large_around((kFirst + kCount) * kPageBytes - 1), span.get());
  EXPECT_EQ(test.map.find_large_around((kFirst + kCount) * kPageBytes), nullptr);
  EXPECT_EQ(test.map.find_large_around(kFirst * kPageBytes - 1), nullptr);
  for (const uintptr_t value : {uintptr_t{0}, kEnd, UINTPTR_MAX}) {
    EXPECT_EQ(test.map.find_large_around(value), nullptr);
  }
}

TEST(PageMap, ClearedPagesAreNotOurs) {
  TestMap test;
  test.set({{100}, {50}}, span_number(1), 3);
  test.map.clear_small({{110}, {5}});
  EXPECT_EQ(test.map.find(109 * kPageBytes), span_number(1));
  EXPECT_EQ(test.map.find(110 * kPageBytes), nullptr);
  EXPECT_EQ(test.map.class_map()[114 * kPageBytes], kNoSizeClass);
  EXPECT_EQ(test.map.class_map()[115 * kPageBytes], 3);
}

TEST(PageMap, AgreesWithAModelUnderRandomUse) {
  TestMap test;
  std::mt19937_64 random(5);
  std::map<size_t, std::pair<Span*, SizeClass>> model;
  constexpr size_t kUsed = 8 * kPagesPerChunk;
  const size_t offset = kPages / 2;
  for (int round = 0; round < 2000; ++round) {
    const size_t first = random() % kUsed;
    const size_t count = 1 + random() % std::min<size_t>(kUsed - first, 600);
    Span* span = random() % 3 == 0 ? nullptr : span_number(round + 1);
    const auto size_class = static_cast<SizeClass>(span == nullptr ? 0 : random() % 73);
    test.set({{offset + first}, {count}}, span, size_class);
    for (size_t page = first; page < first + count; ++page) model[page] = {span, size_class};
    for (int probe = 0; probe < 20; ++probe) {
      const size_t page = random() % kUsed;
      const uintptr_t address = (offset + page) * kPageBytes + random() % kPageBytes / 16 * 16;
      ASSERT_EQ(test.map.find(address), model[page].first);
      ASSERT_EQ(test.map.class_map()[address], model[page].second);
    }
  }
}

TEST(PageMap, LeavesAreMadeOnceAChunk) {
  TestMap test;
  ASSERT_TRUE(test.map.prepare({{7}, {1}}));
  const size_t used = test.arena.used_bytes();
  EXPECT_EQ(used, kLeafBytes);
  ASSERT_TRUE(test.map.prepare({{0}, {kPagesPerChunk}}));
  EXPECT_EQ(test.arena.used_bytes(), used);
  ASSERT_TRUE(test.map.prepare({{kPagesPerChunk - 1}, {2}}));
  EXPECT_EQ(test.arena.used_bytes(), 2 * used);
}

TEST(PageMap, ThreadsPrepareAndReadAtOnce) {
  TestMap test;
  std::vector<std::thread> threads;
  for (size_t index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      for (size_t chunk = 0; chunk < 64; ++chunk) {
        // All threads prepare the same chunks; each owns some pages of them.
        const PageRange mine{{chunk * kPagesPerChunk + index * 10}, {10}};
        EXPECT_TRUE(test.map.prepare(mine));
        test.map.set_small(mine, span_number(index + 1), static_cast<SizeClass>(index + 1));
        EXPECT_EQ(test.map.find((mine.first.value + 9) * kPageBytes), span_number(index + 1));
        EXPECT_EQ(test.map.find((chunk * kPagesPerChunk + 500) * kPageBytes), nullptr);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(test.arena.used_bytes(), 64 * kLeafBytes);
}

TEST(PageMap, RefusedAddressSpaceIsReported) {
  MetadataArena arena;
  PageMap map(arena);
  EXPECT_FALSE(map.open(UINTPTR_MAX - kChunkBytes));
  EXPECT_EQ(map.find(kPageBytes), nullptr);
}

// A span of the class as a span allocator makes it, guards included.
SpanRecord make_small_span(TestMap& test, SizeClass size_class, GuardPages guards) {
  SpanRecord span = make_span_record();
  const PageRange pages{{3 * kPagesPerChunk - 1}, {kSizeClasses[size_class].span_pages}};
  span->start_small(pages, pages.first.value * kPageBytes, size_class, MemoryContent::kUnknown);
  span->set_guards(guards);
  EXPECT_TRUE(test.map.prepare({{pages.first.value - 8}, pages.count + PageCount{16}}));
  test.map.set_small(pages, span.get(), size_class);
  return span;
}

TEST(PageMap, TheEntriesOfASpanOfEachClassAreInOrder) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    TestMap test;
    const SpanRecord span = make_small_span(test, static_cast<SizeClass>(index), {3, 2});
    test.map.check_invariants(*span);
    for (uintptr_t address = span->base(); address < span->base() + span->bytes().value;
         address += kPageBytes / 2) {
      ASSERT_EQ(test.map.small_span_base(address), span->base()) << index;
      ASSERT_EQ(test.map.small_span(address), span.operator->()) << index;
    }
  }
}

TEST(PageMapDeathTest, WrongEntriesOfASpanAreAFault) {
  for (const size_t bytes : {size_t{512}, 5 * kPageBytes / 2}) {
    TestMap test;
    const SizeClass size_class = size_class_of(bytes);
    const SpanRecord span = make_small_span(test, size_class, {});
    const PageRange pages = span->pages();
    const PageRange last{PageNumber{pages.end().value - 1}, {1}};
    for (const PageRange page : {PageRange{pages.first, {1}}, last}) {
      test.map.set_large(page.first, span_number(77));
      EXPECT_DEATH(test.map.check_invariants(*span), "a page of a span leads elsewhere");
      test.map.set_large(page.first, nullptr);
      EXPECT_DEATH(test.map.check_invariants(*span), "a page of a span leads elsewhere");
      test.map.set_small(pages, span.get(), size_class);
      test.map.check_invariants(*span);
      test.map.set_small(page, span.get(), 5);
      EXPECT_DEATH(test.map.check_invariants(*span),
                   "a page of a span has a wrong class|a page of a span with another base");
      test.map.clear_small(pages);
      test.map.set_small(pages, span.get(), size_class);
    }
  }
}

TEST(PageMapDeathTest, APageThatLeadsToAnotherBaseIsAFault) {
  TestMap test;
  const SizeClass size_class = size_class_of(512);
  const SpanRecord span = make_small_span(test, size_class, {});
  const PageRange pages = span->pages();
  test.map.set_small({PageNumber{pages.end().value - 1}, {1}}, span.get(), size_class);
  EXPECT_DEATH(test.map.check_invariants(*span), "a page of a span with another base");
}

TEST(PageMapDeathTest, AnEntryOfAGuardPageIsAFault) {
  TestMap test;
  const SpanRecord span = make_small_span(test, size_class_of(512), {2, 1});
  const PageRange pages = span->pages();
  for (const size_t page : {pages.first.value - 2, pages.first.value - 1, pages.end().value}) {
    test.map.set_large({page}, span.get());
    EXPECT_DEATH(test.map.check_invariants(*span), "a guard page leads to a span");
    test.map.set_small({{page}, {1}}, nullptr, 5);
    EXPECT_DEATH(test.map.check_invariants(*span), "a guard page leads to a span");
    test.map.clear_small({{page}, {1}});
  }
  for (const size_t page : {pages.first.value - 3, pages.end().value + 1}) {
    test.map.set_large({page}, span_number(77));
  }
  test.map.check_invariants(*span);
}

TEST(PageMapDeathTest, PagesBeyondTheWindowAreAFault) {
  TestMap test;
  EXPECT_DEATH((void)test.map.prepare({{kPages}, {1}}), "beyond the address window");
}

}  // namespace
}  // namespace spanmalloc
