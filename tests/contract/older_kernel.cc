// Runs a program as under a kernel that knows no marks for guard pages.
//
//   older_kernel program [argument]...
#include "support/older_kernel.h"

#include <stdio.h>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (spanmalloc::testing::forbid_guard_marks()) execv(argv[1], argv + 1);
  perror(argv[1]);
  return 127;
}
