// An address near the heap that was never allocated.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(misuse::announce(misuse::at(block, size_t{1} << 30)));
  return 0;
}
