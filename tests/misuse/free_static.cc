// A pointer to a static object.
#include "misuse/misuse.h"

alignas(64) static char object[256];

int main() {
  free(misuse::announce(object));
  return 0;
}
