// A word behind a block of its own pages.
#include "misuse/misuse.h"

int main() {
  char* block = static_cast<char*>(misuse::announce(malloc(1 << 20)));
  memset(block + (1 << 20), 1, 8);
  free(block);
  return 0;
}
