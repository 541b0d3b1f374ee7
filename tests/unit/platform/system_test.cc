#include "platform/system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <set>
#include <string>

#include "platform/errno_guard.h"

namespace spanmalloc::platform {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr int kMark = 12345;

TEST(System, MonotonicClockNeverGoesBackAndCountsNanoseconds) {
  uint64_t last = coarse_monotonic_ns();
  for (int round = 0; round < 1000; ++round) {
    const uint64_t now = coarse_monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
  const uint64_t start = coarse_monotonic_ns();
  sleep_ns(20 * kNsPerMs);
  // The clock moves with the kernel's ticks, which are up to 10 ms apart.
  EXPECT_GE(coarse_monotonic_ns() - start, 10 * kNsPerMs);
}

TEST(System, ThreadTimeCountsWorkAndNotSleep) {
  const uint64_t before_sleep = thread_cpu_ns();
  sleep_ns(50 * kNsPerMs);
  const uint64_t after_sleep = thread_cpu_ns();
  EXPECT_LT(after_sleep - before_sleep, 25 * kNsPerMs);
  while (thread_cpu_ns() - after_sleep < 5 * kNsPerMs) {
  }
}

TEST(System, ThereIsAProcessor) {
  EXPECT_GE(usable_processors(), 1u);
  EXPECT_LE(usable_processors(), static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF)));
}

TEST(System, RandomValuesDifferInAllParts) {
  std::set<uint32_t> high;
  std::set<uint32_t> low;
  for (int round = 0; round < 16; ++round) {
    const uint64_t value = process_random();
    high.insert(static_cast<uint32_t>(value >> 32));
    low.insert(static_cast<uint32_t>(value));
  }
  EXPECT_EQ(high.size(), 16u);
  EXPECT_EQ(low.size(), 16u);
}

TEST(System, EnvironmentIsRead) {
  ASSERT_TRUE(environment_is_there());
  setenv("SPANMALLOC_TEST_VARIABLE", "some text", 1);
  EXPECT_STREQ(environment("SPANMALLOC_TEST_VARIABLE"), "some text");
  EXPECT_EQ(environment("SPANMALLOC_TEST_VARIABL"), nullptr);
  EXPECT_EQ(environment("SPANMALLOC_TEST_VARIABLE_2"), nullptr);
  unsetenv("SPANMALLOC_TEST_VARIABLE");
  EXPECT_EQ(environment("SPANMALLOC_TEST_VARIABLE"), nullptr);
}

TEST(System, WriteErrorWritesAllBytesToStandardError) {
  const std::string text(5000, 'x');
  ::testing::internal::CaptureStderr();
  write_error(text.data(), text.size());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), text);
}

TEST(System, WriteErrorIgnoresAClosedStandardErrorAndKeepsErrno) {
  const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
  close(STDERR_FILENO);
  errno = kMark;
  write_error("text", 4);
  const int after = errno;
  dup2(saved, STDERR_FILENO);
  close(saved);
  EXPECT_EQ(after, kMark);
}

TEST(System, ClocksAndSleepKeepErrno) {
  errno = kMark;
  (void)coarse_monotonic_ns();
  (void)thread_cpu_ns();
  (void)usable_processors();
  (void)process_random();
  sleep_ns(1);
  EXPECT_EQ(errno, kMark);
}

TEST(SystemDeathTest, AbortEndsTheProcess) {
  EXPECT_EXIT(abort_process(), ::testing::KilledBySignal(SIGABRT), "");
}

TEST(ErrnoGuard, PutsErrnoBackAtTheEndOfTheScope) {
  errno = kMark;
  {
    ErrnoGuard guard;
    errno = EINVAL;
  }
  EXPECT_EQ(errno, kMark);
}

}  // namespace
}  // namespace spanmalloc::platform
