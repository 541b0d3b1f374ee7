#include "scavenger/scavenge_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace spanmalloc {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(PeakWindow, RemembersTheHighestOfTheLastEpochs) {
  PeakWindow window;
  EXPECT_EQ(window.highest(), 0u);
  window.end_epoch(70);
  window.end_epoch(20);
  for (size_t epoch = 2; epoch < PeakWindow::kEpochs; ++epoch) {
    EXPECT_EQ(window.highest(), 70u);
    window.end_epoch(10);
  }
  EXPECT_EQ(window.highest(), 70u);
  window.end_epoch(10);
  EXPECT_EQ(window.highest(), 20u);
  window.end_epoch(10);
  EXPECT_EQ(window.highest(), 10u);
}

TEST(PeakWindow, AgreesWithANaiveWindow) {
  PeakWindow window;
  std::mt19937_64 random(1);
  std::vector<size_t> all(PeakWindow::kEpochs, 0);
  for (int epoch = 0; epoch < 1000; ++epoch) {
    all.push_back(random() % 1000);
    window.end_epoch(all.back());
    ASSERT_EQ(window.highest(), *std::max_element(all.end() - PeakWindow::kEpochs, all.end()));
  }
}

TEST(PeakWindowDeathTest, APeakThatRisesInAQuietEpochIsAFault) {
  for (size_t epochs_before = 0; epochs_before < 2 * PeakWindow::kEpochs; ++epochs_before) {
    PeakWindow window;
    for (size_t epoch = 0; epoch < epochs_before; ++epoch) window.end_epoch(5);
    window.end_epoch(10);
    window.check_invariants(0);
    window.end_epoch(10);
    window.check_invariants(1);
    window.end_epoch(9);
    window.check_invariants(2);
    EXPECT_DEATH(window.check_invariants(3), "memory in use grew without an allocation");
  }
  PeakWindow window;
  for (size_t peak = 1000; peak > 0; peak -= 10) window.end_epoch(peak);
  window.check_invariants(SIZE_MAX);
}

TEST(PeakWindow, ANotedPeakCountsAtOnceAndForTheEpochItIsIn) {
  PeakWindow window;
  window.end_epoch(10);
  window.note(50);
  window.note(30);
  EXPECT_EQ(window.highest(), 50u);
  window.end_epoch(20);
  for (size_t epoch = 1; epoch < PeakWindow::kEpochs; ++epoch) {
    window.end_epoch(20);
    EXPECT_EQ(window.highest(), 50u);
  }
  window.end_epoch(20);
  EXPECT_EQ(window.highest(), 20u);
}

TEST(ScavengePacer, TheShareIsOfTheProcessorsThatTheProcessMayUse) {
  EXPECT_EQ(ScavengePacer(10, 1, 100).sleep_after(1000), 99'000u);
  EXPECT_EQ(ScavengePacer(10, 1, 200).sleep_after(1000), 49'000u);
  EXPECT_EQ(ScavengePacer(10, 1, 50).sleep_after(1000), 199'000u);
  EXPECT_EQ(ScavengePacer(10, 1, 1).sleep_after(1000), 9'999'000u);
  EXPECT_EQ(ScavengePacer(10, 2, 6400).sleep_after(1000), 0u);
  EXPECT_EQ(ScavengePacer(10, UINT64_MAX, UINT64_MAX).sleep_after(1000), 0u);
}

TEST(ScavengePacer, SurplusIsWhatLiesBeyondThePeakAndItsShare) {
  const ScavengePacer pacer(10, 1);
  EXPECT_EQ(pacer.surplus(100 * kMiB, 100 * kMiB), 0u);
  EXPECT_EQ(pacer.surplus(100 * kMiB, 110 * kMiB), 0u);
  EXPECT_NEAR(static_cast<double>(pacer.surplus(100 * kMiB, 150 * kMiB)), 40.0 * kMiB, 1000);
  EXPECT_EQ(pacer.surplus(0, 5 * kMiB), 5 * kMiB);
  EXPECT_EQ(ScavengePacer(0, 1).surplus(3 * kMiB, 5 * kMiB), 2 * kMiB);
}

TEST(ScavengePacer, SurplusDoesNotOverflowForAnyInput) {
  std::mt19937_64 random(1);
  const auto any = [&] { return random() >> (random() % 64); };
  for (int round = 0; round < 100000; ++round) {
    const size_t peak = any();
    const size_t retained = any();
    const ScavengePacer pacer(any(), 1);
    ASSERT_LE(pacer.surplus(peak, retained), retained > peak ? retained - peak : 0);
  }
  EXPECT_EQ(ScavengePacer(1000, 1).surplus(SIZE_MAX, SIZE_MAX), 0u);
  EXPECT_EQ(ScavengePacer(UINT64_MAX, 1).surplus(SIZE_MAX / 2, SIZE_MAX), 0u);
}

TEST(ScavengePacer, SleepIsFiniteForAnyInput) {
  std::mt19937_64 random(1);
  const auto any = [&] { return random() >> (random() % 64); };
  for (int round = 0; round < 100000; ++round) {
    const ScavengePacer pacer(10, std::max<uint64_t>(1, any()));
    ASSERT_LE(pacer.sleep_after(any()), ScavengePacer::kLongestSleepNs);
  }
}

TEST(ScavengePacer, NoWorkMeansNoSleepAndAWholeProcessorNeverSleeps) {
  EXPECT_EQ(ScavengePacer(10, 1).sleep_after(0), 0u);
  EXPECT_EQ(ScavengePacer(10, 100).sleep_after(1'000'000), 0u);
  EXPECT_EQ(ScavengePacer(10, 6400).sleep_after(1'000'000), 0u);
}

TEST(ScavengePacer, SimulatedWorkOfAnyCostStaysWithinItsShareOfTheTime) {
  for (const uint64_t percent : {1, 2, 10, 50}) {
    const ScavengePacer pacer(10, percent);
    std::mt19937_64 random(percent);
    uint64_t worked = 0;
    uint64_t slept = 0;
    for (int step = 0; step < 10000; ++step) {
      // From a single page to a step of 4 MiB that the kernel is slow with: 1 us to 8 ms.
      const uint64_t cost = uint64_t{1000} << random() % 14;
      worked += cost;
      slept += pacer.sleep_after(cost);
    }
    const double share = 100.0 * static_cast<double>(worked) / static_cast<double>(worked + slept);
    EXPECT_NEAR(share, static_cast<double>(percent), 0.5 * static_cast<double>(percent));
  }
}

}  // namespace
}  // namespace spanmalloc
