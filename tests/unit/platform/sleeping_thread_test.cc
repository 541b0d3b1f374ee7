#include "platform/sleeping_thread.h"

#include <gtest/gtest.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "platform/compiler.h"
#include "platform/system.h"

namespace spanmalloc::platform {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

// Static, so that what it notes is on nobody's stack.
SleepWatch watch;
thread_local int anchor = 0;
sem_t wake;

struct Subject {
  std::atomic<int> id{0};
  std::atomic<uintptr_t> address{0};
  std::atomic<bool> is_there{false};

  void say_hello() {
    id = kernel_thread_id();
    address = reinterpret_cast<uintptr_t>(&anchor);
    is_there = true;
  }
  bool sleeps() { return watch.sleeps(id, address); }
  // Whether it is found asleep within a second.
  bool falls_asleep() {
    for (int round = 0; round < 1000; ++round) {
      if (is_there && sleeps()) return true;
      sleep_ns(kNsPerMs);
    }
    return false;
  }
};

void sleep_in_handler(int) {
  while (sem_wait(&wake) != 0) {
  }
}

void handle(int flags) {
  struct sigaction action {};
  action.sa_handler = sleep_in_handler;
  action.sa_flags = flags;
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);
}

// Whether a thread that sleeps in a handler is ever taken for one that just sleeps.
bool handler_is_overlooked(
    void (*prepare)(), void (*tidy)() = [] {}) {
  sem_init(&wake, 0, 0);
  Subject subject;
  std::thread thread([&] {
    prepare();
    subject.say_hello();
    raise(SIGUSR1);
    tidy();
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  bool overlooked = false;
  for (int round = 0; round < 50; ++round) {
    sleep_ns(kNsPerMs);
    overlooked |= subject.sleeps();
  }
  sem_post(&wake);
  thread.join();
  return overlooked;
}

TEST(SleepWatch, AThreadThatWaitsSleeps) {
  if (!kHandlersReturnByStack) GTEST_SKIP() << "not known on this processor";
  if (kThreadSanitizer) GTEST_SKIP() << "the sanitizer waits in a way of its own";
  sem_init(&wake, 0, 0);
  Subject subject;
  std::thread thread([&] {
    subject.say_hello();
    sem_wait(&wake);
  });
  EXPECT_TRUE(subject.falls_asleep());
  sem_post(&wake);
  thread.join();
  EXPECT_FALSE(subject.sleeps()) << "it has ended";
}

TEST(SleepingThread, OfAThreadThatHasEndedTheProcessHasNone) {
  EXPECT_FALSE(has_no_thread(kernel_thread_id()));
  EXPECT_FALSE(has_no_thread(0)) << "not known";
  sem_init(&wake, 0, 0);
  Subject subject;
  std::thread thread([&] {
    subject.say_hello();
    sem_wait(&wake);
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  EXPECT_FALSE(has_no_thread(subject.id));
  sem_post(&wake);
  thread.join();
  // Who was joined may still be there for a moment.
  bool is_gone = false;
  for (int round = 0; round < 1000 && !is_gone; ++round) {
    is_gone = has_no_thread(subject.id);
    sleep_ns(kNsPerMs);
  }
  EXPECT_TRUE(is_gone);
}

TEST(SleepWatch, AThreadThatRunsDoesNot) {
  Subject subject;
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    subject.say_hello();
    while (!stop.load(std::memory_order_relaxed)) {
    }
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  for (int round = 0; round < 50; ++round) {
    EXPECT_FALSE(subject.sleeps());
    sleep_ns(kNsPerMs);
  }
  stop = true;
  thread.join();
  EXPECT_FALSE(watch.sleeps(kernel_thread_id(), reinterpret_cast<uintptr_t>(&anchor)));
}

TEST(SleepWatch, TheFirstThreadIsKnownByWhereItsStackBegan) {
  if (!kHandlersReturnByStack) GTEST_SKIP() << "not known on this processor";
  std::atomic<bool> slept{false};
  std::atomic<bool> done{false};
  sem_init(&wake, 0, 0);
  std::thread thread([&] {
    for (int round = 0; round < 1000 && !slept; ++round) {
      sleep_ns(kNsPerMs);
      slept = watch.sleeps(getpid(), 0);
    }
    done = true;
    sem_post(&wake);
  });
  while (!done) sem_wait(&wake);
  thread.join();
  EXPECT_TRUE(slept);
}

TEST(SleepWatch, AHandlerThatSleepsIsSeen) {
  EXPECT_FALSE(handler_is_overlooked([] { handle(0); }));
  EXPECT_FALSE(handler_is_overlooked([] { handle(SA_NODEFER | SA_RESTART); }));
}

TEST(SleepWatch, AHandlerThatIsNoLongerInstalledIsSeen) {
  EXPECT_FALSE(handler_is_overlooked([] { handle(static_cast<int>(SA_RESETHAND)); }));
}

TEST(SleepWatch, AHandlerOnAStackOfItsOwnIsSeen) {
  static thread_local stack_t before;
  EXPECT_FALSE(handler_is_overlooked(
      [] {
        static std::array<char, size_t{64} << 10> memory;
        const stack_t stack{memory.data(), 0, memory.size()};
        ASSERT_EQ(sigaltstack(&stack, &before), 0);
        handle(SA_ONSTACK);
      },
      [] { sigaltstack(&before, nullptr); }));
}

TEST(SleepWatch, AHandlerOnAPieceOfTheStackIsSeen) {
  sem_init(&wake, 0, 0);
  Subject subject;
  std::thread thread([&] {
    std::array<char, size_t{64} << 10> memory;
    const stack_t stack{memory.data(), 0, memory.size()};
    stack_t before{};
    EXPECT_EQ(sigaltstack(&stack, &before), 0);
    handle(SA_ONSTACK);
    subject.say_hello();
    raise(SIGUSR1);
    sigaltstack(&before, nullptr);
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  for (int round = 0; round < 50; ++round) {
    sleep_ns(kNsPerMs);
    EXPECT_FALSE(subject.sleeps());
  }
  sem_post(&wake);
  thread.join();
}

// The child of a vfork works with the thread-local variables of the thread that waits for it.
TEST(SleepWatch, AThreadThatLentItsMemoryToAChildDoesNotSleep) {
  if (kThreadSanitizer) GTEST_SKIP() << "the sanitizer does not go with vfork";
  Subject subject;
  std::atomic<bool> stop{false};
  std::thread thread([&] {
    subject.say_hello();
    if (vfork() == 0) {
      while (!stop) sleep_ns(kNsPerMs);
      _exit(0);
    }
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  for (int round = 0; round < 50; ++round) {
    sleep_ns(kNsPerMs);
    EXPECT_FALSE(subject.sleeps());
  }
  stop = true;
  thread.join();
  EXPECT_GT(waitpid(-1, nullptr, 0), 0);
}

TEST(SleepWatch, AThreadThatWaitsForAChildDoesNotSleep) {
  if (kThreadSanitizer) GTEST_SKIP() << "the sanitizer does not go with vfork";
  Subject subject;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    while (true) pause();
  }
  std::thread thread([&] {
    subject.say_hello();
    waitpid(child, nullptr, 0);
  });
  while (!subject.is_there) sleep_ns(kNsPerMs);
  for (int round = 0; round < 50; ++round) {
    sleep_ns(kNsPerMs);
    EXPECT_FALSE(subject.sleeps());
  }
  kill(child, SIGKILL);
  thread.join();
}

TEST(SleepWatch, UnknownThreadsDoNotSleep) {
  EXPECT_FALSE(watch.sleeps(0, 0));
  EXPECT_FALSE(watch.sleeps(1 << 30, reinterpret_cast<uintptr_t>(&anchor)));
}

}  // namespace
}  // namespace spanmalloc::platform
