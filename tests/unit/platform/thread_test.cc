#include "platform/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "platform/compiler.h"
#include "platform/system.h"

namespace spanmalloc::platform {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

std::atomic<int> exits{0};
std::atomic<void*> exit_argument{nullptr};

TEST(Thread, ExitFunctionRunsInThreadsThatArmedIt) {
  ASSERT_TRUE(register_thread_exit([](void* argument) {
    exit_argument = argument;
    ++exits;
  }));
  int token = 0;
  std::thread([] {}).join();
  EXPECT_EQ(exits, 0);
  std::thread([&] {
    EXPECT_TRUE(arm_thread_exit(&token));
    EXPECT_EQ(exits, 0);
  }).join();
  EXPECT_EQ(exits, 1);
  EXPECT_EQ(exit_argument, &token);
}

std::atomic<int> forks_prepared{0};
std::atomic<int> forks_in_parent{0};
std::atomic<int> forks_in_child{0};

TEST(Thread, ForkHandlersRunOnBothSides) {
  ASSERT_TRUE(register_fork_handlers([] { ++forks_prepared; }, [] { ++forks_in_parent; },
                                     [] { ++forks_in_child; }));
  const pid_t child = fork();
  if (child == 0) _exit(forks_prepared == 1 && forks_in_parent == 0 && forks_in_child == 1 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(forks_prepared, 1);
  EXPECT_EQ(forks_in_parent, 1);
  EXPECT_EQ(forks_in_child, 0);
}

struct Report {
  std::atomic<bool> done{false};
  std::atomic<bool> same_thread{true};
  sigset_t blocked;
  uint32_t starter;
};

TEST(Thread, BackgroundThreadRunsWithAllSignalsBlocked) {
  static Report report;
  report.starter = thread_number();
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  ASSERT_TRUE(start_background_thread(
      [](void* argument) {
        Report* to = static_cast<Report*>(argument);
        pthread_sigmask(SIG_SETMASK, nullptr, &to->blocked);
        to->same_thread = thread_number() == to->starter;
        to->done = true;
      },
      &report));
  for (int round = 0; round < 5000 && !report.done; ++round) sleep_ns(kNsPerMs);
  ASSERT_TRUE(report.done);
  EXPECT_FALSE(report.same_thread);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGPROF, SIGALRM}) {
    EXPECT_EQ(sigismember(&report.blocked, signal), 1) << signal;
  }
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) {
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

TEST(Thread, BackgroundThreadHasNotThePriorityOfItsStarter) {
  constexpr sched_param kNoPriority{};
  if (sched_setscheduler(0, SCHED_BATCH, &kNoPriority) != 0) {
    GTEST_SKIP() << "the C library, as musl, or the system refuses to set priorities";
  }
  std::atomic<int> policy{-1};
  const bool is_started = start_background_thread(
      [](void* argument) { *static_cast<std::atomic<int>*>(argument) = sched_getscheduler(0); },
      &policy);
  for (int round = 0; round < 5000 && policy < 0; ++round) sleep_ns(kNsPerMs);
  EXPECT_EQ(sched_setscheduler(0, SCHED_OTHER, &kNoPriority), 0);
  EXPECT_TRUE(is_started);
  EXPECT_EQ(policy, SCHED_OTHER);
}

TEST(Thread, BackgroundThreadHasTheProcessorsOfTheMainThreadNotOfItsStarter) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "there is one processor";
  std::atomic<int> count{0};
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t processor = 0; CPU_COUNT(&one) == 0; ++processor) {
      if (CPU_ISSET(processor, &all)) CPU_SET(processor, &one);
    }
    EXPECT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_TRUE(start_background_thread(
        [](void* argument) {
          cpu_set_t own;
          EXPECT_EQ(sched_getaffinity(0, sizeof(own), &own), 0);
          static_cast<std::atomic<int>*>(argument)->store(CPU_COUNT(&own));
        },
        &count));
    for (int round = 0; round < 5000 && count == 0; ++round) sleep_ns(kNsPerMs);
  }).join();
  EXPECT_EQ(count, CPU_COUNT(&all));
}

TEST(Thread, NumberIsStableNotZeroAndDiffersBetweenThreads) {
  const uint32_t mine = thread_number();
  EXPECT_NE(mine, 0u);
  EXPECT_EQ(thread_number(), mine);
  std::thread([&] { EXPECT_NE(thread_number(), mine); }).join();
}

TEST(ThreadNumbers, DifferBetweenLivingThreadsAlsoWhenAllAreCounted) {
  constexpr uint32_t kLast = ThreadNumbers::kLastCounted;
  ThreadNumbers numbers(kLast - 2);
  int asked = 0;
  const auto identity = [&](uint32_t thread_id) {
    return [&asked, thread_id] {
      ++asked;
      return thread_id;
    };
  };
  EXPECT_EQ(numbers.next(identity(7)), kLast - 1);
  EXPECT_EQ(numbers.next(identity(7)), kLast);
  EXPECT_EQ(asked, 0) << "a start would make a system call more";
  constexpr uint32_t kMaxThreadId = 4'194'304;
  for (const uint32_t thread_id : {1u, 2u, 70'000u, kMaxThreadId}) {
    const uint32_t number = numbers.next(identity(thread_id));
    EXPECT_EQ(number, kLast + thread_id);
    EXPECT_LE(number, ThreadNumbers::kMax);
    EXPECT_LT(uint64_t{number} << 2, uint64_t{1} << 32) << "with two bits beside it";
  }
}

TEST(ThreadNumbers, OfAChildDifferFromThatOfTheThreadThatForked) {
  constexpr uint32_t kLast = ThreadNumbers::kLastCounted;
  ThreadNumbers usual(100);
  usual.count_anew(3);
  EXPECT_EQ(usual.next([] { return 7u; }), 101u) << "there are numbers left";
  for (const uint32_t survivor : {1u, kLast - 1, kLast, kLast + 7}) {
    ThreadNumbers numbers(kLast);
    numbers.count_anew(survivor);
    for (uint32_t thread_id = 8; thread_id < 20; ++thread_id) {
      EXPECT_NE(numbers.next([&] { return thread_id; }), survivor);
    }
  }
}

TEST(Thread, WithAnotherThreadAliveThisOneIsNotTheOnly) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) sleep_ns(kNsPerMs);
  });
  EXPECT_FALSE(is_only_thread());
  stop = true;
  other.join();
}

TEST(Thread, TheChildOfAForkIsTheOnlyThread) {
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) sleep_ns(kNsPerMs);
  });
  const pid_t child = fork();
  if (child == 0) _exit(is_only_thread() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  stop = true;
  other.join();
  // The thread sanitizer has a thread of its own, also in the child.
  if (kAddressHintsAllowed) {
    EXPECT_EQ(status, 0);
  }
}

TEST(Thread, AChildThatNotedItselfSharesNoMemory) {
  note_new_process();
  EXPECT_FALSE(may_be_vfork_child());
  const pid_t child = fork();
  if (child == 0) {
    const bool looks_shared = may_be_vfork_child();
    note_new_process();
    _exit(looks_shared && !may_be_vfork_child() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace spanmalloc::platform
