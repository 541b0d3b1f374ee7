// One byte of the list link of a free block changes.
#include "misuse/misuse.h"

int main() {
  void* blocks[8];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  *static_cast<unsigned char*>(misuse::announce(blocks[7])) ^= 0x40;
  for (int i = 0; i < 8; ++i) memset(malloc(64), 1, 64);
  return 0;
}
