#include "base/event_counts.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "platform/system.h"

namespace spanmalloc {
namespace {

TEST(EventCounts, KeepsRanksAndEventsApart) {
  const auto counts = std::make_unique<EventCounts>();
  counts->add(LockRank::kCentral, LockEvent::kTaken);
  counts->add(LockRank::kCentral, LockEvent::kTaken);
  counts->add(LockRank::kPageHeap, LockEvent::kTaken);
  counts->add(LockRank::kCentral, LockEvent::kSlept);
  counts->add_shared_writes(3);
  const EventTotals totals = counts->totals();
  EXPECT_EQ(totals.of(LockRank::kCentral, LockEvent::kTaken), 2u);
  EXPECT_EQ(totals.of(LockRank::kPageHeap, LockEvent::kTaken), 1u);
  EXPECT_EQ(totals.of(LockRank::kMetadata, LockEvent::kTaken), 0u);
  EXPECT_EQ(totals.of(LockEvent::kTaken), 3u);
  EXPECT_EQ(totals.of(LockEvent::kFoundTaken), 0u);
  EXPECT_EQ(totals.of(LockEvent::kSlept), 1u);
  EXPECT_EQ(totals.shared_writes, 3u);
}

TEST(EventCounts, KeepsTheCountsOfThreadsThatEndedAlsoWhereThreadsShareASlot) {
  const auto counts = std::make_unique<EventCounts>();
  constexpr size_t kThreads = 300;  // more than slots
  constexpr size_t kRounds = 100;
  std::vector<std::thread> threads;
  for (size_t index = 0; index < kThreads; ++index) {
    threads.emplace_back([&] {
      for (size_t round = 0; round < kRounds; ++round) {
        counts->add(LockRank::kOpen, LockEvent::kTaken);
        counts->add_shared_writes(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts->totals().of(LockRank::kOpen, LockEvent::kTaken), kThreads * kRounds);
  EXPECT_EQ(counts->totals().shared_writes, kThreads * kRounds);
}

TEST(EventTotals, SinceIsTheDifference) {
  const auto counts = std::make_unique<EventCounts>();
  counts->add(LockRank::kRegistry, LockEvent::kFoundTaken);
  counts->add_shared_writes(5);
  const EventTotals before = counts->totals();
  counts->add(LockRank::kRegistry, LockEvent::kFoundTaken);
  counts->add_shared_writes(2);
  const EventTotals difference = counts->totals().since(before);
  EXPECT_EQ(difference.of(LockRank::kRegistry, LockEvent::kFoundTaken), 1u);
  EXPECT_EQ(difference.shared_writes, 2u);
}

// The following run in two builds: one that counts and one that must not.

TEST(CountedMutex, CountsWhatIsTakenByItsRank) {
  const EventTotals before = event_counts.totals();
  Mutex central(LockRank::kCentral);
  Mutex pages(LockRank::kPageHeap);
  for (int round = 0; round < 3; ++round) {
    MutexLock lock(central);
  }
  ASSERT_TRUE(pages.try_lock());
  std::thread([&] { EXPECT_FALSE(pages.try_lock()); }).join();
  pages.unlock();
  count_shared_write();
  count_shared_write(2);
  const EventTotals counted = event_counts.totals().since(before);
  constexpr uint64_t kCounted = kCountEvents ? 1 : 0;
  EXPECT_EQ(counted.of(LockRank::kCentral, LockEvent::kTaken), 3 * kCounted);
  EXPECT_EQ(counted.of(LockRank::kPageHeap, LockEvent::kTaken), kCounted);
  EXPECT_EQ(counted.of(LockEvent::kFoundTaken), 0u);
  EXPECT_EQ(counted.of(LockEvent::kSlept), 0u);
  EXPECT_EQ(counted.shared_writes, 3 * kCounted);
}

TEST(CountedMutex, CountsWaitersOnceAndTheirSleeps) {
  if (!kCountEvents) GTEST_SKIP() << "this build does not count";
  const EventTotals before = event_counts.totals();
  Mutex mutex(LockRank::kCentral);
  mutex.lock();
  std::thread waiter([&] { MutexLock lock(mutex); });
  const auto counted = [&] { return event_counts.totals().since(before); };
  while (counted().of(LockEvent::kSlept) == 0) platform::sleep_ns(1'000'000);
  mutex.unlock();
  waiter.join();
  EXPECT_EQ(counted().of(LockRank::kCentral, LockEvent::kTaken), 2u);
  EXPECT_EQ(counted().of(LockRank::kCentral, LockEvent::kFoundTaken), 1u);
  EXPECT_GE(counted().of(LockRank::kCentral, LockEvent::kSlept), 1u);
}

}  // namespace
}  // namespace spanmalloc
