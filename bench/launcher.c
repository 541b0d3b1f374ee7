/* Runs a program and writes what it cost:

     launcher <preload or ""> <result file> program [argument]...

   The result is one line: elapsed, user and system microseconds, peak resident KiB, wait status.
   Static and tiny, because the kernel starts the child's peak at what its parent held at exec. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(struct timeval time) {
  return time.tv_sec * 1000000LL + time.tv_usec;
}

static long long monotonic_microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

int main(int count, char** arguments) {
  if (count < 4) {
    fputs("usage: launcher <preload or \"\"> <result file> program [argument]...\n", stderr);
    return 2;
  }
  /* Not in the child, whose cost would differ between a preload and none. */
  if (arguments[1][0] != '\0') setenv("LD_PRELOAD", arguments[1], 1);
  long long start = monotonic_microseconds();
  pid_t child = fork();
  if (child == 0) {
    execvp(arguments[3], arguments + 3);
    perror(arguments[3]);
    _exit(127);
  }
  int status = 0;
  struct rusage usage;
  if (child < 0 || wait4(child, &status, 0, &usage) != child) {
    perror("launcher");
    return 2;
  }
  long long elapsed = monotonic_microseconds() - start;
  FILE* result = fopen(arguments[2], "w");
  if (result == NULL) {
    perror(arguments[2]);
    return 2;
  }
  fprintf(result, "%lld %lld %lld %ld %d\n", elapsed, microseconds(usage.ru_utime),
          microseconds(usage.ru_stime), usage.ru_maxrss, status);
  return fclose(result) == 0 ? 0 : 2;
}
