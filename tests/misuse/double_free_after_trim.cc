// All free memory is released in between, but a neighbour keeps the page.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  void* neighbour = malloc(64);
  free(block);
  malloc_trim(0);
  free(misuse::announce(block));
  free(neighbour);
  return 0;
}
