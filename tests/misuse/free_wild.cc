// A value that is no address at all.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(uintptr_t{0xdeadbeefdeadbeef}));
  return 0;
}
