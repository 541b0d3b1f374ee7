// A word behind a block.
#include "misuse/misuse.h"

int main() {
  char* block = static_cast<char*>(misuse::announce(malloc(64)));
  memset(block + 64, 1, 8);
  free(block);
  return 0;
}
