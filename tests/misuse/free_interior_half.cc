// Half way into a block whose half is a size class as well.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(4096);
  free(misuse::announce(misuse::at(block, 2048)));
  malloc_trim(0);
  return 0;
}
