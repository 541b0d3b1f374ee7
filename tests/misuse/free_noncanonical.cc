// The first address beyond the user's half of the address space.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(uintptr_t{1} << 47));
  return 0;
}
