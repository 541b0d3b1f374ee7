// Within a block that has a mapping of its own.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(size_t{200} << 20);
  free(misuse::announce(misuse::at(block, size_t{100} << 20)));
  return 0;
}
