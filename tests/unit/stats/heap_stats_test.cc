#include "stats/heap_stats.h"

#include <gtest/gtest.h>

#include <string>

#include "heap/allocate.h"

namespace spanmalloc {
namespace {

// Each figure another number, so that one in the wrong place shows.
HeapStats some_stats() {
  HeapStats stats;
  stats.mapped = 1'000'003;
  stats.in_use = 600'011;
  stats.free_retained = 300'007;
  stats.released = 99'985;
  stats.scavenged = 12'345;
  stats.small_spans = 400'009;
  stats.live_large = 200'003;
  stats.large_count = 3;
  stats.cached = 50'021;
  stats.free_in_spans = 40'013;
  stats.span_waste = 10'007;
  stats.partly_used_spans = 17;
  stats.released_in_spans = 8'009;
  stats.metadata = 70'001;
  stats.thread_caches = 5;
  stats.classes[size_class_of(64)] = {640, 1280};
  stats.classes[size_class_of(1024)] = {0, 2048};
  return stats;
}

std::string written(void (*write)(const HeapStats&, TextWriter&), size_t capacity = 8192) {
  std::string text(capacity, 'x');
  TextWriter out(text.data(), text.size());
  write(some_stats(), out);
  EXPECT_EQ(text[out.length()], '\0');
  text.resize(out.length());
  return text;
}

TEST(HeapStats, LiveIsWhatIsNotIdle) {
  HeapStats stats = some_stats();
  EXPECT_EQ(stats.live_small(), 400'009u - 50'021 - 40'013 - 10'007);
  EXPECT_EQ(stats.live(), stats.live_small() + 200'003);
  // Parts are read one after the other, while threads free.
  stats.cached = 500'000;
  EXPECT_EQ(stats.live_small(), 0u);
}

TEST(HeapStats, TextHasEachFigureWithItsMeaning) {
  const std::string text = written(write_text);
  EXPECT_NE(text.find("  in_use 600011  bytes of pages in spans\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  live_small 299968  "), std::string::npos) << text;
  EXPECT_NE(text.find("  thread_caches 5  "), std::string::npos) << text;
}

TEST(HeapStats, JsonHasTheFiguresAndTheClassesThatHoldSomething) {
  const std::string text = written(write_json);
  EXPECT_EQ(text.find("{\"mapped\": 1000003, \"in_use\": 600011, "), 0u) << text;
  EXPECT_NE(text.find("\"classes\": [{\"bytes\": 64, \"cached\": 640, \"free_in_spans\": 1280}, "
                      "{\"bytes\": 1024, \"cached\": 0, \"free_in_spans\": 2048}]}\n"),
            std::string::npos)
      << text;
}

TEST(HeapStats, XmlCountsTheFreeObjectsOfAClass) {
  const std::string text = written(write_xml);
  EXPECT_NE(text.find("<size from=\"64\" to=\"64\" total=\"1920\" count=\"30\"/>"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("<total type=\"large\" count=\"3\" size=\"200003\"/>"), std::string::npos);
  EXPECT_NE(text.find("<system type=\"max\" size=\"1000003\"/>"), std::string::npos);
}

TEST(HeapStats, WhatDoesNotFitIsCutOff) {
  const std::string whole = written(write_json);
  EXPECT_EQ(written(write_json, 100), whole.substr(0, 99));
}

TEST(HeapStats, FiguresFollowBlocks) {
  ASSERT_TRUE(heap.open());
  void* first = allocate(1000);
  const HeapStats before = read_stats(heap);
  EXPECT_EQ(before.in_use + before.free_retained + before.released, before.mapped);
  const size_t small_bytes = kSizeClasses[size_class_of(1000)].object_bytes;
  EXPECT_GE(before.live_small(), small_bytes);

  void* small[50];
  for (void*& block : small) block = allocate(1000);
  void* large = allocate(size_t{1} << 20);
  const HeapStats during = read_stats(heap);
  EXPECT_EQ(during.live_small(), before.live_small() + 50 * small_bytes);
  EXPECT_EQ(during.live_large, before.live_large + (size_t{1} << 20));
  EXPECT_EQ(during.large_count, before.large_count + 1);

  for (void* block : small) deallocate(block);
  deallocate(large);
  const HeapStats after = read_stats(heap);
  EXPECT_EQ(after.live_small(), before.live_small());
  EXPECT_EQ(after.live_large, before.live_large);
  EXPECT_EQ(after.in_use + after.free_retained + after.released, after.mapped);
  deallocate(first);
}

}  // namespace
}  // namespace spanmalloc
