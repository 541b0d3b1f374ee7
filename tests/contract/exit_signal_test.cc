// exit and _exit inside a signal handler that interrupts malloc. No exit handler of the program
// allocates: that is allowed to none there. Each child is this program again.
#include <malloc.h>
#include <stdlib.h>
#include <sys/time.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr int kRounds = 80;
constexpr int kStatus = 7;

void exit_in_handler(int) {
  exit(kStatus);
}
void leave_in_handler(int) {
  _exit(kStatus);
}

// Mallocs and frees so that all levels are visited, until the timer ends it.
[[noreturn]] void allocate_until_interrupted() {
  static constexpr size_t kBlocks = 500;
  static void* blocks[kBlocks];
  for (size_t round = 0;; ++round) {
    const size_t size = size_t{16} << round % 11;
    for (void*& block : blocks) block = malloc(size);
    for (void* block : blocks) free(block);
    free(calloc(1, size_t{300000} << round % 4));
    if (round % 8 == 0) malloc_trim(0);
  }
}

int child(const char* how) {
  signal(SIGALRM, how[6] == '_' ? leave_in_handler : exit_in_handler);
  itimerval timer{};
  timer.it_value.tv_usec = 200 + atoi(how + 7) * 97 % 4000;
  setitimer(ITIMER_REAL, &timer, nullptr);
  allocate_until_interrupted();
}

void run_children(char kind) {
  for (int round = 0; round < kRounds && !contract::has_failed(); ++round) {
    char argument[32];
    snprintf(argument, sizeof argument, "child:%c%d", kind, round);
    EXPECT_EQ(contract::run_self(argument, 10), kStatus);
  }
}

}  // namespace

CASE(a_handler_that_interrupted_malloc_may_exit) {
  run_children('e');
}

CASE(a_handler_that_interrupted_malloc_may_end_the_process_at_once) {
  run_children('_');
}

int main(int argc, char** argv) {
  if (argc > 1 && strncmp(argv[1], "child:", 6) == 0) return child(argv[1]);
  return contract::run_cases(argc, argv);
}
