// realloc of a static object.
#include "misuse/misuse.h"

alignas(64) static char object[256];

int main() {
  return realloc(misuse::announce(object), 1000) == nullptr;
}
