// malloc_usable_size of a free block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(block);
  return malloc_usable_size(misuse::announce(block)) == 1;
}
