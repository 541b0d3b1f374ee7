#include "cache/sentinel_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::kTestKey;

TEST(SentinelTable, CapacitiesGrowFourfoldUpToAFullMagazine) {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const auto size_class = static_cast<SizeClass>(index);
    const size_t full = kSizeClasses[index].magazine_capacity;
    size_t last = 0;
    for (uint8_t level = 0; level < SentinelTable::kLevels; ++level) {
      const size_t capacity = SentinelTable::capacity(size_class, level);
      EXPECT_GE(capacity, 1u);
      EXPECT_GE(capacity, last);
      if (last > 4) {
        EXPECT_NEAR(static_cast<double>(capacity), 4.0 * static_cast<double>(last), 4.0);
      }
      last = capacity;
    }
    EXPECT_EQ(last, full);
  }
}

TEST(SentinelTable, EverySentinelEndsAListOfItsCapacity) {
  SentinelTable table;
  table.open(kTestKey);
  Mutex mutex(LockRank::kCentral);
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    for (uint8_t level = 0; level < SentinelTable::kLevels; ++level) {
      const auto size_class = static_cast<SizeClass>(index);
      for (const SealCheck check : {SealCheck::kAtFree, SealCheck::kDeferred}) {
        const FreeNode* sentinel = table.sentinel(size_class, level, check, mutex);
        EXPECT_TRUE(FreeNode::is_end(sentinel->next(kTestKey)));
        EXPECT_EQ(sentinel->room(), SentinelTable::capacity(size_class, level));
        EXPECT_EQ(sentinel->seal_check(), check);
        EXPECT_TRUE(table.contains(sentinel));
      }
    }
  }
}

// Sentinels are made at their first use, by whichever thread comes first. The nodes are plain: the
// race detector sees a thread that reads what it was not handed.
TEST(SentinelOrder, WhoSeesThatSentinelsAreMadeSeesWhatTheyAre) {
  auto table = std::make_unique<SentinelTable>();
  table->open(kTestKey);
  Mutex mutex(LockRank::kCentral);
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&] {
      for (size_t number = 1; number < kSizeClassCount; ++number) {
        const auto size_class = static_cast<SizeClass>(number);
        const FreeNode* sentinel = table->sentinel(size_class, 1, SealCheck::kAtFree, mutex);
        EXPECT_EQ(sentinel->room(), SentinelTable::capacity(size_class, 1));
        EXPECT_TRUE(FreeNode::is_end(sentinel->next(kTestKey)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace spanmalloc
