// An address that only five-level page tables have.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce((uintptr_t{1} << 56) - 8192));
  return 0;
}
