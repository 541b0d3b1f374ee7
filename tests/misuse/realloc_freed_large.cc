// realloc of a free large block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(1 << 20);
  free(block);
  return realloc(misuse::announce(block), 2 << 20) == nullptr;
}
