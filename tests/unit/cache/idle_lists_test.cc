// Lists that rest, and when they go back to their spans.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "cache/thread_cache.h"
#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

struct Fixture : testing::OneCache {
  // Handovers up to the next look.
  void look_at_handover() {
    for (int handovers = 0; handovers < 32; ++handovers) cache.note_handover(centrals, sentinels);
  }
};

const SizeClass kClass = Fixture::kClass;

TEST(IdleLists, ListsThatRestGoBackToTheirSpansAndOthersStay) {
  Fixture test;
  test.give_all(test.take_many(20));
  EXPECT_EQ(test.cache.flush_idle(test.centrals, test.sentinels), 0u) << "it was just used";
  const size_t resting = test.cache.object_count(kClass);
  EXPECT_GE(resting, 20u);
  FreeNode* object = test.take();
  EXPECT_EQ(test.cache.flush_idle(test.centrals, test.sentinels), 0u) << "it was used since";
  test.give(object);
  EXPECT_EQ(test.cache.flush_idle(test.centrals, test.sentinels), 0u);
  EXPECT_EQ(test.cache.flush_idle(test.centrals, test.sentinels),
            resting * kSizeClasses[kClass].object_bytes);
  EXPECT_EQ(test.cache.object_count(kClass), 0u);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u) << "the class's span is empty";
  test.give(test.take());
  test.check();
}

TEST(IdleLists, ListsThatCameAndWentDoNotRestThoughTheirHeadIsTheSame) {
  Fixture test;
  const size_t lists = 2 * SentinelTable::capacity(kClass, 0);
  const auto flush = [&] { return test.cache.flush_idle(test.centrals, test.sentinels); };
  const auto take_and_give = [&] {
    std::vector<FreeNode*> objects = test.take_many(lists);
    std::reverse(objects.begin(), objects.end());
    test.give_all(objects);
  };
  take_and_give();
  take_and_give();
  const FreeNode* head = test.cache.head(kClass);
  (void)flush();
  for (int round = 0; round < 3; ++round) {
    take_and_give();
    EXPECT_EQ(test.cache.head(kClass), head) << "what this test is about";
    EXPECT_EQ(flush(), 0u);
  }
  EXPECT_GT(flush(), 0u) << "nothing was used since";
  test.check();
}

TEST(IdleLists, AFlushIsEarnedByMoreRefillsThanItCauses) {
  Fixture test;
  const auto flush = [&] { return test.cache.flush_idle(test.centrals, test.sentinels); };
  const auto refill = [&](ThreadCache::FlushTo from) {
    test.give(test.take());
    test.cache.flush(kClass, test.centrals[kClass], test.sentinels, from);
  };
  EXPECT_FALSE(test.cache.has_earned_flush()) << "nothing was refilled";
  test.give(test.take());
  EXPECT_TRUE(test.cache.has_earned_flush());
  (void)flush();
  for (const auto from : {ThreadCache::FlushTo::kSpans, ThreadCache::FlushTo::kDepot}) {
    EXPECT_FALSE(test.cache.has_earned_flush()) << "nothing was refilled since";
    EXPECT_GT(flush(), 0u);
    int refills = 0;
    for (; !test.cache.has_earned_flush() && refills < 100; ++refills) refill(from);
    EXPECT_EQ(refills, 9);
    test.give(test.take());
    (void)flush();
  }
  EXPECT_GT(flush(), 0u);
  test.cache.forget_refills();
  refill(ThreadCache::FlushTo::kSpans);
  EXPECT_TRUE(test.cache.has_earned_flush()) << "the flush was another thread's";
}

TEST(IdleLists, AThreadThatHandsListsOverKeepsNoLargeBlocksThatRest) {
  for (const size_t bytes : {64, 8192, 12288, 16384, 24576, 65536, 131072}) {
    SCOPED_TRACE(bytes);
    Fixture test;
    const SizeClass size_class = size_class_of(bytes);
    FreeNode* first = test.take(size_class);
    FreeNode* second = test.take(size_class);
    test.give(first, size_class);
    test.give(second, size_class);
    test.look_at_handover();
    const size_t held = test.cache.object_count(size_class);
    EXPECT_GE(held, 2u) << "it was just used";
    test.give(test.take(size_class), size_class);
    test.give(test.take(), kClass);
    test.look_at_handover();
    EXPECT_EQ(test.cache.object_count(size_class) == 0, bytes >= 16384);
    test.check();
    test.centrals[size_class].check_invariants();
  }
}

TEST(IdleLists, OnlySomeHandoversLookForListsThatRest) {
  Fixture test;
  const SizeClass size_class = size_class_of(32768);
  test.give(test.take(size_class), size_class);
  test.look_at_handover();
  for (int handovers = 1; handovers < 32; ++handovers) {
    test.cache.note_handover(test.centrals, test.sentinels);
    EXPECT_GT(test.cache.object_count(size_class), 0u) << handovers;
  }
  test.cache.note_handover(test.centrals, test.sentinels);
  EXPECT_EQ(test.cache.object_count(size_class), 0u);
  EXPECT_EQ(test.page_heap.in_use_bytes(), 0u);
  test.give(test.take(size_class), size_class);
  test.check();
}

TEST(IdleLists, ALookThatFlushedManyClassesIsFollowedByOneLater) {
  Fixture test;
  std::vector<SizeClass> classes;
  for (size_t bytes = 16384; bytes <= 131072; bytes += bytes / 4) {
    classes.push_back(size_class_of(bytes));
  }
  ASSERT_GT(classes.size(), 5u);
  const auto use_all = [&] {
    for (const SizeClass each : classes) test.give(test.take(each), each);
  };
  use_all();
  test.look_at_handover();
  test.look_at_handover();
  for (const SizeClass each : classes) EXPECT_EQ(test.cache.object_count(each), 0u);
  use_all();
  const auto handovers_to_next_look = [&] {
    use_all();
    for (size_t handovers = 1;; ++handovers) {
      test.cache.note_handover(test.centrals, test.sentinels);
      if (test.cache.object_count(classes[0]) == 0 || handovers == 1000) return handovers;
    }
  };
  EXPECT_EQ(handovers_to_next_look(), 8 * classes.size() + 32) << "the first look finds new heads";
  test.check();
}

TEST(IdleLists, ALargeBlockInUseIsNoListThatRests) {
  Fixture test;
  const SizeClass size_class = size_class_of(65536);
  test.give(test.take(size_class), size_class);
  for (int look = 0; look < 10; ++look) {
    test.look_at_handover();
    EXPECT_GT(test.cache.object_count(size_class), 0u) << look;
    FreeNode* block = test.take(size_class);
    FreeNode* other = test.take(size_class);
    // So that the head is another one than at the last look.
    test.give(block, size_class);
    test.give(other, size_class);
  }
  test.check();
}

}  // namespace
}  // namespace spanmalloc
