// A process ends with its last thread, whichever that is and whatever threads the allocator has.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr double kSeconds = 20;

// Enough for the allocator to want a thread of its own.
void use_much_memory() {
  static constexpr size_t kBlocks = 1000;
  static constexpr size_t kBytes = 100000;
  static thread_local void* blocks[kBlocks];
  for (void*& block : blocks) {
    block = malloc(kBytes);
    memset(block, 1, kBytes);
  }
  for (void* block : blocks) free(block);
}

void* use_memory_and_end(void*) {
  use_much_memory();
  contract::sleep_milliseconds(200);
  return nullptr;
}

void end_first() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, use_memory_and_end, nullptr) != 0) abort();
  use_much_memory();
  pthread_exit(nullptr);
}

void end_last() {
  use_much_memory();
  pthread_exit(nullptr);
}

// So much that the allocator's thread does not end for want of work.
void keep_much_memory() {
  constexpr size_t kBytes = size_t{64} << 20;
  void* volatile block = malloc(kBytes);
  memset(block, 1, kBytes);
  contract::sleep_milliseconds(50);
}

void* end_at_once(void*) {
  pthread_exit(nullptr);
}

void end_last_without_descriptors() {
  // The C library loads what it needs for it.
  pthread_t thread;
  if (pthread_create(&thread, nullptr, end_at_once, nullptr) != 0) abort();
  pthread_join(thread, nullptr);
  keep_much_memory();
  const rlimit few{64, 64};
  if (setrlimit(RLIMIT_NOFILE, &few) != 0) abort();
  while (open("/dev/null", O_RDONLY) >= 0) {
  }
  pthread_exit(nullptr);
}

void end_last_without_proc() {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("none", "/proc", "tmpfs", 0, nullptr) != 0) {
    contract::say("note: /proc cannot be hidden here");
    _exit(0);
  }
  keep_much_memory();
  end_first();
}

constexpr int kOnOwnThread = 3;
constexpr int kOnOtherThread = 4;
pthread_t last_thread;

void tell_thread() {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  const bool is_own = pthread_equal(pthread_self(), last_thread) != 0;
  _exit(is_own && sigismember(&blocked, SIGTERM) == 0 ? kOnOwnThread : kOnOtherThread);
}

void* use_memory_and_end_last(void* first) {
  last_thread = pthread_self();
  pthread_join(*static_cast<pthread_t*>(first), nullptr);
  use_memory_and_end(nullptr);
  return nullptr;
}

void handle_exit_on_main_thread() {
  last_thread = pthread_self();
  atexit(tell_thread);
  use_much_memory();
  contract::sleep_milliseconds(50);
  pthread_exit(nullptr);
}

void handle_exit_on_other_thread() {
  static pthread_t main_thread;
  main_thread = pthread_self();
  atexit(tell_thread);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, use_memory_and_end_last, &main_thread) != 0) abort();
  pthread_exit(nullptr);
}

// Keys made later than the allocator's: their destructors run after its own.
void allocate_again(void*) {
  use_much_memory();
}

void end_with_late_allocation() {
  use_much_memory();
  pthread_key_t key;
  if (pthread_key_create(&key, allocate_again) != 0) abort();
  pthread_setspecific(key, "a value");
  handle_exit_on_main_thread();
}

struct Role {
  const char* name;
  void (*play)();
};
constexpr Role kRoles[] = {
    {"end_first", end_first},
    {"end_last", end_last},
    {"end_last_without_descriptors", end_last_without_descriptors},
    {"end_last_without_proc", end_last_without_proc},
    {"handle_exit_on_main_thread", handle_exit_on_main_thread},
    {"handle_exit_on_other_thread", handle_exit_on_other_thread},
    {"end_with_late_allocation", end_with_late_allocation},
};

// Waits for ever, and never allocates.
void* sleep_on(void*) {
  while (true) pause();
}

}  // namespace

CASE(the_process_ends_when_the_system_does_not_tell_of_its_threads) {
  EXPECT_EQ(contract::run_self("end_last_without_descriptors", kSeconds), 0);
  EXPECT_EQ(contract::run_self("end_last_without_proc", kSeconds), 0);
}

CASE(exit_handlers_run_on_the_last_thread_of_the_program) {
  for (const char* role :
       {"handle_exit_on_main_thread", "handle_exit_on_other_thread", "end_with_late_allocation"}) {
    EXPECT_EQ(contract::run_self(role, kSeconds), kOnOwnThread);
  }
}

CASE(threads_that_never_allocated_go_on_after_the_last_that_did) {
  const auto body = [] {
    pthread_t sleeper;
    REQUIRE(pthread_create(&sleeper, nullptr, sleep_on, nullptr) == 0);
    use_much_memory();
    pthread_exit(nullptr);
  };
  const pid_t child = fork();
  if (child == 0) body();
  contract::sleep_milliseconds(300);
  EXPECT_EQ(kill(child, SIGTERM), 0);
  EXPECT_EQ(contract::wait_for(child, kSeconds), -SIGTERM);
}

CASE(the_main_thread_may_end_first) {
  EXPECT_EQ(contract::run_self("end_first", kSeconds), 0);
}

CASE(the_main_thread_may_end_last_by_pthread_exit) {
  EXPECT_EQ(contract::run_self("end_last", kSeconds), 0);
}

CASE(the_main_thread_of_a_child_may_end_first) {
  EXPECT_EQ(contract::run_in_child(kSeconds, end_first), 0);
}

CASE(the_main_thread_of_a_child_may_end_last_by_pthread_exit) {
  EXPECT_EQ(contract::run_in_child(kSeconds, end_last), 0);
}

int main(int argc, char** argv) {
  for (const Role& role : kRoles) {
    if (argc == 2 && strcmp(argv[1], role.name) == 0) role.play();
  }
  return contract::run_cases(argc, argv);
}
