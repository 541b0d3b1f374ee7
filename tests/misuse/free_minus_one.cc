// The error value of mmap.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(~uintptr_t{0}));
  return 0;
}
