// A word behind a block.
#include "misuse/misuse.h"

int main() {
  char* block = static_cast<char*>(misuse::announce(malloc(64)));
  // Bytes that differ: a canary is one byte, repeated, and may be any odd one.
  memcpy(block + 64, "overflow", 8);
  free(block);
  return 0;
}
