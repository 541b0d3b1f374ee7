// malloc_usable_size within a block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  return malloc_usable_size(misuse::announce(misuse::at(block, 16))) == 1;
}
