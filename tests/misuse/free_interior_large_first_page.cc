// Within the first page of a large block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(1 << 20);
  free(misuse::announce(misuse::at(block, 64)));
  return 0;
}
