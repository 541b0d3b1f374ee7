// A pointer to a local array.
#include "misuse/misuse.h"

int main() {
  alignas(16) char local[64] = "";
  free(misuse::announce(local + 16));
  return 0;
}
