// A signal handler that allocates may interrupt fork, which is no part of malloc: wherever the
// allocator's own fork handlers are then, with locks half taken or half given back.
#include <malloc.h>
#include <stdlib.h>
#include <sys/time.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr int kForks = 4000;

volatile sig_atomic_t in_fork = 0;
volatile sig_atomic_t interrupted = 0;

void allocate_in_handler(int) {
  if (!in_fork) return;
  const int saved = errno;
  interrupted = interrupted + 1;
  for (size_t size = 16; size < 400000; size *= 3) {
    void* block = malloc(size);
    if (block == nullptr) abort();
    memset(block, 1, size < 100 ? size : 100);
    free(block);
  }
  if (interrupted % 2 == 0) malloc_trim(0);
  errno = saved;
}

// Once each time: a timer that goes on would make the kernel begin a slow fork anew for ever.
void arm_timer(long microseconds) {
  itimerval timer{};
  timer.it_value.tv_usec = microseconds;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

}  // namespace

CASE(handlers_that_interrupt_fork_may_allocate) {
  struct sigaction action {};
  action.sa_handler = allocate_in_handler;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
  free(malloc(100));
  int forks = 0;
  for (; forks < kForks && !contract::has_failed(); ++forks) {
    arm_timer(1 + forks % 100);
    in_fork = 1;
    const pid_t child = fork();
    in_fork = 0;
    if (child == 0) {
      free(malloc(100));
      free(malloc(300000));
      _exit(0);
    }
    REQUIRE(child > 0);
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    EXPECT_EQ(status, 0);
  }
  arm_timer(0);
  contract::say("%d forks, %d of them interrupted", forks, static_cast<int>(interrupted));
  EXPECT(interrupted > 0);
}

RUN_CASES()
