// The old address of a block that realloc has moved.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  void* moved = realloc(misuse::opaque(block), 100000);
  free(misuse::announce(block));
  free(moved);
  return 0;
}
