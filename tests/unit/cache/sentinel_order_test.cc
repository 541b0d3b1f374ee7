// Sentinels are made at their first use by whichever thread comes first.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "cache/thread_cache.h"
#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::kTestKey;

// The nodes are plain: the race detector sees a thread that reads what it was not handed.
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
