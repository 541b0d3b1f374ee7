// Twice in a row.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(block);
  free(misuse::announce(block));
  return 0;
}
