#include "base/mutex.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "base/check.h"
#include "platform/system.h"
#include "platform/thread.h"

namespace spanmalloc {
namespace {

TEST(Mutex, ExcludesThreadsFromEachOther) {
  Mutex mutex(LockRank::kCentral);
  constexpr int kThreads = 4;
  constexpr int kRounds = 20000;
  int counter = 0;  // plain: the thread sanitizer would report a race
  std::vector<std::thread> threads;
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        MutexLock lock(mutex);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, kThreads * kRounds);
}

TEST(Mutex, WaitersSleepThroughALongSectionAndAllGetTheirTurn) {
  Mutex mutex(LockRank::kCentral);
  int turns = 0;
  std::vector<std::thread> threads;
  mutex.lock();
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&] {
      MutexLock lock(mutex);
      ++turns;
    });
  }
  platform::sleep_ns(20'000'000);
  EXPECT_EQ(turns, 0);
  mutex.unlock();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(turns, 3);
}

TEST(Mutex, TryLockFailsExactlyWhileHeld) {
  Mutex mutex(LockRank::kCentral);
  ASSERT_TRUE(mutex.try_lock());
  std::thread([&] { EXPECT_FALSE(mutex.try_lock()); }).join();
  EXPECT_FALSE(mutex.try_lock()) << "not recursive";
  mutex.unlock();
  std::thread([&] {
    EXPECT_TRUE(mutex.try_lock());
    mutex.unlock();
  }).join();
}

TEST(Mutex, KnowsItsOwner) {
  Mutex mutex(LockRank::kCentral);
  EXPECT_FALSE(mutex.held_by_this_thread());
  mutex.lock();
  EXPECT_TRUE(mutex.held_by_this_thread());
  EXPECT_EQ(mutex.owner(), platform::thread_number());
  std::thread([&] { EXPECT_FALSE(mutex.held_by_this_thread()); }).join();
  mutex.unlock();
  EXPECT_FALSE(mutex.held_by_this_thread());
  EXPECT_EQ(mutex.owner(), 0u);
}

TEST(Mutex, StaysWithItsOwnerWhileOthersWait) {
  Mutex mutex(LockRank::kCentral);
  mutex.lock();
  std::thread waiter([&] { MutexLock lock(mutex); });
  for (int round = 0; round < 20; ++round) {
    EXPECT_TRUE(mutex.held_by_this_thread());
    platform::sleep_ns(500'000);
  }
  mutex.unlock();
  waiter.join();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(Mutex, IsFreeInTheChildAfterReset) {
  Mutex mutex(LockRank::kCentral);
  mutex.lock();
  const pid_t child = fork();
  if (child == 0) {
    mutex.reset_in_child();
    const bool free = !mutex.held_by_this_thread() && mutex.try_lock();
    _exit(free ? 0 : 1);
  }
  mutex.unlock();
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(Mutex, MayBeLockedAgainByWhoHoldsItForAFork) {
  Mutex mutex(LockRank::kCentral);
  Mutex another(LockRank::kPageHeap);
  EXPECT_FALSE(mutex.may_be_locked_again());
  ASSERT_TRUE(another.try_hold_for_fork());
  ASSERT_TRUE(mutex.try_hold_for_fork());
  EXPECT_EQ(mutex.owner(), platform::thread_number());
  EXPECT_TRUE(mutex.may_be_locked_again());
  std::thread([&] {
    EXPECT_FALSE(mutex.may_be_locked_again());
    EXPECT_TRUE(mutex.is_held_for_fork());
  }).join();
  EXPECT_FALSE(mutex.try_hold_for_fork());
  for (int round = 0; round < 2; ++round) {
    MutexLock lock(mutex);
    EXPECT_FALSE(mutex.may_be_locked_again()) << "the section is entered";
  }
  EXPECT_TRUE(mutex.may_be_locked_again());
  std::thread([&] { EXPECT_FALSE(mutex.try_lock()) << "unlocking does not end the hold"; }).join();
  mutex.release_after_fork();
  EXPECT_EQ(mutex.owner(), 0u);
  MutexLock lock(mutex);
  EXPECT_FALSE(mutex.is_held_for_fork());
  EXPECT_FALSE(mutex.may_be_locked_again());
  another.release_after_fork();
}

TEST(Mutex, WhoWaitsForAForkIsWoken) {
  Mutex mutex(LockRank::kCentral);
  int turns = 0;
  ASSERT_TRUE(mutex.try_hold_for_fork());
  std::thread waiter([&] {
    MutexLock lock(mutex);
    ++turns;
  });
  platform::sleep_ns(20'000'000);
  {
    MutexLock again(mutex);
    EXPECT_EQ(turns, 0);
  }
  EXPECT_TRUE(mutex.may_be_locked_again()) << "also while others wait";
  mutex.release_after_fork();
  waiter.join();
  EXPECT_EQ(turns, 1);
}

TEST(MutexDeathTest, ASectionIsNotEnteredTwice) {
  Mutex mutex(LockRank::kCentral);
  ASSERT_TRUE(mutex.try_hold_for_fork());
  {
    MutexLock lock(mutex);
    EXPECT_DEATH(mutex.lock(), "signal handler that interrupted it");
  }
  mutex.release_after_fork();
}

TEST(Mutex, LocksOfFallingRankNest) {
  Mutex outer(LockRank::kOpen);
  Mutex inner(LockRank::kPageHeap);
  Mutex leaf(LockRank::kMetadata);
  MutexLock first(outer);
  MutexLock second(inner);
  MutexLock third(leaf);
  EXPECT_TRUE(leaf.held_by_this_thread());
}

TEST(Mutex, TryLockTakesSeveralOfOneRank) {
  Mutex a(LockRank::kCentral);
  Mutex b(LockRank::kCentral);
  ASSERT_TRUE(a.try_lock());
  ASSERT_TRUE(b.try_lock());
  b.unlock();
  a.unlock();
}

TEST(MutexDeathTest, ALockOutOfOrderIsAFaultInDebugBuilds) {
  if (!kDebugChecks) GTEST_SKIP();
  Mutex low(LockRank::kPageHeap);
  Mutex high(LockRank::kCentral);
  Mutex same(LockRank::kPageHeap);
  MutexLock lock(low);
  EXPECT_DEATH(high.lock(), "lock taken out of order");
  EXPECT_DEATH(same.lock(), "lock taken out of order");
}

}  // namespace
}  // namespace spanmalloc
