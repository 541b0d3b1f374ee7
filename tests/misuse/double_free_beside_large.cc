// Large blocks make no heap of small ones: the second free is told at the call, whatever came
// between.
#include "misuse/misuse.h"

int main() {
  memset(misuse::opaque(malloc(64 << 20)), 1, 64 << 20);
  void* blocks[8];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  free(misuse::announce(blocks[3]));
  return 0;
}
