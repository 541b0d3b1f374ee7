// One byte into a small block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(misuse::announce(misuse::at(block, 1)));
  malloc_trim(0);
  return 0;
}
