#include "cache/thread_cache_registry.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

#include "platform/sleeping_thread.h"
#include "platform/system.h"
#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;
using testing::kTestKey;
using Contents = ThreadCacheRegistry::Contents;

const SizeClass kClass = size_class_of(64);

// Puts `count` objects of kClass into the cache.
void fill(CacheParts& parts, ThreadCache& cache, size_t count) {
  std::vector<FreeNode*> objects;
  while (objects.size() < count) objects.push_back(parts.allocate(cache, kClass));
  for (FreeNode* object : objects) parts.deallocate(cache, kClass, object);
}

TEST(ThreadCacheRegistry, LivingThreadsGetDifferentCaches) {
  CacheParts parts;
  std::set<ThreadCache*> caches;
  for (int count = 0; count < 20; ++count) caches.insert(parts.acquire());
  EXPECT_EQ(caches.size(), 20u);
  EXPECT_EQ(parts.registry.cache_count(), 20u);
  EXPECT_EQ(parts.registry.acquired_count(), 20u);
  for (ThreadCache* cache : caches) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(cache) % platform::kCacheLineBytes, 0u);
  }
  parts.registry.check_invariants();
}

TEST(ThreadCacheRegistry, ACacheOfAnEndedThreadIsReusedWithWhatItHolds) {
  CacheParts parts;
  ThreadCache* cache = parts.acquire();
  fill(parts, *cache, 5);
  const size_t held = cache->object_count(kClass);
  parts.registry.release(cache, Contents::kKept);
  EXPECT_EQ(parts.acquire(), cache);
  EXPECT_EQ(cache->object_count(kClass), held);
  EXPECT_EQ(parts.registry.cache_count(), 1u);
}

TEST(ThreadCacheRegistry, CachesWithObjectsAreReusedBeforeEmptiedOnes) {
  CacheParts parts;
  ThreadCache* kept = parts.acquire();
  ThreadCache* emptied = parts.acquire();
  parts.registry.release(kept, Contents::kKept);
  parts.registry.release(emptied, Contents::kEmptied);
  parts.registry.check_invariants();
  EXPECT_EQ(parts.acquire(), kept);
  EXPECT_EQ(parts.acquire(), emptied);
  EXPECT_NE(parts.acquire(), kept);
}

TEST(ThreadCacheRegistry, AFewCachesMayKeepTheirObjects) {
  CacheParts parts;
  std::vector<ThreadCache*> caches;
  for (int count = 0; count < 10; ++count) caches.push_back(parts.acquire());
  size_t kept = 0;
  for (ThreadCache* cache : caches) {
    if (parts.registry.has_enough_warm()) break;
    parts.registry.release(cache, Contents::kKept);
    ++kept;
  }
  EXPECT_GE(kept, 1u);
  EXPECT_LT(kept, 10u);
  (void)parts.acquire();
  EXPECT_FALSE(parts.registry.has_enough_warm());
}

TEST(ThreadCacheRegistry, EmptyingReturnsTheBytesAndLeavesTheCachesForReuse) {
  CacheParts parts;
  ThreadCache* a = parts.acquire();
  ThreadCache* b = parts.acquire();
  ThreadCache* living = parts.acquire();
  fill(parts, *a, 10);
  fill(parts, *b, 20);
  fill(parts, *living, 30);
  const size_t held = a->object_count(kClass) + b->object_count(kClass);
  const size_t living_held = living->object_count(kClass);
  parts.registry.release(a, Contents::kKept);
  parts.registry.release(b, Contents::kKept);
  EXPECT_EQ(parts.registry.empty_warm(parts.centrals, parts.sentinels), held * 64);
  EXPECT_EQ(a->object_count(kClass), 0u);
  EXPECT_EQ(b->object_count(kClass), 0u);
  EXPECT_EQ(living->object_count(kClass), living_held);
  EXPECT_EQ(parts.registry.empty_warm(parts.centrals, parts.sentinels), 0u);
  EXPECT_NE(parts.acquire(), nullptr);
  EXPECT_EQ(parts.registry.cache_count(), 3u);
  parts.registry.check_invariants();
}

TEST(ThreadCacheRegistry, AfterAForkAllCachesButOneWaitForNewThreads) {
  CacheParts parts;
  ThreadCache* mine = parts.acquire();
  ThreadCache* lost = nullptr;
  std::thread([&] { lost = parts.acquire(); }).join();
  ThreadCache* waiting = parts.acquire();
  ThreadCache* emptied = parts.acquire();
  fill(parts, *lost, 10);
  parts.registry.release(waiting, Contents::kKept);
  parts.registry.release(emptied, Contents::kEmptied);
  parts.registry.orphan_all_but(mine, ThreadCacheRegistry::WaitingLists::kWhole);
  parts.registry.check_invariants();
  std::set<ThreadCache*> reused;
  for (int count = 0; count < 3; ++count) reused.insert(parts.acquire());
  EXPECT_EQ(reused, (std::set<ThreadCache*>{lost, waiting, emptied}));
  EXPECT_EQ(parts.registry.cache_count(), 4u);
}

// As when a handler forks that has interrupted the end of a thread, or the emptying of caches.
TEST(ThreadCacheRegistry, LeavesToTheForkingThreadWhatItHasInItsHands) {
  CacheParts parts;
  ThreadCache* mine = parts.acquire();
  ThreadCache* in_hands = parts.acquire();
  ThreadCache* lost = nullptr;
  std::thread([&] { lost = parts.acquire(); }).join();
  parts.registry.orphan_all_but(mine, ThreadCacheRegistry::WaitingLists::kWhole);
  EXPECT_EQ(parts.acquire(), lost);
  ThreadCache* made = parts.acquire();
  EXPECT_NE(made, in_hands);
  parts.registry.release(in_hands, Contents::kEmptied);
  parts.registry.release(made, Contents::kKept);
  parts.registry.check_invariants();
  EXPECT_EQ(parts.acquire(), made);
  EXPECT_EQ(parts.acquire(), in_hands);
}

// A thread that fills its cache and ends without detaching it.
ThreadCache* leave_cache(CacheParts& parts) {
  static CacheSlot slot{nullptr};
  ThreadCache* left = nullptr;
  std::thread([&] {
    left = parts.acquire();
    fill(parts, *left, 10);
    slot = left;
    left->owner().attach(&slot, platform::kernel_thread_id());
  }).join();
  return left;
}

// A thread that was joined may still be there for a moment.
bool is_taken_back(CacheParts& parts, ThreadCache& cache) {
  for (int round = 0; round < 10000; ++round) {
    if (parts.registry.take_back_if_ended(cache)) return true;
    platform::sleep_ns(100'000);
  }
  return false;
}

TEST(ThreadCacheRegistry, TakesBackWhatAThreadHasLeft) {
  CacheParts parts;
  ThreadCache* left = leave_cache(parts);
  const size_t held = left->object_count(kClass);
  ASSERT_TRUE(is_taken_back(parts, *left));
  EXPECT_FALSE(parts.registry.take_back_if_ended(*left)) << "once";
  parts.registry.check_invariants();
  EXPECT_EQ(parts.registry.take_unseen_ends(), 1u);
  EXPECT_EQ(parts.registry.take_unseen_ends(), 0u);
  EXPECT_EQ(parts.acquire(), left);
  EXPECT_EQ(left->object_count(kClass), held);
  EXPECT_FALSE(left->owner().try_borrow(left, &empty_thread_cache)) << "it has no owner";
  left->check_invariants(parts.page_map.class_map());
}

TEST(ThreadCacheRegistry, LeavesAloneWhatIsOfLivingThreadsOrOfUnknownOnes) {
  CacheParts parts;
  ThreadCache* living = parts.acquire();
  ThreadCache* unknown = parts.acquire();
  ThreadCache* waiting = parts.acquire();
  static CacheSlot slot{nullptr};
  slot = living;
  living->owner().attach(&slot, platform::kernel_thread_id());
  parts.registry.release(waiting, Contents::kKept);
  EXPECT_FALSE(parts.registry.take_back_if_ended(*living));
  EXPECT_FALSE(parts.registry.take_back_if_ended(*unknown));
  EXPECT_FALSE(parts.registry.take_back_if_ended(*waiting));
  ThreadCache* left = leave_cache(parts);
  // As while another thread works on it.
  ASSERT_TRUE(left == waiting);
  slot = living;
  ASSERT_TRUE(living->owner().try_borrow(living, &empty_thread_cache));
  EXPECT_FALSE(parts.registry.take_back_if_ended(*living));
  living->owner().give_back(living, &empty_thread_cache);
  living->owner().detach();
  parts.registry.check_invariants();
}

TEST(ThreadCacheRegistry, VisitsEveryCacheUntilToldToStop) {
  CacheParts parts;
  std::set<const ThreadCache*> expected;
  for (int count = 0; count < 5; ++count) expected.insert(parts.acquire());
  std::set<const ThreadCache*> seen;
  parts.registry.for_each([&](const ThreadCache& cache) {
    seen.insert(&cache);
    return true;
  });
  EXPECT_EQ(seen, expected);
  int visits = 0;
  parts.registry.for_each([&](const ThreadCache&) { return ++visits < 2; });
  EXPECT_EQ(visits, 2);
}

TEST(ThreadCacheRegistry, ThreadsStartAndEndWhileCachesAreVisited) {
  CacheParts parts;
  ThreadCache* first = parts.acquire();
  size_t visits = 0;
  parts.registry.for_each([&](const ThreadCache&) {
    ++visits;
    parts.registry.release(first, Contents::kKept);
    return parts.acquire() == first;
  });
  EXPECT_EQ(visits, 1u);
}

TEST(ThreadCacheRegistry, ThreadsComeAndGoWithWorkInBetween) {
  CacheParts parts;
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&] {
      for (int life = 0; life < 50; ++life) {
        ThreadCache* cache = parts.acquire();
        ASSERT_NE(cache, nullptr);
        fill(parts, *cache, 300);
        if (parts.registry.has_enough_warm()) {
          parts.centrals.for_each([&](const CentralList& central, SizeClass size_class) {
            cache->flush(size_class, central, parts.sentinels, ThreadCache::FlushTo::kDepot);
          });
          parts.registry.release(cache, Contents::kEmptied);
        } else {
          parts.registry.release(cache, Contents::kKept);
        }
        if (life % 10 == 0) parts.registry.empty_warm(parts.centrals, parts.sentinels);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(parts.registry.cache_count(), 9u);
  parts.registry.check_invariants();
  parts.registry.empty_warm(parts.centrals, parts.sentinels);
  parts.centrals[kClass].drain_depot(0, kTestKey);
  EXPECT_EQ(parts.page_heap.in_use_bytes(), 0u);
}

}  // namespace
}  // namespace spanmalloc
