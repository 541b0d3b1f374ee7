// Within a large block, in a page that is not its first.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(1 << 20);
  free(misuse::announce(misuse::at(block, 300000)));
  return 0;
}
