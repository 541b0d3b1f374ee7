// A freed block of its own pages is read. Ends with status 3 when the content is still there.
#include "misuse/misuse.h"

int main() {
  volatile char* block = static_cast<char*>(misuse::announce(malloc(1 << 20)));
  block[5000] = 7;
  free(misuse::opaque(const_cast<char*>(block)));
  return block[5000] == 7 ? 3 : 0;
}
