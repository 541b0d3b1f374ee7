#include "central/depot.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spanmalloc {
namespace {

// A depot never looks into its magazines.
Magazine magazine(size_t number, size_t count = 8) {
  return {reinterpret_cast<FreeNode*>(number * 16), count};
}

struct TestDepot {
  MetadataArena arena;
  Depot depot;

  bool put(Magazine magazine) { return depot.put(magazine, arena); }
};

TEST(Depot, AnEmptyDepotGivesAnEmptyMagazine) {
  TestDepot test;
  EXPECT_EQ(test.depot.take().top, nullptr);
  EXPECT_EQ(test.depot.magazine_count(), 0u);
  test.depot.check_invariants();
}

TEST(Depot, MagazinesComeBackLastInFirstOut) {
  TestDepot test;
  for (size_t number = 1; number <= 100; ++number) {
    ASSERT_TRUE(test.put(magazine(number, number)));
    test.depot.check_invariants();
  }
  for (size_t number = 100; number >= 1; --number) {
    const Magazine taken = test.depot.take();
    EXPECT_EQ(taken.top, magazine(number).top);
    EXPECT_EQ(taken.count, number);
    test.depot.check_invariants();
  }
  EXPECT_EQ(test.depot.take().top, nullptr);
}

TEST(Depot, CountsMagazinesAndObjects) {
  TestDepot test;
  ASSERT_TRUE(test.put(magazine(1, 10)));
  ASSERT_TRUE(test.put(magazine(2, 5)));
  EXPECT_EQ(test.depot.magazine_count(), 2u);
  EXPECT_EQ(test.depot.object_count(), 15u);
  (void)test.depot.take();
  EXPECT_EQ(test.depot.object_count(), 10u);
}

TEST(Depot, IdleMagazinesAreTakenOneByOneAndNoOthers) {
  TestDepot test;
  for (size_t number = 1; number <= 8; ++number) ASSERT_TRUE(test.put(magazine(number)));
  EXPECT_EQ(test.depot.take_idle().top, nullptr) << "they came in this epoch";
  test.depot.start_epoch();
  for (int round = 0; round < 3; ++round) (void)test.depot.take();
  for (size_t number = 6; number <= 8; ++number) ASSERT_TRUE(test.put(magazine(number)));
  for (size_t idle = 5; idle > 0; --idle) {
    EXPECT_EQ(test.depot.idle_magazines(), idle);
    EXPECT_NE(test.depot.take_idle().top, nullptr);
    test.depot.check_invariants();
  }
  EXPECT_EQ(test.depot.take_idle().top, nullptr);
  EXPECT_EQ(test.depot.magazine_count(), 3u);
}

TEST(Depot, IdleMagazinesAreTheFewestThatLayHereInTheEpoch) {
  TestDepot test;
  for (size_t number = 1; number <= 5; ++number) ASSERT_TRUE(test.put(magazine(number)));
  test.depot.start_epoch();
  EXPECT_EQ(test.depot.idle_magazines(), 5u);
  for (int round = 0; round < 3; ++round) (void)test.depot.take();
  for (size_t number = 6; number <= 9; ++number) ASSERT_TRUE(test.put(magazine(number)));
  EXPECT_EQ(test.depot.idle_magazines(), 2u);
  test.depot.start_epoch();
  EXPECT_EQ(test.depot.idle_magazines(), 6u);
}

TEST(Depot, WhatCameInTheFirstEpochIsNotIdle) {
  TestDepot test;
  ASSERT_TRUE(test.put(magazine(1)));
  EXPECT_EQ(test.depot.idle_magazines(), 0u);
}

TEST(Depot, VisitsTheLastMagazineFirstUntilToldToStop) {
  TestDepot test;
  for (size_t number = 1; number <= 70; ++number) ASSERT_TRUE(test.put(magazine(number)));
  size_t expected = 70;
  test.depot.for_each([&](const Magazine& seen) {
    EXPECT_EQ(seen.top, magazine(expected).top);
    return --expected > 20;
  });
  EXPECT_EQ(expected, 20u);
}

TEST(Depot, ReusesItsBlocks) {
  TestDepot test;
  for (int round = 0; round < 100; ++round) {
    for (size_t number = 1; number <= 40; ++number) ASSERT_TRUE(test.put(magazine(number)));
    while (test.depot.take().top != nullptr) {
    }
  }
  EXPECT_LE(test.arena.used_bytes(), 2048u);
}

TEST(Depot, AgreesWithAVectorUnderRandomUse) {
  TestDepot test;
  std::mt19937_64 random(4);
  std::vector<Magazine> model;
  size_t fewest = 0;
  for (size_t round = 1; round < 20000; ++round) {
    switch (random() % 8) {
      case 0:
        test.depot.start_epoch();
        fewest = model.size();
        break;
      case 1:
      case 2:
      case 3:
        ASSERT_EQ(test.depot.take().top, model.empty() ? nullptr : model.back().top);
        if (!model.empty()) model.pop_back();
        fewest = std::min(fewest, model.size());
        break;
      default:
        if (model.size() < 200) {
          model.push_back(magazine(round, random() % 512));
          ASSERT_TRUE(test.put(model.back()));
        }
    }
    ASSERT_EQ(test.depot.magazine_count(), model.size());
    ASSERT_EQ(test.depot.idle_magazines(), fewest);
  }
  test.depot.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
