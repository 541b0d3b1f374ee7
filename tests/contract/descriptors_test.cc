// Closed standard descriptors: the allocator neither opens, keeps, nor needs any.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

void use_heap() {
  for (size_t size = 1; size < (size_t{100} << 20); size = size * 3 + 1) {
    void* block = calloc(1, size);
    if (block == nullptr) _exit(3);
    block = realloc(block, size * 2);
    if (block == nullptr) _exit(3);
    free(block);
  }
  malloc_trim(0);
  malloc_stats();
}

void* in_thread(void*) {
  use_heap();
  return nullptr;
}

bool is_closed(int descriptor) {
  return fcntl(descriptor, F_GETFD) < 0 && errno == EBADF;
}

// Runs with descriptors 0, 1 and 2 closed from the start of the process.
int closed_child() {
  if (!is_closed(0) || !is_closed(1) || !is_closed(2)) return 2;
  use_heap();
  pthread_t thread;
  if (pthread_create(&thread, nullptr, in_thread, nullptr) != 0) return 4;
  pthread_join(thread, nullptr);
  for (int descriptor = 0; descriptor < 64; ++descriptor) {
    if (!is_closed(descriptor)) return 5;
  }
  return 7;
}

// With stderr closed the sentence about a misuse goes nowhere; the abort stays.
int misuse_child() {
  char on_the_stack[64] = "";
  free(contract::opaque(on_the_stack + 16));
  return 0;
}

int run_with_closed(const char* argument) {
  const pid_t child = fork();
  if (child == 0) {
    for (int descriptor = 0; descriptor < 64; ++descriptor) close(descriptor);
    execl("/proc/self/exe", "self", argument, static_cast<char*>(nullptr));
    _exit(127);
  }
  return contract::wait_for(child, 20);
}

}  // namespace

CASE(closed_descriptors_stay_closed) {
  EXPECT_EQ(run_with_closed("closed"), 7);
}

CASE(misuse_with_closed_stderr_aborts) {
  EXPECT_EQ(run_with_closed("misuse"), -SIGABRT);
}

// A reader of stderr that is gone must not turn a report into a SIGPIPE that is handled.
CASE(misuse_with_a_broken_pipe_ends_the_process) {
  const pid_t child = fork();
  if (child == 0) {
    int ends[2];
    if (pipe(ends) != 0) _exit(3);
    close(ends[0]);
    dup2(ends[1], 2);
    signal(SIGPIPE, SIG_IGN);
    execl("/proc/self/exe", "self", "misuse", static_cast<char*>(nullptr));
    _exit(127);
  }
  EXPECT_EQ(contract::wait_for(child, 20), -SIGABRT);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "closed") == 0) return closed_child();
  if (argc > 1 && strcmp(argv[1], "misuse") == 0) return misuse_child();
  return contract::run_cases(argc, argv);
}
