// vfork, posix_spawn, system and popen from a process whose threads allocate.
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

extern char** environ;

namespace {

bool stop = false;

void* work(void*) {
  for (size_t size = 1; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); size = (size * 5 + 1) % 100000) {
    free(malloc(size));
  }
  return nullptr;
}

class Workers {
 public:
  Workers() {
    stop = false;
    for (pthread_t& thread : threads_) pthread_create(&thread, nullptr, work, nullptr);
  }
  ~Workers() {
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  }

 private:
  pthread_t threads_[4];
};

const char* const kTrue = "/bin/true";

}  // namespace

CASE(vfork_works) {
  const Workers workers;
  for (int i = 0; i < 150; ++i) {
    void* block = malloc(1000);
    const pid_t child = vfork();
    if (child == 0) {
      execl(kTrue, kTrue, static_cast<char*>(nullptr));
      _exit(127);
    }
    REQUIRE(child > 0);
    EXPECT_EQ(contract::wait_for(child, 10), 0);
    free(block);
  }
}

// The child shares the memory: what it allocates before exec is the parent's too.
CASE(vfork_child_may_allocate) {
  for (int i = 0; i < 50; ++i) {
    void* volatile block = nullptr;
    const pid_t child = vfork();
    if (child == 0) {
      block = malloc(5000);
      free(malloc(100));
      execl(kTrue, kTrue, static_cast<char*>(nullptr));
      _exit(127);
    }
    REQUIRE(child > 0);
    EXPECT_EQ(contract::wait_for(child, 10), 0);
    EXPECT(block != nullptr);
    memset(block, 1, 5000);
    free(block);
  }
}

// As the C library's posix_spawn does it: the child shares the memory on a stack of its own.
CASE(cloned_child_may_allocate) {
  alignas(16) static char stack[128 * contract::kKiB];
  static void* block;
  const auto life = [](void*) {
    for (size_t size = 1; size < 10000000; size = size * 3 + 1) free(malloc(size));
    block = malloc(5000);
    return 7;
  };
  for (int i = 0; i < 50; ++i) {
    block = nullptr;
    const pid_t child =
        clone(life, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
    REQUIRE(child > 0);
    EXPECT_EQ(contract::wait_for(child, 10), 7);
    REQUIRE(block != nullptr);
    memset(block, 1, 5000);
    free(block);
  }
}

CASE(posix_spawn_works) {
  const Workers workers;
  for (int i = 0; i < 150; ++i) {
    char name[] = "true";
    char* const arguments[] = {name, nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    pid_t child = 0;
    REQUIRE(posix_spawn(&child, kTrue, &actions, nullptr, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(contract::wait_for(child, 10), 0);
  }
}

CASE(popen_and_system_work) {
  const Workers workers;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(system("exit 3"), 3 << 8);
    FILE* pipe = popen("echo hello", "r");
    REQUIRE(pipe != nullptr);
    char line[64] = "";
    EXPECT(fgets(line, sizeof line, pipe) != nullptr && strcmp(line, "hello\n") == 0);
    EXPECT_EQ(pclose(pipe), 0);
  }
}

RUN_CASES()
