// A small number taken for a pointer.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(uintptr_t{16}));
  return 0;
}
