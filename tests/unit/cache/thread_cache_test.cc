#include "cache/thread_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <set>
#include <vector>

#include "platform/virtual_memory.h"
#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::address_of;
using testing::CacheParts;
using testing::claim_objects;
using testing::kTestKey;

using Fixture = testing::OneCache;

const SizeClass kClass = Fixture::kClass;
const size_t kCapacity = kSizeClasses[kClass].magazine_capacity;

TEST(EmptyThreadCache, IsBothEmptyAndFullInEveryClass) {
  EXPECT_EQ(current_cache(), &empty_thread_cache);
  for (size_t index = 0; index < kSizeClassCount; ++index) {
    const FreeNode* head = empty_thread_cache.head(static_cast<SizeClass>(index));
    EXPECT_TRUE(FreeNode::is_end(head->next(empty_thread_cache.key())));
    EXPECT_EQ(head->room(), 0u);
  }
}

// As pages of blocks that the owner has let go of, once they are a guard.
TEST(ThreadCache, WhereListsAreNotedNobodyElseLooksIntoABlock) {
  Fixture test;
  test.cache.note_lists(kClass);
  const std::vector<FreeNode*> objects = test.take_many(kCapacity + kCapacity / 2);
  for (FreeNode* object : objects) {
    test.give(object);
    test.cache.note_lists(kClass);
  }
  test.check();
  size_t expected = 0;
  for (FreeNode* object : objects) {
    expected += test.cache.holds(kClass, address_of(object), test.page_map.class_map()) ? 1 : 0;
  }
  EXPECT_EQ(expected, 0u) << "of the lists, others learn nothing";
  const size_t in_spans = test.centrals[kClass].stats().free_bytes;
  const size_t in_depot = test.centrals[kClass].depot_bytes();
  expected = test.centrals[kClass].stats().objects * 64 - in_spans - in_depot;
  const PageRange pages{test.source.all().first, test.source.handed_out()};
  ASSERT_TRUE(platform::make_inaccessible(test.source.window().address(pages.first),
                                          pages.count.bytes().value));
  EXPECT_EQ(test.cache.held_bytes(), expected);
  EXPECT_EQ(test.cache.object_count(kClass), expected / 64);
  EXPECT_FALSE(test.cache.holds(kClass, address_of(objects[3]), test.page_map.class_map()));
}

TEST(ThreadCache, NotesFollowTheLists) {
  Fixture test;
  std::mt19937 random(4);
  // What lies in the lists before the first note counts as well.
  std::vector<FreeNode*> owned = test.take_many(100);
  for (; owned.size() > 50; owned.pop_back()) test.give(owned.back());
  test.cache.note_lists(kClass);
  for (int round = 0; round < 20000; ++round) {
    const bool takes = owned.empty() || random() % 1000 < (round / 2000 % 2 == 0 ? 700u : 300u);
    if (takes) {
      owned.push_back(test.take());
    } else {
      test.give(owned.back());
      owned.pop_back();
    }
    test.cache.note_lists(kClass);
    if (round % 100 == 0) test.check();
    if (round % 3000 == 0) {
      test.cache.flush(kClass, test.centrals[kClass], test.sentinels, ThreadCache::FlushTo::kSpans);
      EXPECT_EQ(test.cache.object_count(kClass), 0u);
      test.check();
    }
    if (round % 5000 == 0) {
      test.cache.note_orphaned();
      test.cache.repair_if_orphaned();
      test.check();
    }
  }
}

TEST(ThreadCache, ANewCacheHoldsNothing) {
  Fixture test;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    EXPECT_EQ(test.cache.object_count(static_cast<SizeClass>(index)), 0u);
  }
  EXPECT_EQ(test.cache.head(kNoSizeClass)->room(), 0u) << "class 0 leaves the hot path";
  test.check();
}

TEST(ThreadCache, WithoutAClaimAndADepotTheReserveIsEmpty) {
  Fixture test;
  MemoryContent content;
  EXPECT_EQ(
      test.cache.allocate_from_reserve(kClass, test.centrals[kClass], test.sentinels, &content),
      nullptr);
}

TEST(ThreadCache, AClaimIsHandedOutInItsOrderAndKnownZero) {
  Fixture test;
  Claim expected = test.centrals[kClass].claim(Growth::kAllowed);
  test.cache.accept(kClass, expected);
  const size_t claimed = static_cast<size_t>(std::popcount(expected.bits));
  EXPECT_EQ(test.cache.object_count(kClass), claimed);
  for (size_t count = 0; count < claimed; ++count) {
    MemoryContent content = MemoryContent::kUnknown;
    void* object =
        test.cache.allocate_from_reserve(kClass, test.centrals[kClass], test.sentinels, &content);
    ASSERT_NE(object, nullptr);
    EXPECT_EQ(content, MemoryContent::kZero);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(object),
              expected.take(kSizeClasses[kClass].object_bytes));
  }
  EXPECT_EQ(test.cache.object_count(kClass), 0u);
}

// A thread that uses little of a class claims little of it.
TEST(ThreadCache, ClaimsGrowUntilAListOverflows) {
  Fixture test;
  const SizeClass size_class = size_class_of(512);
  const CentralList central = test.centrals[size_class];
  std::vector<FreeNode*> objects;
  std::vector<size_t> limits;
  for (int claim = 0; claim < 4; ++claim) {
    limits.push_back(test.cache.claim_limit(size_class));
    test.cache.accept(size_class, central.claim(Growth::kAllowed, limits.back()));
    EXPECT_LE(test.cache.object_count(size_class), limits.back());
    while (test.cache.has_claim(size_class)) {
      objects.push_back(test.allocate(test.cache, size_class));
    }
  }
  EXPECT_EQ(limits, (std::vector<size_t>{16, 32, 64, 64}));
  for (FreeNode* object : objects) test.deallocate(test.cache, size_class, object);
  EXPECT_EQ(test.cache.claim_limit(size_class), 16u);
  test.check();
}

TEST(ThreadCache, EveryClaimHasFourObjectsWhereTheClassAllowsThem) {
  Fixture test;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClassInfo& info = kSizeClasses[index];
    const size_t limit = test.cache.claim_limit(static_cast<SizeClass>(index));
    EXPECT_GE(limit, std::min<size_t>(info.claim_limit, 4)) << info.object_bytes;
    EXPECT_LE(limit, info.claim_limit) << info.object_bytes;
    EXPECT_LE(limit * info.object_bytes, std::max<size_t>(size_t{8} << 10, 4 * info.object_bytes));
  }
}

TEST(ThreadCache, TheBlockFreedLastComesFirst) {
  Fixture test;
  const std::vector<FreeNode*> objects = test.take_many(20);
  test.give_all(objects);
  for (size_t index = objects.size(); index > 0; --index) {
    ASSERT_EQ(test.take(), objects[index - 1]);
  }
}

TEST(ThreadCache, ABlockHandedOutHasNoSeal) {
  Fixture test;
  for (FreeNode* object : test.take_many(3 * kCapacity)) {
    EXPECT_FALSE(object->has_mark_of(kTestKey.mark));
    test.give(object);
    EXPECT_TRUE(object->has_mark_of(kTestKey.mark));
  }
  for (FreeNode* object : test.take_many(3 * kCapacity)) {
    EXPECT_FALSE(object->has_mark_of(kTestKey.mark));
  }
}

TEST(ThreadCache, ABlockFromASpanThatWasUsedBeforeHasNoSealEither) {
  Fixture test;
  FreeNode* kept = test.take();
  test.give_all(test.take_many(200));
  test.cache.flush(kClass, test.centrals[kClass], test.sentinels, ThreadCache::FlushTo::kSpans);
  for (FreeNode* object : test.take_many(150)) {
    EXPECT_FALSE(object->has_mark_of(kTestKey.mark));
  }
  test.give(kept);
}

TEST(ThreadCache, ListsGrowWithTheirUseAndTheRestGoesToTheDepot) {
  Fixture test;
  const std::vector<FreeNode*> objects = test.take_many(6 * kCapacity);
  const size_t claimed = test.cache.object_count(kClass);
  EXPECT_EQ(test.cache.head(kClass)->room(), 0u) << "nothing was given yet";
  size_t given = 0;
  for (FreeNode* object : objects) {
    test.give(object);
    ++given;
    if (given == 1) {
      EXPECT_EQ(test.cache.head(kClass)->room(), SentinelTable::capacity(kClass, 0) - 1);
    }
    ASSERT_EQ(test.cache.object_count(kClass) - claimed + test.centrals[kClass].depot_bytes() / 64,
              given);
    ASSERT_LE(test.cache.object_count(kClass), 2 * kCapacity + claimed);
    test.check();
  }
  EXPECT_GE(test.centrals[kClass].depot_bytes() / 64, 3 * kCapacity);
}

TEST(ThreadCache, OnceTheDepotIsFullTheListThatWasFilledLastGoesToItsSpans) {
  Fixture test;
  const CentralList central = test.centrals[kClass];
  const std::vector<FreeNode*> objects = test.take_many(80'000);
  size_t given = 0;
  while (!central.depot_is_full()) test.give(objects[given++]);
  const size_t free_bytes = central.stats().free_bytes;
  const size_t in_use = test.page_heap.in_use_bytes();
  while (central.stats().free_bytes == free_bytes && test.page_heap.in_use_bytes() == in_use) {
    test.give(objects[given++]);
  }
  const auto lies_in_its_span = [&](const FreeNode* object) {
    const Span* span = test.page_map.find(address_of(object));
    return span == nullptr || span->is_free_object(address_of(object));
  };
  // The last call made room for itself.
  EXPECT_TRUE(lies_in_its_span(objects[given - 2]));
  EXPECT_TRUE(lies_in_its_span(objects[given - 1 - kCapacity]));
  EXPECT_FALSE(lies_in_its_span(objects[given - 2 - kCapacity])) << "the spare list";
  EXPECT_FALSE(lies_in_its_span(objects[given - 1]));
  test.check();
}

TEST(ThreadCache, AProgramAtTheEdgeOfAListDoesNotTradeWithTheDepot) {
  Fixture test;
  const std::vector<FreeNode*> objects = test.take_many(6 * kCapacity);
  test.give_all(objects);
  // Now both lists are about full. Whatever their edge, a few steps stay in the cache.
  (void)test.take_many(kCapacity / 2);
  const size_t depot = test.centrals[kClass].depot_bytes();
  for (int round = 0; round < 100; ++round) test.give_all(test.take_many(kCapacity / 4));
  EXPECT_EQ(test.centrals[kClass].depot_bytes(), depot);
  test.check();
}

TEST(ThreadCache, AnEmptySpareTakesTheFullHeadsPlaceIfANewListWouldBeTheSame) {
  Fixture test;
  const size_t length = SentinelTable::capacity(kClass, 0);
  const auto exchange = [&] { return test.cache.exchange_for_empty_spare(kClass, test.sentinels); };
  EXPECT_FALSE(exchange()) << "the class has no lists yet";
  std::vector<FreeNode*> objects = test.take_many(2 * length);
  while (test.cache.has_claim(kClass)) objects.push_back(test.take());
  for (size_t index = 0; index < 2 * length; ++index) test.give(objects[index]);
  EXPECT_FALSE(exchange()) << "the spare list is full";
  // The spare list becomes the head and leaves an empty one behind; then it is full again.
  objects = test.take_many(length + 1);
  test.give(objects.back());
  EXPECT_EQ(test.cache.head(kClass)->room(), 0u);
  EXPECT_FALSE(test.cache.has_spare(kClass));
  EXPECT_TRUE(exchange());
  EXPECT_EQ(test.cache.head(kClass)->room(), length) << "the empty list is the head";
  EXPECT_TRUE(test.cache.has_spare(kClass));
  EXPECT_EQ(test.cache.object_count(kClass), length);
  test.check();
}

TEST(ThreadCache, FullMagazinesOfOneCacheServeAnother) {
  Fixture test;
  ThreadCache& other = *test.acquire();
  const std::vector<FreeNode*> objects = test.take_many(6 * kCapacity);
  test.give_all(objects);
  const size_t depot = test.centrals[kClass].depot_bytes();
  ASSERT_GT(depot, 0u);
  const std::set<FreeNode*> known(objects.begin(), objects.end());
  for (size_t count = 0; count < depot / 64; ++count) {
    ASSERT_TRUE(known.count(test.allocate(other, kClass)) == 1) << "a fresh one in spite of depots";
  }
  EXPECT_EQ(test.centrals[kClass].depot_bytes(), 0u);
  other.check_invariants(test.page_map.class_map());
}

TEST(ThreadCache, FlushIntoSpansLeavesNothing) {
  Fixture test;
  test.give_all(test.take_many(5 * kCapacity));
  test.cache.flush(kClass, test.centrals[kClass], test.sentinels, ThreadCache::FlushTo::kSpans);
  EXPECT_EQ(test.cache.object_count(kClass), 0u);
  EXPECT_EQ(test.cache.head(kClass)->room(), 0u) << "as in a new cache";
  test.centrals[kClass].drain_depot(0, kTestKey);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
  test.check();
}

TEST(ThreadCache, FlushIntoTheDepotKeepsMagazinesWhole) {
  Fixture test;
  test.give_all(test.take_many(kCapacity));
  const size_t held = test.cache.object_count(kClass);
  ASSERT_GT(held, 0u);
  test.cache.flush(kClass, test.centrals[kClass], test.sentinels, ThreadCache::FlushTo::kDepot);
  EXPECT_EQ(test.cache.object_count(kClass), 0u);
  EXPECT_GT(test.centrals[kClass].depot_bytes(), 0u);
  test.check();
}

TEST(ThreadCache, FlushOfAnEmptyCacheDoesNothing) {
  Fixture test;
  for (const auto to : {ThreadCache::FlushTo::kDepot, ThreadCache::FlushTo::kSpans}) {
    test.cache.flush(kClass, test.centrals[kClass], test.sentinels, to);
  }
  EXPECT_EQ(test.source.grow_calls(), 0u);
  test.check();
}

TEST(ThreadCache, HoldsExactlyWhatLiesInItsListsAndItsClaim) {
  Fixture test;
  const ClassMap& map = test.page_map.class_map();
  const std::vector<FreeNode*> objects = test.take_many(2 * kCapacity);
  for (FreeNode* object : objects) {
    ASSERT_FALSE(test.cache.holds(kClass, address_of(object), map));
  }
  const std::vector<FreeNode*> given(objects.begin(), objects.begin() + 20);
  test.give_all(given);
  for (FreeNode* object : objects) {
    const bool expected = std::find(given.begin(), given.end(), object) != given.end();
    ASSERT_EQ(test.cache.holds(kClass, address_of(object), map), expected);
  }
  EXPECT_FALSE(test.cache.holds(kClass, 0, map));
  EXPECT_FALSE(test.cache.holds(kClass, UINTPTR_MAX, map));
  // The rest of a claim.
  (void)test.take_many(20);
  FreeNode* first = nullptr;
  while (first == nullptr || test.cache.object_count(kClass) == 0) first = test.take();
  const uintptr_t next = address_of(first) + 64;
  EXPECT_TRUE(test.cache.holds(kClass, next, map));
}

TEST(ThreadCache, AgreesWithAModelUnderRandomUse) {
  for (const size_t bytes : {size_t{16}, size_t{320}, size_t{5120}, size_t{32768}}) {
    const SizeClass size_class = size_class_of(bytes);
    CacheParts parts;
    ThreadCache& cache = *parts.acquire();
    std::mt19937_64 random(bytes);
    std::vector<FreeNode*> owned;
    std::set<FreeNode*> live;
    for (int round = 0; round < 20000; ++round) {
      const bool grow = round / 2000 % 2 == 0 ? random() % 3 != 0 : random() % 3 == 0;
      if (grow && live.size() < 600) {
        FreeNode* object = parts.allocate(cache, size_class);
        ASSERT_NE(object, nullptr);
        ASSERT_TRUE(live.insert(object).second);
        owned.push_back(object);
        object->link = object->seal = random();
      } else if (!owned.empty()) {
        std::swap(owned[random() % owned.size()], owned.back());
        live.erase(owned.back());
        parts.deallocate(cache, size_class, owned.back());
        owned.pop_back();
      }
      if (round % 100 == 0) {
        cache.check_invariants(parts.page_map.class_map());
        parts.centrals[size_class].check_invariants();
        const CentralStats stats = parts.centrals[size_class].stats();
        const size_t object_bytes = kSizeClasses[size_class].object_bytes;
        ASSERT_EQ(stats.objects * object_bytes,
                  (live.size() + cache.object_count(size_class)) * object_bytes +
                      stats.depot_bytes + stats.free_bytes);
      }
      if (round % 5000 == 4999) {
        cache.flush(size_class, parts.centrals[size_class], parts.sentinels,
                    ThreadCache::FlushTo::kSpans);
      }
    }
  }
}

TEST(ThreadCacheDeathTest, AListWithABlockOfAnotherClassIsAFault) {
  Fixture test;
  const SizeClass other = size_class_of(128);
  test.give(claim_objects(test.centrals[other], other, 1).front());
  EXPECT_DEATH(test.check(), "a list has a block of another class");
}

TEST(ThreadCacheDeathTest, ABlockThatItsSpanHandsOutWithoutItsSealIsAFault) {
  Fixture test;
  FreeNode* kept = test.take();
  const std::vector<FreeNode*> objects = test.take_many(200);
  test.give_all(objects);
  test.cache.flush(kClass, test.centrals[kClass], test.sentinels, ThreadCache::FlushTo::kSpans);
  // As one that was freed once more, and has its new owner out of a list.
  objects[100]->remove_seal();
  EXPECT_DEATH(test.take_many(200), "malloc\\(0x[0-9a-f]+\\): a free 64-byte block was written to");
  test.give(kept);
}

TEST(ThreadCache, AChangeOfTheCheckGoesForAllListsAndForThoseOfOtherThreads) {
  Fixture test;
  constexpr SizeClass kOther = size_class_of(300);
  std::vector<FreeNode*> others;
  while (others.size() < 10) others.push_back(test.take(kOther));
  for (FreeNode* object : others) test.give(object, kOther);
  // Of two lists and on all levels.
  const std::vector<FreeNode*> objects = test.take_many(8 * kCapacity);
  test.give_all(objects);
  ASSERT_TRUE(test.cache.has_spare(kClass));
  const size_t held = test.cache.held_bytes();
  FreeNode* top = test.cache.head(kClass);
  const size_t room = top->room();
  test.cache.change_seal_check(SealCheck::kDeferred, test.centrals, test.sentinels);
  EXPECT_EQ(test.cache.seal_check(), SealCheck::kDeferred);
  EXPECT_EQ(test.cache.head(kClass), top) << "in the order in which they were";
  EXPECT_EQ(top->room(), room);
  EXPECT_EQ(test.cache.held_bytes(), held);
  EXPECT_EQ(test.cache.head(kOther)->seal_check(), SealCheck::kDeferred);
  test.check();
  // Each list that malloc empties leaves an end with the new check behind.
  for (size_t left = test.cache.object_count(kClass); left > 0; --left) {
    EXPECT_EQ(test.cache.object_count(kClass), left);
    EXPECT_EQ(test.cache.head(kClass)->seal_check(), SealCheck::kDeferred);
    test.take();
  }

  // What another thread handed over before.
  ThreadCache& before = *test.acquire();
  std::vector<FreeNode*> more;
  for (size_t count = 0; count < 12 * kCapacity; ++count) {
    more.push_back(test.allocate(before, kClass));
  }
  test.CacheParts::check = SealCheck::kAtFree;
  for (FreeNode* object : more) test.deallocate(before, kClass, object);
  ASSERT_GT(test.centrals[kClass].depot_bytes(), 0u);
  while (test.cache.has_claim(kClass)) test.take();
  test.take();
  EXPECT_GT(test.cache.object_count(kClass), 0u) << "a magazine of the depot";
  EXPECT_EQ(test.cache.head(kClass)->seal_check(), SealCheck::kDeferred);
  test.check();
}

TEST(ThreadCacheDeathTest, AChangeOfTheCheckMeetsBlocksThatWereWrittenTo) {
  Fixture test;
  const std::vector<FreeNode*> objects = test.take_many(3);
  test.give_all(objects);
  objects[1]->seal = 0;
  EXPECT_DEATH(test.cache.change_seal_check(SealCheck::kDeferred, test.centrals, test.sentinels),
               "malloc\\(0x[0-9a-f]+\\): a free 64-byte block was written to after its free, or "
               "freed twice");
}

TEST(ThreadCache, ListsThatGrowKeepTheirBlocks) {
  Fixture test;
  const size_t length = SentinelTable::capacity(kClass, 0);
  std::vector<FreeNode*> objects = test.take_many(2 * length + 1);
  while (test.cache.has_claim(kClass)) test.take();
  test.give_all(objects);
  EXPECT_EQ(test.centrals[kClass].depot_bytes(), 0u) << "no other thread gets one";
  EXPECT_EQ(test.cache.object_count(kClass), objects.size());
  EXPECT_EQ(test.cache.head(kClass)->room(), SentinelTable::capacity(kClass, 1) - length - 1);
  test.check();
  // The one that was freed last is handed out first.
  while (objects.size() > length) {
    EXPECT_EQ(test.take(), objects.back());
    objects.pop_back();
  }
}

TEST(ThreadCache, ListsMadeAfterAChangeOfTheCheckHaveTheNewOne) {
  Fixture test;
  std::vector<FreeNode*> objects = test.take_many(8 * kCapacity);
  test.give(objects.back());
  objects.pop_back();
  EXPECT_EQ(test.cache.head(kClass)->seal_check(), SealCheck::kAtFree);
  for (const SealCheck check : {SealCheck::kDeferred, SealCheck::kAtFree, SealCheck::kDeferred}) {
    test.CacheParts::check = check;
    for (size_t given = 0; given < 2 * kCapacity; ++given) {
      test.give(objects.back());
      objects.pop_back();
    }
    EXPECT_EQ(test.cache.head(kClass)->seal_check(), check);
    test.check();
  }
}

TEST(ThreadCache, ListsStayShortWithoutABudget) {
  Fixture test;
  test.cache_budget = 0;
  const std::vector<FreeNode*> objects = test.take_many(8 * kCapacity);
  test.give_all(objects);
  EXPECT_LE(test.cache.object_count(kClass), 2 * SentinelTable::capacity(kClass, 0));
  test.check();

  Fixture other;
  other.give_all(other.take_many(8 * kCapacity));
  EXPECT_GT(other.cache.object_count(kClass), kCapacity);
}

}  // namespace
}  // namespace spanmalloc
