// A wild value that is aligned as a block is.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(uintptr_t{0xdeadbeefdeadbee0}));
  return 0;
}
