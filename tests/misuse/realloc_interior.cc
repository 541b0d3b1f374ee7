// realloc within a block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  return realloc(misuse::announce(misuse::at(block, 32)), 1000) == nullptr;
}
