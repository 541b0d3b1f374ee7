// A block that was written to after its free is handed out again, sooner or later.
#include "misuse/misuse.h"

int main() {
  char* block = static_cast<char*>(misuse::announce(malloc(64)));
  free(block);
  block[40] = 1;
  for (int round = 0; round < 100000; ++round) free(misuse::opaque(malloc(64)));
  return 0;
}
