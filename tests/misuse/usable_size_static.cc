// malloc_usable_size of a static object.
#include "misuse/misuse.h"

alignas(64) static char object[256];

int main() {
  return malloc_usable_size(misuse::announce(object)) == 1;
}
