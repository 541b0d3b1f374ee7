// Within a small block, at an aligned address.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(misuse::announce(misuse::at(block, 16)));
  malloc_trim(0);
  return 0;
}
