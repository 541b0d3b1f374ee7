#include "base/record_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace spanmalloc {
namespace {

struct TestRecord {
  uint64_t words[6];
};

TEST(RecordPool, NewRecordsAreZeroAndReusedOnesKeepAllButTheFirstWord) {
  MetadataArena arena;
  RecordPool pool(arena, sizeof(TestRecord), alignof(TestRecord));
  auto* first = static_cast<TestRecord*>(pool.take());
  for (const uint64_t word : first->words) ASSERT_EQ(word, 0u);
  for (uint64_t& word : first->words) word = 7;
  pool.give_back(first);
  for (size_t index = 1; index < 6; ++index) EXPECT_EQ(first->words[index], 7u);
  EXPECT_EQ(pool.take(), first);
  for (size_t index = 1; index < 6; ++index) EXPECT_EQ(first->words[index], 7u);
}

TEST(RecordPool, ReusesTheLastRecordFirstAndCountsThoseInUse) {
  MetadataArena arena;
  RecordPool pool(arena, sizeof(TestRecord), alignof(TestRecord));
  void* a = pool.take();
  void* b = pool.take();
  EXPECT_NE(a, b);
  EXPECT_EQ(pool.in_use(), 2u);
  pool.give_back(a);
  pool.give_back(b);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(pool.take(), b);
  EXPECT_EQ(pool.take(), a);
  EXPECT_EQ(pool.in_use(), 2u);
  EXPECT_EQ(arena.used_bytes(), 2 * sizeof(TestRecord));
}

TEST(RecordPool, ChecksEachFreeRecordOnce) {
  MetadataArena arena;
  RecordPool pool(arena, sizeof(TestRecord), alignof(TestRecord));
  std::vector<void*> records;
  for (int round = 0; round < 10; ++round) records.push_back(pool.take());
  for (int round = 0; round < 4; ++round) pool.give_back(records[round]);
  std::vector<const void*> seen;
  pool.check_invariants([&](const void* record) { seen.push_back(record); });
  EXPECT_EQ(seen, (std::vector<const void*>{records[3], records[2], records[1], records[0]}));
}

TEST(RecordPoolDeathTest, ARecordThatIsFreeTwiceOrLostIsAFault) {
  MetadataArena arena;
  RecordPool pool(arena, sizeof(TestRecord), alignof(TestRecord));
  void* first = pool.take();
  void* second = pool.take();
  const auto check = [&] { pool.check_invariants([](const void*) {}); };
  pool.give_back(first);
  pool.give_back(second);
  check();
  static_cast<TestRecord*>(second)->words[0] = 0;
  EXPECT_DEATH(check(), "a record is lost");
  static_cast<TestRecord*>(second)->words[0] = reinterpret_cast<uintptr_t>(second);
  EXPECT_DEATH(check(), "a record is free twice");
  pool.give_back(second);
  EXPECT_DEATH(check(), "more records are in use than were made");
}

TEST(RecordPool, RefusedMemoryIsNotCounted) {
  MetadataArena arena;
  RecordPool pool(arena, size_t{1} << 60, 8);
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace spanmalloc
