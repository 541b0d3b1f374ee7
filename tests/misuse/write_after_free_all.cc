// A free block is written over as a whole.
#include "misuse/misuse.h"

int main() {
  void* blocks[8];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  memset(misuse::announce(blocks[7]), 0x41, 64);
  for (int i = 0; i < 8; ++i) memset(malloc(64), 1, 64);
  return 0;
}
