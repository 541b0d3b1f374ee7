// Calls that the kernel refuses to a process with several threads, in programs that have one: a
// large heap's background thread is not what they fail for. The environment makes its clock tick
// every 10 ms, so that it is met at work, parked, and as it ends.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

constexpr double kChildSeconds = 60;
constexpr size_t kBlocks = 200000;
constexpr size_t kSize = 400;

void* blocks[kBlocks];

void allocate_all() {
  for (void*& block : blocks) {
    block = malloc(kSize);
    REQUIRE(block != nullptr);
    memset(block, 1, kSize);
  }
}

void free_all() {
  for (void*& block : blocks) {
    free(block);
    block = nullptr;
  }
}

bool gets_thread() {
  return contract::becomes_true(20, [] { return contract::count_threads() == 2; });
}

// The thread works when it starts, and then rests for an hour.
void let_clock_stand() {
  const auto set_option = reinterpret_cast<int (*)(const char*, uint64_t)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_set_option"));
  if (set_option != nullptr) EXPECT(set_option("epoch_ms", 3'600'000) == 0);
}

// The call of the kernel's, without the library.
bool is_allowed(int flags) {
  return contract::run_in_child(kChildSeconds, [=] { EXPECT(syscall(SYS_unshare, flags) == 0); }) ==
         0;
}

// In a child each, since there is no way back.
void unshare_after(long milliseconds, int flags) {
  EXPECT_EQ(contract::run_in_child(kChildSeconds,
                                   [=] {
                                     allocate_all();
                                     EXPECT(contract::malloc_is_from_libc() || gets_thread());
                                     contract::sleep_milliseconds(milliseconds);
                                     EXPECT(unshare(flags) == 0);
                                     free_all();
                                     allocate_all();
                                     free_all();
                                   }),
            0);
}

}  // namespace

CASE(user_namespaces_can_be_made) {
  if (!is_allowed(CLONE_NEWUSER)) return contract::say("note: not allowed here");
  for (long milliseconds = 0; milliseconds < 400; milliseconds = milliseconds * 2 + 1) {
    unshare_after(milliseconds, CLONE_NEWUSER);
  }
}

// The system no longer counts them. A clock that stands has not looked for them either.
CASE(threads_that_ended_without_a_word_are_not_in_the_way) {
  if (!is_allowed(CLONE_NEWUSER)) return contract::say("note: not allowed here");
  const auto end_without_a_word = [](void*) -> void* {
    free(malloc(kSize));
    syscall(SYS_exit, 0);
    abort();
  };
  const auto body = [=] {
    let_clock_stand();
    allocate_all();
    EXPECT(contract::malloc_is_from_libc() || gets_thread());
    const size_t before = contract::count_threads();
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, end_without_a_word, nullptr) == 0);
    pthread_join(thread, nullptr);
    EXPECT(contract::becomes_true(20, [=] { return contract::count_threads() == before; }));
    EXPECT(unshare(CLONE_NEWUSER) == 0);
    free_all();
  };
  EXPECT_EQ(contract::run_in_child(kChildSeconds, body), 0);
}

CASE(memory_goes_back_afterwards) {
  if (contract::not_promised_by_libc() || !is_allowed(CLONE_NEWUSER)) return;
  EXPECT_EQ(
      contract::run_in_child(kChildSeconds,
                             [] {
                               allocate_all();
                               EXPECT(gets_thread());
                               EXPECT(unshare(CLONE_NEWUSER) == 0);
                               allocate_all();
                               EXPECT(gets_thread());
                               free_all();
                               EXPECT(contract::wait_until_resident(100 * kMiB, 20) <= 100 * kMiB);
                             }),
      0);
}

CASE(namespaces_can_be_joined) {
  const int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  REQUIRE(own >= 0);
  const auto join = [=] {
    allocate_all();
    EXPECT(contract::malloc_is_from_libc() || gets_thread());
    EXPECT(setns(own, CLONE_NEWNS) == 0);
    free_all();
  };
  const int plain = contract::run_in_child(
      kChildSeconds, [=] { EXPECT(syscall(SYS_setns, own, CLONE_NEWNS) == 0); });
  if (plain == 0) {
    EXPECT_EQ(contract::run_in_child(kChildSeconds, join), 0);
  } else {
    contract::say("note: not allowed here");
  }
  close(own);
}

// Another thread would stay in the namespace that this one leaves.
CASE(namespaces_that_were_left_are_kept_by_no_thread) {
  for (const int kind : {CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    if (!is_allowed(kind)) {
      contract::say("note: %x is not allowed here", static_cast<unsigned>(kind));
      continue;
    }
    const auto body = [=] {
      let_clock_stand();
      allocate_all();
      EXPECT(contract::malloc_is_from_libc() || gets_thread());
      EXPECT(unshare(kind) == 0);
      EXPECT_EQ(contract::count_threads(), size_t{1});
    };
    EXPECT_EQ(contract::run_in_child(kChildSeconds, body), 0);
  }
}

// Another thread would keep the table of open files that this one leaves.
CASE(files_are_closed_that_are_no_longer_shared) {
  EXPECT_EQ(contract::run_in_child(kChildSeconds,
                                   [] {
                                     allocate_all();
                                     EXPECT(contract::malloc_is_from_libc() || gets_thread());
                                     int ends[2];
                                     REQUIRE(pipe(ends) == 0);
                                     EXPECT(unshare(CLONE_FILES) == 0);
                                     close(ends[1]);
                                     pollfd end{ends[0], POLLIN, 0};
                                     EXPECT(poll(&end, 1, 2000) == 1 && end.revents == POLLHUP);
                                   }),
            0);
}

// A child of the raw call has no background thread, whatever its copy of the heap says. It does not
// wait for one; each call did for a second.
CASE(a_child_of_a_raw_call_waits_for_no_thread) {
  constexpr int kCalls = 100;
  allocate_all();
  EXPECT(contract::malloc_is_from_libc() || gets_thread());
  const pid_t child = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  if (child == 0) {
    for (int call = 0; call < kCalls; ++call) {
      if (unshare(CLONE_FS) != 0) _exit(1);
    }
    _exit(0);
  }
  EXPECT_EQ(contract::wait_for(child, kChildSeconds), 0);
  free_all();
}

CASE(refusals_are_the_kernels) {
  errno = 0;
  EXPECT(unshare(-1) == -1 && errno == EINVAL);
  errno = 0;
  EXPECT(setns(-1, 0) == -1 && errno == EBADF);
  errno = 7;
  EXPECT(unshare(0) == 0 && errno == 7);
}

RUN_CASES()
