// realloc of a free small block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(block);
  return realloc(misuse::announce(block), 1000) == nullptr;
}
