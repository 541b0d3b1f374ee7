// A large block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(1 << 20);
  free(block);
  free(misuse::announce(block));
  return 0;
}
