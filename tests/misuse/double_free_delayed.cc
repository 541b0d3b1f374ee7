// Another block is freed in between.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  void* other = malloc(64);
  free(block);
  free(other);
  free(misuse::announce(block));
  return 0;
}
