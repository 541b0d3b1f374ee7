/* Forks of a program with a library whose handlers were registered before all others. A program in
 * C: the runtime of C++ would allocate before the library is there. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract/early_handlers_library.h"

static int forks_well(const char* name) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  int status = -1;
  if (child > 0 && waitpid(child, &status, 0) == child && status == 0) return 1;
  fprintf(stderr, "FAILED %s: status %d\n", name, status);
  return 0;
}

int main(void) {
  /* A fork that waits for ever is ended. */
  alarm(30);
  for (int i = 0; i < 20; ++i) {
    if (!start_worker() || !forks_well("a handler ends a thread")) return 1;
    if (worker_is_running()) return 1;
  }
  start_workers_in_children();
  for (int i = 0; i < 20; ++i) {
    if (!forks_well("a handler starts a thread in the child")) return 1;
  }
  return 0;
}
