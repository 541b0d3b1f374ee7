#include "platform/futex.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <thread>

#include "platform/system.h"

namespace spanmalloc::platform {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kLongNs = 3'600'000 * kNsPerMs;
constexpr int kMark = 12345;

TEST(Futex, AnotherValueMeansNoSleep) {
  std::atomic<uint32_t> word{1};
  errno = kMark;
  futex_wait(word, 0, kLongNs);
  EXPECT_EQ(errno, kMark);
}

TEST(Futex, TimeoutEndsTheSleep) {
  std::atomic<uint32_t> word{0};
  errno = kMark;
  const uint64_t start = coarse_monotonic_ns();
  futex_wait(word, 0, 30 * kNsPerMs);
  // The clock moves with the kernel's ticks, which are up to 10 ms apart.
  EXPECT_GE(coarse_monotonic_ns() - start, 15 * kNsPerMs);
  EXPECT_EQ(errno, kMark);
}

TEST(Futex, WakeWithoutASleeperDoesNothing) {
  std::atomic<uint32_t> word{0};
  errno = kMark;
  futex_wake_one(word);
  EXPECT_EQ(errno, kMark);
}

TEST(Futex, WakeReachesOneSleeperAfterAnother) {
  std::atomic<uint32_t> word{0};
  std::atomic<int> awake{0};
  auto sleeper = [&] {
    while (word.load() == 0) futex_wait(word, 0, kLongNs);
    ++awake;
    futex_wake_one(word);
  };
  std::thread first(sleeper);
  std::thread second(sleeper);
  sleep_ns(5 * kNsPerMs);
  EXPECT_EQ(awake.load(), 0);
  word.store(1);
  futex_wake_one(word);
  first.join();
  second.join();
  EXPECT_EQ(awake.load(), 2);
}

}  // namespace
}  // namespace spanmalloc::platform
