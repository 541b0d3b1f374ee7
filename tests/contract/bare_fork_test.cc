// Children of _Fork() and of clone(), which run no fork handlers, can allocate whatever the other
// threads do in that moment.
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr double kChildSeconds = 20;
constexpr int kChildren = 150;
constexpr size_t kInherited = 300;

bool stop = false;
void* inherited[kInherited];
alignas(16) char child_stack[256 * contract::kKiB];

pid_t bare_fork() {
  static auto* const function = reinterpret_cast<pid_t (*)()>(dlsym(RTLD_DEFAULT, "_Fork"));
  return function != nullptr ? function() : fork();
}

// Keeps the locks of all levels busy.
void* allocate_until_stopped(void*) {
  contract::Random random(reinterpret_cast<uintptr_t>(&random));
  void* blocks[200] = {};
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    for (void*& block : blocks) {
      free(block);
      block = malloc(random.below(8) == 0 ? 200000 + random.below(2000000) : random.below(20000));
    }
  }
  for (void* block : blocks) free(block);
  return nullptr;
}

void use_heap() {
  for (size_t i = 0; i < 200; ++i) {
    void* block = malloc(100 + i * 700);
    EXPECT(block != nullptr);
    memset(block, 1, 100 + i * 700);
    free(block);
  }
  for (size_t i = 0; i < kInherited; i += 3) {
    EXPECT(contract::is_filled(inherited[i], 10 + i * 20, i));
    free(inherited[i]);
    inherited[i] = nullptr;
  }
  malloc_trim(0);
}

int child_of_clone(void*) {
  contract::failures = 0;
  use_heap();
  return contract::has_failed() ? 1 : 0;
}

constexpr size_t kRoundBlocks = 20000;
constexpr size_t kRoundBytes = 600;

void take_and_free() {
  static void* blocks[kRoundBlocks];
  for (void*& block : blocks) {
    block = malloc(kRoundBytes);
    REQUIRE(block != nullptr);
    memset(block, 1, kRoundBytes);
  }
  for (void* block : blocks) free(block);
}

size_t page_faults() {
  rusage usage{};
  EXPECT(getrusage(RUSAGE_SELF, &usage) == 0);
  return static_cast<size_t>(usage.ru_minflt);
}

pid_t make_by_clone() {
  return clone(&child_of_clone, child_stack + sizeof child_stack, SIGCHLD, nullptr);
}

pid_t make_by_bare_fork() {
  const pid_t child = bare_fork();
  if (child != 0) return child;
  _exit(child_of_clone(nullptr));
}

// A child may fork as usual, and its child may start threads.
pid_t make_grandchild() {
  const pid_t child = bare_fork();
  if (child != 0) return child;
  contract::failures = 0;
  EXPECT_EQ(contract::run_in_child(kChildSeconds,
                                   [] {
                                     pthread_t thread;
                                     const auto body = [](void*) -> void* {
                                       use_heap();
                                       return nullptr;
                                     };
                                     EXPECT(pthread_create(&thread, nullptr, body, nullptr) == 0);
                                     pthread_join(thread, nullptr);
                                   }),
            0);
  _exit(contract::has_failed() ? 1 : 0);
}

void make_children(pid_t (*make)()) {
  for (size_t i = 0; i < kInherited; ++i) {
    inherited[i] = malloc(10 + i * 20);
    REQUIRE(inherited[i] != nullptr);
    contract::fill(inherited[i], 10 + i * 20, i);
  }
  pthread_t threads[3];
  stop = false;
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, &allocate_until_stopped, nullptr) == 0);
  }
  int status = 0;
  for (int i = 0; i < kChildren && status == 0; ++i) {
    const pid_t child = make();
    REQUIRE(child > 0);
    status = contract::wait_for(child, kChildSeconds);
  }
  EXPECT_EQ(status, 0);
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  for (void* block : inherited) free(block);
}

int shared = 0;

int set_shared(void* value) {
  shared = *static_cast<int*>(value);
  return 7;
}

}  // namespace

CASE(children_of_bare_forks_allocate) {
  if (contract::not_promised_by_libc()) return;
  make_children(&make_by_bare_fork);
}

CASE(children_of_clone_allocate) {
  if (contract::not_promised_by_libc()) return;
  make_children(&make_by_clone);
}

CASE(children_of_bare_forks_fork) {
  if (contract::not_promised_by_libc()) return;
  make_children(&make_grandchild);
}

// As in a handler of a crash, which stops the others first.
// They get no thread, so nobody else knows what they need again a moment later.
CASE(children_of_bare_forks_keep_what_they_use_again) {
  const auto set_option = reinterpret_cast<int (*)(const char*, uint64_t)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_set_option"));
  if (set_option == nullptr) return;
  EXPECT_EQ(set_option("epoch_ms", 300), 0);
  constexpr size_t kLiveBytes = 64 * contract::kMiB;
  void* live = malloc(kLiveBytes);
  REQUIRE(live != nullptr);
  memset(live, 1, kLiveBytes);
  const pid_t child = bare_fork();
  if (child == 0) {
    contract::failures = 0;
    contract::sleep_milliseconds(400);
    for (int round = 0; round < 2; ++round) take_and_free();
    const size_t before = page_faults();
    for (int round = 0; round < 8; ++round) take_and_free();
    EXPECT(page_faults() - before < 3 * kRoundBlocks * kRoundBytes / 4096);
    _exit(contract::has_failed() ? 1 : 0);
  }
  int status = -1;
  EXPECT(waitpid(child, &status, 0) == child && status == 0);
  free(live);
  EXPECT_EQ(set_option("epoch_ms", 10), 0);
}

CASE(a_bare_fork_waits_for_no_thread_that_is_stopped_for_good) {
  if (contract::not_promised_by_libc()) return;
  if (dlsym(RTLD_DEFAULT, "_Fork") == nullptr) return;
  const auto stop_for_good = [](int) {
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    while (true) pause();
  };
  const auto fork_beside_a_stopped_thread = [&] {
    signal(SIGUSR1, stop_for_good);
    stop = false;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, &allocate_until_stopped, nullptr) == 0);
    contract::sleep_milliseconds(20);
    pthread_kill(thread, SIGUSR1);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) contract::sleep_milliseconds(1);
    const pid_t child = bare_fork();
    if (child == 0) _exit(7);
    EXPECT_EQ(contract::wait_for(child, kChildSeconds), 7);
  };
  for (int round = 0; round < 6; ++round) {
    EXPECT_EQ(contract::run_in_child(3 * kChildSeconds, fork_beside_a_stopped_thread), 0);
  }
}

CASE(clone_hands_on_what_it_is_given) {
  void* top = child_stack + sizeof child_stack;
  int value = 5;
  for (const int memory : {0, CLONE_VM, CLONE_VM | CLONE_VFORK, CLONE_VFORK}) {
    shared = 0;
    pid_t parent_id = 0;
    errno = 17;
    const pid_t child = clone(&set_shared, top, memory | CLONE_PARENT_SETTID | SIGCHLD, &value,
                              &parent_id, nullptr, nullptr);
    REQUIRE(child > 0);
    EXPECT_EQ(parent_id, child);
    EXPECT_EQ(errno, 17);
    EXPECT_EQ(contract::wait_for(child, kChildSeconds), 7);
    EXPECT_EQ(shared, (memory & CLONE_VM) != 0 ? 5 : 0);
  }
}

CASE(refusals_of_clone_are_the_kernels) {
  errno = 0;
  EXPECT(clone(&set_shared, child_stack + sizeof child_stack, CLONE_THREAD, nullptr) == -1);
  EXPECT_EQ(errno, EINVAL);
  free(malloc(3000000));
}

RUN_CASES()
