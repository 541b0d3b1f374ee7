// A small block is overflowed far beyond the memory of its size class.
#include "misuse/misuse.h"

int main() {
  volatile char* block = static_cast<char*>(misuse::announce(malloc(64)));
  for (size_t at = 0; at < (size_t{256} << 10); at += 16) block[at] = 'x';
  return 0;
}
