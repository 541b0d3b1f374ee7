// In a large heap, with another block freed in between: it shows before the block has two owners.
#include "misuse/large_heap.h"

int main() {
  misuse::fill_heap();
  void* block = malloc(64);
  void* other = malloc(64);
  void* another = malloc(64);
  free(another);
  free(block);
  free(other);
  free(misuse::announce(block));
  for (int taken = 0; taken < 3; ++taken) misuse::opaque(malloc(64));
  return 0;
}
