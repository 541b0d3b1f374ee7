// A freed block is read. Ends with status 3 when what was written is still there.
#include "misuse/misuse.h"

int main() {
  volatile char* block = static_cast<char*>(misuse::announce(malloc(64)));
  block[40] = 7;
  free(misuse::opaque(const_cast<char*>(block)));
  return block[40] == 7 ? 3 : 0;
}
