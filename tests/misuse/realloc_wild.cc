// realloc of a value that is no address.
#include "misuse/misuse.h"

int main() {
  return realloc(misuse::announce(uintptr_t{0xdeadbeefdeadbeef}), 1000) == nullptr;
}
