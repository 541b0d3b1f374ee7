// Beyond a few MiB of heap free does not look into the block; the last one it knows.
#include "misuse/large_heap.h"

int main() {
  misuse::fill_heap();
  void* block = malloc(64);
  void* other = malloc(64);
  free(other);
  free(block);
  free(misuse::announce(block));
  return 0;
}
