// A block of several kilobytes.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(8192);
  free(block);
  free(misuse::announce(block));
  return 0;
}
