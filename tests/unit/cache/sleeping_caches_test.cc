#include "cache/sleeping_caches.h"

#include <gtest/gtest.h>
#include <semaphore.h>

#include <atomic>
#include <thread>
#include <vector>

#include "platform/compiler.h"
#include "platform/sleeping_thread.h"
#include "platform/system.h"
#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;

constexpr uint64_t kNsPerMs = 1'000'000;
const SizeClass kClass = size_class_of(512);

struct Fixture : CacheParts {
  size_t empty_all() {
    size_t emptied = 0;
    for (bool more = true; more;) emptied += sleeping.empty_next(&more);
    return emptied;
  }
  // Bytes emptied in two rounds or in some more: the first one only sees what is there.
  size_t empty_until_something_goes() {
    for (int round = 0; round < 1000; ++round) {
      if (const size_t emptied = empty_all(); emptied > 0) return emptied;
      platform::sleep_ns(kNsPerMs);
    }
    return 0;
  }
  void fill(ThreadCache& cache, size_t count) {
    std::vector<FreeNode*> objects;
    for (size_t index = 0; index < count; ++index) objects.push_back(allocate(cache, kClass));
    for (FreeNode* object : objects) deallocate(cache, kClass, object);
  }

  SleepingCaches sleeping{registry, centrals, sentinels};
};

// A thread with a cache that holds something, as the heap would set it up.
class Sleeper {
 public:
  explicit Sleeper(Fixture& test) : cache(test.acquire()) {
    sem_init(&wake_, 0, 0);
    thread_ = std::thread([this, &test] {
      set_current_cache(cache);
      cache->owner().attach(&current_thread_cache, platform::kernel_thread_id());
      test.fill(*cache, 500);
      is_ready_ = true;
      while (sem_wait(&wake_) != 0) {
      }
      has_cache_after = current_cache() == cache;
      test.fill(*cache, 500);
      cache->owner().detach();
      set_current_cache(&empty_thread_cache);
    });
    while (!is_ready_) platform::sleep_ns(kNsPerMs);
  }
  void end() {
    sem_post(&wake_);
    thread_.join();
  }

  ThreadCache* const cache;
  bool has_cache_after = false;

 private:
  sem_t wake_;
  std::atomic<bool> is_ready_{false};
  std::thread thread_;
};

#define SKIP_WHERE_SLEEP_IS_NOT_KNOWN()                                                 \
  if (!platform::kHandlersReturnByStack) GTEST_SKIP() << "not known on this processor"; \
  if (platform::kThreadSanitizer) GTEST_SKIP() << "the kernel orders what is shared here"

TEST(SleepingCaches, ASleepersCacheIsEmptiedAndItsAgainAfterwards) {
  SKIP_WHERE_SLEEP_IS_NOT_KNOWN();
  Fixture test;
  Sleeper sleeper(test);
  const size_t held = sleeper.cache->held_bytes();
  EXPECT_GT(held, size_t{32} << 10);
  EXPECT_EQ(test.empty_until_something_goes(), held);
  EXPECT_EQ(sleeper.cache->held_bytes(), 0u);
  test.centrals[kClass].drain_depot(0, testing::kTestKey);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u) << "all spans are empty";
  EXPECT_EQ(test.empty_all(), 0u);
  sleeper.end();
  EXPECT_TRUE(sleeper.has_cache_after);
  sleeper.cache->check_invariants(test.page_map.class_map());
}

TEST(SleepingCaches, ACacheThatIsInUseIsLeftAlone) {
  SKIP_WHERE_SLEEP_IS_NOT_KNOWN();
  Fixture test;
  Sleeper sleeper(test);
  const size_t held = sleeper.cache->held_bytes();
  {
    const CacheUse use(*sleeper.cache);
    for (int round = 0; round < 20; ++round) EXPECT_EQ(test.empty_all(), 0u);
  }
  EXPECT_FALSE(sleeper.cache->is_used());
  EXPECT_EQ(test.empty_until_something_goes(), held);
  sleeper.end();
}

TEST(SleepingCaches, OneLookIsNotEnough) {
  Fixture test;
  Sleeper sleeper(test);
  EXPECT_EQ(test.empty_all(), 0u) << "it may have been used a moment ago";
  sleeper.end();
}

TEST(SleepingCaches, CachesWithoutAThreadAreNotTouched) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  test.fill(*cache, 500);
  const size_t held = cache->held_bytes();
  for (int round = 0; round < 20; ++round) EXPECT_EQ(test.empty_all(), 0u);
  EXPECT_EQ(cache->held_bytes(), held);
}

TEST(SleepingCaches, EveryCacheHasItsTurn) {
  SKIP_WHERE_SLEEP_IS_NOT_KNOWN();
  Fixture test;
  Sleeper first(test);
  Sleeper second(test);
  Sleeper third(test);
  const size_t held =
      first.cache->held_bytes() + second.cache->held_bytes() + third.cache->held_bytes();
  size_t emptied = 0;
  for (int round = 0; round < 1000 && emptied < held; ++round) {
    emptied += test.empty_all();
    platform::sleep_ns(kNsPerMs);
  }
  EXPECT_EQ(emptied, held);
  first.end();
  second.end();
  third.end();
}

TEST(CacheOwner, DetachWaitsForTheBorrower) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  static CacheSlot slot{nullptr};
  slot = cache;
  CacheOwner& owner = cache->owner();
  owner.attach(&slot, platform::kernel_thread_id());
  ASSERT_TRUE(owner.try_borrow(cache, &empty_thread_cache));
  EXPECT_EQ(slot.load(), &empty_thread_cache);
  EXPECT_FALSE(owner.try_borrow(cache, &empty_thread_cache)) << "one at a time";
  std::atomic<bool> detached{false};
  std::thread thread([&] {
    owner.detach();
    detached = true;
  });
  platform::sleep_ns(20 * kNsPerMs);
  EXPECT_FALSE(detached);
  owner.give_back(cache, &empty_thread_cache);
  thread.join();
  EXPECT_TRUE(detached);
  EXPECT_EQ(slot.load(), cache);
  EXPECT_FALSE(owner.try_borrow(cache, &empty_thread_cache));
  owner.detach();
}

TEST(CacheOwner, IsFoundByItsSlotEvenWhenBorrowed) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  static CacheSlot slot{nullptr};
  slot = cache;
  const int own = platform::kernel_thread_id();
  EXPECT_EQ(test.registry.owned_by(&slot, own), nullptr);
  cache->owner().attach(&slot, own);
  EXPECT_EQ(test.registry.owned_by(&slot, own), cache);
  EXPECT_EQ(test.registry.borrowed_from(&slot), nullptr);
  ASSERT_TRUE(cache->owner().try_borrow(cache, &empty_thread_cache));
  EXPECT_EQ(test.registry.owned_by(&slot, own), cache);
  EXPECT_EQ(test.registry.borrowed_from(&slot), cache);
  cache->owner().give_back(cache, &empty_thread_cache);
  cache->owner().detach();
  EXPECT_EQ(test.registry.owned_by(&slot, own), nullptr);
}

// The identity of a thread that the kernel knows no more: it may still know one that was joined,
// for a moment.
int identity_of_an_ended_thread() {
  int identity = 0;
  std::thread([&] { identity = platform::kernel_thread_id(); }).join();
  for (int round = 0; round < 10'000 && !platform::has_no_thread(identity); ++round) {
    platform::sleep_ns(kNsPerMs / 10);
  }
  return identity;
}

// A thread that ends by the bare system call waits for nobody. What was its slot is then in memory
// that may be gone, or is the slot of another thread.
TEST(CacheOwner, GivesBackNothingToASlotThatIsNoLongerTheOwners) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  ThreadCache* of_another = test.acquire();
  CacheOwner& owner = cache->owner();
  static CacheSlot slot{nullptr};
  slot = cache;
  owner.attach(&slot, platform::kernel_thread_id());
  ASSERT_TRUE(owner.try_borrow(cache, &empty_thread_cache));
  slot = of_another;
  owner.give_back(cache, &empty_thread_cache);
  EXPECT_EQ(slot.load(), of_another);
  EXPECT_FALSE(owner.is_borrowed());

  slot = cache;
  owner.attach(&slot, identity_of_an_ended_thread());
  ASSERT_TRUE(owner.try_borrow(cache, &empty_thread_cache));
  owner.give_back(cache, &empty_thread_cache);
  EXPECT_EQ(slot.load(), &empty_thread_cache);
  EXPECT_TRUE(owner.forget_if_ended());
}

// The C library gives the memory of a thread to the next, with the same place for the slot.
TEST(CacheOwner, IsNotFoundByASlotThatAnotherThreadHadBefore) {
  Fixture test;
  static CacheSlot slot{nullptr};
  const int own = platform::kernel_thread_id();
  ThreadCache* mine = test.acquire();
  ThreadCache* left_behind = test.acquire();
  left_behind->owner().attach(&slot, own + 1);
  EXPECT_EQ(test.registry.owned_by(&slot, own), nullptr);
  slot = mine;
  mine->owner().attach(&slot, own);
  EXPECT_EQ(test.registry.owned_by(&slot, own), mine);
  ASSERT_TRUE(mine->owner().try_borrow(mine, &empty_thread_cache));
  EXPECT_EQ(test.registry.owned_by(&slot, own), mine);
  EXPECT_EQ(test.registry.borrowed_from(&slot), mine);
  mine->owner().give_back(mine, &empty_thread_cache);
  mine->owner().detach();
}

}  // namespace
}  // namespace spanmalloc
