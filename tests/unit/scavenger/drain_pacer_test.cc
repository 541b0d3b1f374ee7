#include "scavenger/drain_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spanmalloc {
namespace {

constexpr auto kMost = static_cast<size_t>(DrainPacer::kMostObjects);
// Long past the start of the system, and no multiple of anything.
constexpr uint64_t kStart = 123'456'789'012'345;

// A pacer that owes nothing and has nothing, at kStart.
DrainPacer used_up() {
  DrainPacer pacer;
  EXPECT_TRUE(pacer.may_begin(kStart));
  pacer.spend(kMost);
  EXPECT_FALSE(pacer.may_begin(kStart));
  pacer.check_invariants();
  return pacer;
}

TEST(DrainPacer, ObjectsCollectAsTimePasses) {
  DrainPacer pacer = used_up();
  EXPECT_TRUE(pacer.may_begin(kStart + DrainPacer::kNsUntilNext));
  pacer.spend(1);
  EXPECT_FALSE(pacer.may_begin(kStart + DrainPacer::kNsUntilNext));
}

TEST(DrainPacer, TimeThatMakesNoWholeObjectIsNotLost) {
  DrainPacer pacer = used_up();
  size_t drained = 0;
  constexpr size_t kObjects = 100;
  for (uint64_t passed = 0; passed <= kObjects * DrainPacer::kNsUntilNext; passed += 7) {
    if (!pacer.may_begin(kStart + passed)) continue;
    pacer.spend(1);
    ++drained;
  }
  EXPECT_GE(drained, kObjects - 1);
  EXPECT_LE(drained, kObjects + 1);
}

TEST(DrainPacer, WhatWasDrainedAheadIsOwed) {
  DrainPacer pacer = used_up();
  pacer.spend(1000);
  EXPECT_FALSE(pacer.may_begin(kStart + 1000 * DrainPacer::kNsUntilNext));
  EXPECT_TRUE(pacer.may_begin(kStart + 1001 * DrainPacer::kNsUntilNext));
}

TEST(DrainPacer, NoMoreCollectsAndNoMoreIsOwedThanTheLimit) {
  DrainPacer pacer = used_up();
  for (const uint64_t pause : {uint64_t{1} << 40, uint64_t{1} << 62}) {
    EXPECT_TRUE(pacer.may_begin(kStart + pause));
    pacer.check_invariants();
    pacer.spend(kMost - 1);
    EXPECT_TRUE(pacer.may_begin(kStart + pause));
    pacer.spend(1);
    EXPECT_FALSE(pacer.may_begin(kStart + pause));
  }
  pacer = used_up();
  pacer.spend(SIZE_MAX);
  pacer.check_invariants();
  EXPECT_FALSE(pacer.may_begin(kStart + kMost * DrainPacer::kNsUntilNext));
  EXPECT_TRUE(pacer.may_begin(kStart + (kMost + 1) * DrainPacer::kNsUntilNext));
}

// However often and in whatever portions a program drains, it is a share of the time.
TEST(DrainPacer, DrainsAreAShareOfTheTime) {
  for (const size_t portion : {size_t{1}, size_t{37}, size_t{8192}}) {
    DrainPacer pacer;
    uint64_t now = kStart;
    uint64_t drained = 0;
    constexpr uint64_t kSecond = 1'000'000'000;
    while (now < kStart + kSecond) {
      now += 1001;
      if (!pacer.may_begin(now)) continue;
      pacer.spend(portion);
      drained += portion;
    }
    const uint64_t share = kSecond / DrainPacer::kNsUntilNext;
    EXPECT_LE(drained, share + kMost + portion) << portion;
    EXPECT_GE(drained, std::min(share, portion * (kSecond / 1001))) << portion;
  }
}

}  // namespace
}  // namespace spanmalloc
