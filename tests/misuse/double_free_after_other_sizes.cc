// Blocks of other sizes come and go in between.
#include "misuse/misuse.h"

int main() {
  // Keeps the span of its class.
  void* neighbour = malloc(64);
  void* block = malloc(64);
  free(block);
  for (size_t i = 0; i < 100000; ++i) free(malloc(100 + i % 5000));
  free(misuse::announce(block));
  free(neighbour);
  return 0;
}
