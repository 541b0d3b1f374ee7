// The smallest block there is.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(1);
  free(block);
  free(misuse::announce(block));
  return 0;
}
