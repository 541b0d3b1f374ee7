#include "scavenger/growth_payment.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "support/cache_parts.h"
#include "support/fake_clock.h"

namespace spanmalloc {
namespace {

using testing::CacheParts;
using testing::claim_objects;
using testing::drain_objects;
using testing::FakeClock;
using testing::kTestKey;
using testing::make_magazine;

constexpr size_t kMiB = size_t{1} << 20;

struct Fixture : CacheParts {
  Fixture() : CacheParts(512 * kMiB) {}

  void pay_if_due() {
    if (payment.is_due()) payment.pay(kTestKey, holes_are);
  }
  // Takes objects as malloc does, and pays as it does.
  std::vector<FreeNode*> grow(SizeClass size_class, size_t bytes) {
    std::vector<FreeNode*> objects;
    const size_t object_bytes = kSizeClasses[size_class].object_bytes;
    for (size_t taken = 0; taken < bytes; taken += 16 * object_bytes) {
      for (FreeNode* object : claim_objects(centrals[size_class], size_class, 16)) {
        memset(static_cast<void*>(object), 0x5a, object_bytes);
        objects.push_back(object);
      }
      pay_if_due();
    }
    return objects;
  }
  // Frees all but each `nth` object, which are returned.
  std::vector<FreeNode*> thin_out(SizeClass size_class, const std::vector<FreeNode*>& objects,
                                  size_t nth) {
    std::vector<FreeNode*> kept;
    std::vector<FreeNode*> freed;
    for (size_t index = 0; index < objects.size(); ++index) {
      (index % nth == 0 ? kept : freed).push_back(objects[index]);
    }
    drain_objects(centrals[size_class], freed);
    return kept;
  }
  void check() {
    centrals.for_each([](const CentralList& central, SizeClass) { central.check_invariants(); });
    page_heap.check_invariants();
    payment.check_invariants();
    EXPECT_EQ(holes.open_loans(), 0u);
  }

  GrowthPayment::Holes holes_are = GrowthPayment::Holes::kReleased;
  HoleReleaser holes{centrals, page_map, page_heap};
  FakeClock clock;
  GrowthPayment payment{page_heap, centrals, holes, clock};
};

const SizeClass kFirst = size_class_of(1024);
const SizeClass kSecond = size_class_of(3000);

TEST(GrowthPayment, HolesOfOneSizePayForGrowthInAnother) {
  Fixture test;
  const std::vector<FreeNode*> kept = test.thin_out(kFirst, test.grow(kFirst, 64 * kMiB), 16);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u) << "nothing goes before the heap grows again";
  const size_t before = test.page_heap.backed_bytes();
  const std::vector<FreeNode*> second = test.grow(kSecond, 40 * kMiB);
  // Two steps, what comes into use ahead, and what the records of one batch differ by.
  const size_t steps =
      2 * std::max(GrowthPayment::kLeastStep, before / GrowthPayment::kStepDivisor);
  EXPECT_LT(test.page_heap.backed_bytes(), before + 2 * steps);
  EXPECT_GT(test.page_heap.hole_bytes(), 24 * kMiB);
  for (const FreeNode* object : kept) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(object);
    ASSERT_TRUE(bytes[0] == 0x5a && bytes[kSizeClasses[kFirst].object_bytes - 1] == 0x5a);
  }
  test.check();
}

TEST(GrowthPayment, SmallHeapsKeepTheirHoles) {
  Fixture test;
  test.thin_out(kFirst, test.grow(kFirst, 2 * kMiB), 16);
  test.grow(kSecond, kMiB);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
  test.check();
}

TEST(GrowthPayment, FewHolesAreLeftAlone) {
  Fixture test;
  const SizeClass size_class = size_class_of(8192);
  // Each sixteenth object is a hole, all together less than a quarter of the heap.
  const std::vector<FreeNode*> objects = test.grow(size_class, 64 * kMiB);
  std::vector<FreeNode*> freed;
  for (size_t index = 0; index < objects.size(); index += 16) freed.push_back(objects[index]);
  drain_objects(test.centrals[size_class], freed);
  test.grow(kSecond, 40 * kMiB);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
  test.check();
}

TEST(GrowthPayment, OnlyNewHeightsAreSteps) {
  Fixture test;
  const std::vector<FreeNode*> objects = test.grow(kFirst, 64 * kMiB);
  const uint16_t epoch = test.centrals.epoch();
  EXPECT_GT(epoch, 4u);
  drain_objects(test.centrals[kFirst], objects);
  (void)test.page_heap.scavenge(Bytes{SIZE_MAX}, ScavengeMode::kForced);
  ASSERT_EQ(test.page_heap.backed_bytes(), 0u);
  const std::vector<FreeNode*> again = test.grow(kFirst, 60 * kMiB);
  EXPECT_EQ(test.centrals.epoch(), epoch);
  drain_objects(test.centrals[kFirst], again);
  (void)test.page_heap.scavenge(Bytes{SIZE_MAX}, ScavengeMode::kForced);
  for (size_t tick = 0; tick < PeakWindow::kEpochs; ++tick) test.payment.end_epoch();
  const std::vector<FreeNode*> fourth = test.grow(kFirst, 20 * kMiB);
  EXPECT_EQ(test.centrals.epoch(), epoch) << "the height is not long past";
  drain_objects(test.centrals[kFirst], fourth);
  (void)test.page_heap.scavenge(Bytes{SIZE_MAX}, ScavengeMode::kForced);
  for (size_t tick = 0; tick <= PeakWindow::kEpochs; ++tick) test.payment.end_epoch();
  test.grow(kFirst, 60 * kMiB);
  EXPECT_GT(test.centrals.epoch(), epoch) << "what is long past is no height";
  test.check();
}

TEST(GrowthPayment, AProgramThatGoesBackAndForthKeepsBothSetsBeforeLong) {
  Fixture test;
  std::vector<FreeNode*> kept[2];
  size_t unpaid_rounds = 0;
  for (size_t round = 0; round < 40 && unpaid_rounds < 4; ++round) {
    const SizeClass size_class = round % 2 == 0 ? kFirst : kSecond;
    drain_objects(test.centrals[size_class], kept[round % 2]);
    const size_t released = test.source.released_bytes();
    kept[round % 2] = test.thin_out(size_class, test.grow(size_class, 32 * kMiB), 16);
    unpaid_rounds = test.source.released_bytes() == released ? unpaid_rounds + 1 : 0;
  }
  EXPECT_GT(test.source.released_bytes(), 16 * kMiB) << "the first rounds pay";
  EXPECT_EQ(unpaid_rounds, 4u);
  test.check();
}

TEST(GrowthPayment, DepotsThatNobodyNeededAreDrainedAtSteps) {
  Fixture test;
  test.grow(kFirst, 20 * kMiB);
  FreeNode sentinel{};
  const CentralList central = test.centrals[kSecond];
  central.put_magazine(make_magazine(claim_objects(central, kSecond, 64), &sentinel), kTestKey);
  ASSERT_GT(central.depot_bytes(), 0u);
  test.grow(kFirst, 3 * GrowthPayment::kLeastStep);
  EXPECT_EQ(central.depot_bytes(), 0u);
  test.check();
}

std::vector<std::vector<FreeNode*>> claim_magazines(const CentralList& central,
                                                    SizeClass size_class, size_t count,
                                                    size_t objects) {
  std::vector<std::vector<FreeNode*>> magazines(count);
  for (auto& magazine : magazines) magazine = claim_objects(central, size_class, objects);
  return magazines;
}

TEST(GrowthPayment, ADepotThatIsInTheWayIsDrainedALittleAtATime) {
  Fixture test;
  const SizeClass size_class = size_class_of(512);
  const CentralList central = test.centrals[size_class];
  constexpr size_t kMagazines = 120;
  constexpr size_t kObjects = 64;
  FreeNode sentinel{};
  const auto magazines = claim_magazines(central, size_class, kMagazines, kObjects);
  for (const auto& magazine : magazines) {
    central.put_magazine(make_magazine(magazine, &sentinel), kTestKey);
  }
  const size_t in_depot = central.depot_bytes();
  ASSERT_EQ(in_depot, kMagazines * kObjects * 512);
  EXPECT_TRUE(test.payment.depots_are_full());
  const size_t drained = test.payment.drain_depots(kTestKey);
  EXPECT_EQ(central.depot_bytes(), in_depot - drained);
  EXPECT_GT(drained, 0u);
  EXPECT_LE(drained, (1024 + kObjects) * 512);
  test.check();
  // More as the heap grows, until depots are half full: faster than what comes into use.
  const size_t growth = 8 * GrowthPayment::kAheadBytes;
  test.grow(kFirst, growth);
  EXPECT_LT(central.depot_bytes(), in_depot - drained - 4 * growth);
  EXPECT_FALSE(test.payment.depots_are_full());
  test.check();
}

TEST(GrowthPayment, ADepotThatOthersFillMeanwhileIsPassedBefore) {
  Fixture test;
  const CentralList central = test.centrals[kFirst];
  const CentralList after = test.centrals[kSecond];
  constexpr size_t kMagazines = 100;
  constexpr size_t kObjects = 32;
  FreeNode sentinels[2] = {};
  const auto hand_over = [&](const CentralList& list, SizeClass size_class, size_t which) {
    const std::vector<FreeNode*> objects = claim_objects(list, size_class, kObjects);
    list.put_magazine(make_magazine(objects, &sentinels[which]), kTestKey);
  };
  for (size_t count = 0; count < kMagazines; ++count) hand_over(central, kFirst, 0);
  for (size_t count = 0; count < kMagazines; ++count) hand_over(after, kSecond, 1);
  const size_t before = after.depot_bytes();
  for (size_t payment = 0; payment < 20; ++payment) {
    (void)test.payment.drain_depots(kTestKey);
    while (central.depot_bytes() < kMagazines * kObjects * 1024) hand_over(central, kFirst, 0);
  }
  EXPECT_LT(after.depot_bytes(), before);
  test.check();
}

TEST(GrowthPayment, DepotsAreDrainedForSpansAsOftenAsTheTimeAllowsIt) {
  Fixture test;
  const SizeClass size_class = size_class_of(16);
  const CentralList central = test.centrals[size_class];
  constexpr size_t kMagazines = 4096;
  constexpr size_t kObjects = 64;
  FreeNode sentinel{};
  const auto fill_depot = [&] {
    while (!test.payment.depots_are_full()) {
      for (const auto& magazine : claim_magazines(central, size_class, kMagazines, kObjects)) {
        central.put_magazine(make_magazine(magazine, &sentinel), kTestKey);
      }
    }
  };
  EXPECT_EQ(test.payment.drain_surplus(kTestKey), 0u) << "depots hold nothing";
  constexpr size_t kMost = GrowthPayment::kMostDrainNs / GrowthPayment::kNsPerObject;
  const auto drain_what_may_be = [&] {
    size_t objects = 0;
    for (size_t drained = 1; drained > 0 && objects < 3 * kMost; objects += drained) {
      fill_depot();
      drained = test.payment.drain_surplus(kTestKey) / 16;
    }
    return objects;
  };
  // A portion, which ends with a whole magazine.
  constexpr size_t kPortion = 8 * 1024 + kObjects;
  const size_t at_first = drain_what_may_be();
  EXPECT_GE(at_first, kMost);
  EXPECT_LE(at_first, kMost + kPortion);
  test.check();
  EXPECT_GT(test.payment.drain_depots(kTestKey), 0u) << "the heap must grow";
  test.clock.advance(4 * GrowthPayment::kMostDrainNs * GrowthPayment::kDrainDivisor);
  const size_t later = drain_what_may_be();
  EXPECT_GE(later, kMost);
  EXPECT_LE(later, kMost + kPortion);
  test.check();
}

TEST(GrowthPayment, HolesThatAreToBeKeptAreKept) {
  Fixture test;
  test.holes_are = GrowthPayment::Holes::kKept;
  test.thin_out(kFirst, test.grow(kFirst, 64 * kMiB), 16);
  test.grow(kSecond, 40 * kMiB);
  EXPECT_EQ(test.page_heap.hole_bytes(), 0u);
  test.check();
}

TEST(GrowthPayment, HolesWaitUntilTheirShareOfTheTimeIsBack) {
  Fixture test;
  test.thin_out(kFirst, test.grow(kFirst, 64 * kMiB), 16);
  // The first batch takes longer than may be.
  bool is_first = true;
  test.source.call_at_release([&] {
    if (is_first) test.clock.advance(GrowthPayment::kMostHolesNs * 3 / 2);
    is_first = false;
  });
  test.grow(kSecond, 10 * kMiB);
  const size_t first = test.page_heap.hole_bytes();
  EXPECT_GT(first, 0u);
  EXPECT_LT(first, kMiB) << "no more than a batch";
  test.grow(kSecond, 10 * kMiB);
  EXPECT_EQ(test.page_heap.hole_bytes(), first);
  test.check();
  // Drains and ticks in between do not put them off.
  test.clock.advance(4 * GrowthPayment::kMostHolesNs * GrowthPayment::kHolesDivisor);
  for (size_t grown = 0; grown < 10 * kMiB; grown += GrowthPayment::kAheadBytes / 2) {
    test.grow(kSecond, GrowthPayment::kAheadBytes / 2);
    (void)test.payment.drain_surplus(kTestKey);
    if (grown % kMiB == 0) test.payment.end_epoch();
  }
  EXPECT_GT(test.page_heap.hole_bytes(), first + kMiB);
  test.check();
}

TEST(GrowthPayment, ThreadsPayAtTheSameTime) {
  Fixture test;
  const auto work = [&](SizeClass size_class) {
    for (size_t round = 1; round <= 3; ++round) {
      test.thin_out(size_class, test.grow(size_class, 12 * round * kMiB), 16);
      test.payment.end_epoch();
      test.payment.check_invariants();
    }
  };
  std::thread other([&] { work(kSecond); });
  work(kFirst);
  other.join();
  test.check();
}

TEST(GrowthPayment, WhatAThreadLeftInTheMidstIsForgotten) {
  Fixture test;
  const std::vector<FreeNode*> kept = test.thin_out(kFirst, test.grow(kFirst, 64 * kMiB), 16);
  bool forked = false;
  // As in the child of a fork while another thread gives back a batch.
  test.source.call_at_release([&] {
    if (forked) return;
    forked = true;
    test.payment.forget_thread();
    test.payment.check_invariants();
    (void)test.payment.drain_depots(kTestKey);
  });
  test.grow(kSecond, 40 * kMiB);
  EXPECT_TRUE(forked);
  EXPECT_GT(test.page_heap.hole_bytes(), 16 * kMiB) << "later steps pay";
  test.check();
}

}  // namespace
}  // namespace spanmalloc
