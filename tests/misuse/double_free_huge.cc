// A block that had a mapping of its own.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(size_t{200} << 20);
  free(block);
  free(misuse::announce(block));
  return 0;
}
