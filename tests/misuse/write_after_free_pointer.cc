// The link is replaced by the address of a static object.
#include "misuse/misuse.h"

alignas(64) static char object[256];

int main() {
  void* blocks[8];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  *static_cast<void**>(misuse::announce(blocks[7])) = object;
  for (int i = 0; i < 8; ++i) memset(malloc(64), 1, 64);
  return 0;
}
