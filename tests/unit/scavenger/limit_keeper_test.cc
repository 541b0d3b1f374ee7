#include "scavenger/limit_keeper.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "support/cache_parts.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;
using testing::claim_objects;
using testing::drain_objects;
using testing::kTestKey;
using testing::make_magazine;

constexpr size_t kMiB = size_t{1} << 20;
const SizeClass kClass = size_class_of(1024);

struct Fixture : CacheParts {
  ~Fixture() {
    centrals.for_each([](const CentralList& central, SizeClass) { central.check_invariants(); });
    page_heap.check_invariants();
    EXPECT_EQ(holes.open_loans(), 0u);
  }

  void set_limit(size_t bytes) { page_heap.limit().set_wanted({bytes}, LimitKind::kSoft); }
  std::vector<FreeNode*> take(size_t bytes) {
    return claim_objects(centrals[kClass], kClass, bytes / kSizeClasses[kClass].object_bytes);
  }
  // A magazine for the depot.
  void hand_over(size_t count) {
    centrals[kClass].put_magazine(
        make_magazine(claim_objects(centrals[kClass], kClass, count), &sentinel), kTestKey);
  }

  HoleReleaser holes{centrals, page_map, page_heap};
  LimitKeeper keeper{page_heap, centrals, holes, registry, sentinels};
  FreeNode sentinel{};
};

TEST(LimitKeeper, HasNothingToDoWithinTheLimit) {
  Fixture test;
  test.take(2 * kMiB);
  EXPECT_FALSE(test.keeper.should_reduce()) << "there is no limit";
  test.set_limit(4 * kMiB);
  EXPECT_FALSE(test.keeper.should_reduce());
  test.set_limit(kMiB);
  EXPECT_TRUE(test.keeper.should_reduce());
}

TEST(LimitKeeper, DepotsAndFreePagesSuffice) {
  Fixture test;
  test.hand_over(1000);
  drain_objects(test.centrals[kClass], test.take(8 * kMiB));
  test.set_limit(kMiB / 2);
  ASSERT_TRUE(test.keeper.should_reduce());
  EXPECT_TRUE(test.keeper.reduce(kTestKey));
  EXPECT_EQ(test.page_heap.excess_bytes(), 0u);
  EXPECT_EQ(test.centrals.depot_bytes(), 0u);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
}

TEST(LimitKeeper, GivesHolesOfSpansBackWhereFreePagesDoNotSuffice) {
  Fixture test;
  std::vector<FreeNode*> kept;
  std::vector<FreeNode*> freed;
  for (FreeNode* object : test.take(16 * kMiB)) {
    memset(static_cast<void*>(object), 0x5a, kSizeClasses[kClass].object_bytes);
    ((freed.size() + kept.size()) % 32 == 0 ? kept : freed).push_back(object);
  }
  drain_objects(test.centrals[kClass], freed);
  test.set_limit(6 * kMiB);
  EXPECT_TRUE(test.keeper.reduce(kTestKey));
  EXPECT_EQ(test.page_heap.excess_bytes(), 0u);
  // As much as was beyond the limit, not all that there is.
  EXPECT_GT(test.page_heap.hole_bytes(), 8 * kMiB);
  EXPECT_LT(test.page_heap.hole_bytes(), 14 * kMiB);
  for (const FreeNode* object : kept) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(object);
    ASSERT_TRUE(bytes[0] == 0x5a && bytes[kSizeClasses[kClass].object_bytes - 1] == 0x5a);
  }
}

TEST(LimitKeeper, WhereAllIsLiveTheNextAttemptWaitsForGrowthOrAnEpoch) {
  Fixture test;
  test.take(8 * kMiB);
  test.set_limit(2 * kMiB);
  ASSERT_TRUE(test.keeper.should_reduce());
  EXPECT_FALSE(test.keeper.reduce(kTestKey));
  EXPECT_FALSE(test.keeper.should_reduce());
  test.take(kMiB / 2);
  EXPECT_FALSE(test.keeper.should_reduce());
  test.take(kMiB);
  EXPECT_TRUE(test.keeper.should_reduce());
  EXPECT_FALSE(test.keeper.reduce(kTestKey));
  EXPECT_FALSE(test.keeper.should_reduce());
  test.keeper.start_epoch();
  EXPECT_TRUE(test.keeper.should_reduce());
}

TEST(LimitKeeper, EmptiesTheCachesOfThreadsThatHaveEnded) {
  Fixture test;
  ThreadCache* cache = test.acquire();
  ASSERT_NE(cache, nullptr);
  FreeNode* object = test.allocate(*cache, kClass);
  test.deallocate(*cache, kClass, object);
  const size_t held = cache->held_bytes();
  ASSERT_GT(held, 0u);
  test.registry.release(cache, ThreadCacheRegistry::Contents::kKept);
  EXPECT_EQ(test.keeper.drain(kTestKey), held);
  EXPECT_EQ(cache->held_bytes(), 0u);
}

}  // namespace
}  // namespace spanmalloc
