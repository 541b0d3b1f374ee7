#include "scavenger/memory_watch.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "platform/system.h"
#include "support/fake_root.h"

namespace spanmalloc {
namespace {

using platform::MemoryPressure;
using testing::FakeRoot;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kSecondNs = 1'000'000'000;

// A gauge and the world that it reads once a second.
struct Readings {
  void pass(uint64_t stalled_ms, uint64_t events = 0) {
    world.stalled_us += stalled_ms * 1000;
    world.limit_events += events;
    now_ns += kSecondNs;
    gauge.update(world, now_ns);
  }

  MemoryPressure world{.stalled_us = 123456789, .limit_events = 7};
  uint64_t now_ns = 5;
  PressureGauge gauge;
};

TEST(PressureGauge, TheFirstReadingSaysNothing) {
  Readings test;
  test.gauge.update(test.world, test.now_ns);
  EXPECT_FALSE(test.gauge.is_high());
}

TEST(PressureGauge, BeginsWithATwentiethOfTheTimeOrAtTheLimit) {
  Readings test;
  test.pass(0);
  test.pass(45);
  EXPECT_FALSE(test.gauge.is_high());
  test.pass(55);
  EXPECT_TRUE(test.gauge.is_high());

  Readings other;
  other.pass(0);
  other.pass(0, 1);
  EXPECT_TRUE(other.gauge.is_high());
}

TEST(PressureGauge, EndsAfterSomeQuietReadings) {
  Readings test;
  test.pass(0);
  test.pass(500);
  for (unsigned reading = 1; reading < PressureGauge::kQuietReadings; ++reading) {
    test.pass(5);
    EXPECT_TRUE(test.gauge.is_high());
  }
  // Neither high nor quiet: begins to wait anew.
  test.pass(30);
  for (unsigned reading = 1; reading < PressureGauge::kQuietReadings; ++reading) {
    test.pass(0);
    EXPECT_TRUE(test.gauge.is_high());
  }
  test.pass(0);
  EXPECT_FALSE(test.gauge.is_high());
}

TEST(PressureGauge, CountersThatGoBackAreAnotherGroups) {
  Readings test;
  test.pass(0);
  test.world = {};
  test.pass(0);
  EXPECT_FALSE(test.gauge.is_high());
  test.pass(300);
  EXPECT_TRUE(test.gauge.is_high());
}

TEST(PressureGauge, AnyReadingsAreSurvived) {
  std::mt19937_64 random(1);
  PressureGauge gauge;
  for (int round = 0; round < 100000; ++round) {
    gauge.update({random() >> random() % 64, random() >> random() % 64}, random() >> random() % 64);
  }
  gauge.reset();
  EXPECT_FALSE(gauge.is_high());
}

struct WatchTest : ::testing::Test {
  WatchTest() { root.mount_unified("/a"); }

  void update(size_t consumed = 0) {
    now_ns += kSecondNs;
    watch.update(options, MemoryWatch::PressureLook::kTake, now_ns, consumed, limit);
  }
  void set_container(size_t bytes) { root.write("/cg/a/memory.max", std::to_string(bytes) + "\n"); }

  FakeRoot root;
  Options options;
  MemoryLimit limit;
  platform::CgroupPlaces places;
  MemoryWatch watch{{places, root.path()}};
  uint64_t now_ns = 0;
};

TEST_F(WatchTest, WithoutAContainerThereIsNoLimit) {
  update();
  EXPECT_FALSE(limit.is_set());
  EXPECT_FALSE(watch.is_pressed());
  EXPECT_EQ(watch.processor_percent(), 100 * platform::usable_processors());
}

TEST_F(WatchTest, TheHeapMayHold95PercentOfTheContainersLimit) {
  set_container(100 * kMiB);
  update();
  EXPECT_EQ(limit.bytes(), 100 * kMiB / 100 * 95);
  EXPECT_FALSE(limit.is_hard());
}

TEST_F(WatchTest, ALimitThatChangesIsSeenWithinSomeEpochs) {
  update();
  set_container(200 * kMiB);
  for (uint32_t epoch = 0; epoch < MemoryWatch::kEpochsBetweenLimits; ++epoch) update();
  EXPECT_EQ(limit.bytes(), 200 * kMiB / 100 * 95);
  root.remove("/cg/a/memory.max");
  for (uint32_t epoch = 0; epoch < MemoryWatch::kEpochsBetweenLimits; ++epoch) update();
  EXPECT_FALSE(limit.is_set());
}

TEST_F(WatchTest, TheOptionSwitchesTheContainersLimitOff) {
  set_container(100 * kMiB);
  ASSERT_TRUE(options.set(Option::kCgroup, 0));
  update();
  EXPECT_FALSE(limit.is_set());
}

TEST_F(WatchTest, MemoryThatIsNeverTouchedDoesNotCountAgainstAContainer) {
  const size_t container = size_t{1} << 40;
  set_container(container);
  update(container * 2);
  EXPECT_FALSE(limit.is_set());
  update(container / 2);
  EXPECT_TRUE(limit.is_set());
}

TEST_F(WatchTest, QuotasBoundTheProcessorTime) {
  root.write("/cg/a/cpu.max", "30000 100000\n");
  update();
  EXPECT_EQ(watch.processor_percent(), 30u);
}

TEST_F(WatchTest, PressureComesFromTheGroup) {
  root.write("/cg/a/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
  update();
  root.write("/cg/a/memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n");
  update();
  EXPECT_TRUE(watch.is_pressed());
  ASSERT_TRUE(options.set(Option::kPressure, 0));
  update();
  EXPECT_FALSE(watch.is_pressed());
}

}  // namespace
}  // namespace spanmalloc
