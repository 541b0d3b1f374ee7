// One byte behind a block, as a string without room for its end.
#include "misuse/misuse.h"

int main() {
  char* block = static_cast<char*>(misuse::announce(malloc(56)));
  block[56] = 0;
  free(block);
  return 0;
}
