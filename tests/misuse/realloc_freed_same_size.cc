// realloc of a free block to a size that it has already.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(block);
  return realloc(misuse::announce(block), 60) == nullptr;
}
