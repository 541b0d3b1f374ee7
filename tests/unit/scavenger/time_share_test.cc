#include "scavenger/time_share.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scavenger/growth_payment.h"

namespace spanmalloc {
namespace {

constexpr uint64_t kDivisor = 16;
constexpr uint64_t kMost = 3'000'000;
// Long past the start of the system, and no multiple of anything.
constexpr uint64_t kStart = 123'456'789'012'345;

// A share that owes nothing and has nothing, at kStart.
TimeShare used_up() {
  TimeShare share(kDivisor, kMost);
  EXPECT_TRUE(share.may_begin(kStart));
  share.spend(kMost);
  EXPECT_FALSE(share.may_begin(kStart));
  share.check_invariants();
  return share;
}

TEST(TimeShare, CollectsAsTimePasses) {
  TimeShare share = used_up();
  EXPECT_TRUE(share.may_begin(kStart + kDivisor));
  share.spend(1);
  EXPECT_FALSE(share.may_begin(kStart + kDivisor));
}

TEST(TimeShare, TimeTooShortForAnythingIsNotLost) {
  TimeShare share = used_up();
  uint64_t spent = 0;
  constexpr uint64_t kNs = 100;
  for (uint64_t passed = 0; passed <= kNs * kDivisor; passed += 7) {
    if (!share.may_begin(kStart + passed)) continue;
    share.spend(1);
    ++spent;
  }
  EXPECT_GE(spent, kNs - 1);
  EXPECT_LE(spent, kNs + 1);
}

TEST(TimeShare, WhatWasSpentAheadIsOwed) {
  TimeShare share = used_up();
  share.spend(1000);
  EXPECT_FALSE(share.may_begin(kStart + 1000 * kDivisor));
  EXPECT_TRUE(share.may_begin(kStart + 1001 * kDivisor));
}

TEST(TimeShare, NoMoreCollectsAndNoMoreIsOwedThanTheLimit) {
  TimeShare share = used_up();
  for (const uint64_t pause : {uint64_t{1} << 40, uint64_t{1} << 62}) {
    EXPECT_TRUE(share.may_begin(kStart + pause));
    share.check_invariants();
    share.spend(kMost - 1);
    EXPECT_TRUE(share.may_begin(kStart + pause));
    share.spend(1);
    EXPECT_FALSE(share.may_begin(kStart + pause));
  }
  TimeShare owing = used_up();
  owing.spend(UINT64_MAX);
  owing.check_invariants();
  EXPECT_FALSE(owing.may_begin(kStart + kMost * kDivisor));
  EXPECT_TRUE(owing.may_begin(kStart + (kMost + 1) * kDivisor));
}

// However often work would begin, and in whatever portions, it is a share of the time.
TEST(TimeShare, WorkIsAShareOfTheTime) {
  constexpr uint64_t kSecond = 1'000'000'000;
  for (const uint64_t portion : {uint64_t{50}, uint64_t{1777}, uint64_t{400'000}}) {
    TimeShare share(kDivisor, kMost);
    uint64_t now = kStart;
    uint64_t spent = 0;
    while (now < kStart + kSecond) {
      now += 1001;
      if (!share.may_begin(now)) continue;
      share.spend(portion);
      spent += portion;
    }
    EXPECT_LE(spent, kSecond / kDivisor + kMost + portion) << portion;
    EXPECT_GE(spent, std::min(kSecond / kDivisor, portion * (kSecond / 1001))) << portion;
  }
}

// A clock that shows every fourth millisecond alone.
TEST(TimeShare, ACoarseClockMeasuresPortionsShorterThanItsSteps) {
  constexpr uint64_t kStep = 4'000'000;
  constexpr uint64_t kPortion = 90'017;
  constexpr uint64_t kBetween = 11'003;
  TimeShare share(4, GrowthPayment::kMostHolesNs);
  uint64_t now = kStart;
  uint64_t worked = 0;
  while (now < kStart + 10'000'000'000) {
    now += kBetween;
    const uint64_t began = now / kStep * kStep;
    if (!share.may_begin(began)) continue;
    now += kPortion;
    worked += kPortion;
    share.spend(now / kStep * kStep - began);
  }
  EXPECT_LE(worked, 3'500'000'000);
  EXPECT_GE(worked, 1'500'000'000);
}

}  // namespace
}  // namespace spanmalloc
