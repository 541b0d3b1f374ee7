// An address of the kernel's half.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(uintptr_t{0xffffffff80000000}));
  return 0;
}
