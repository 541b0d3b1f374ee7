// A pointer to code.
#include "misuse/misuse.h"

int main() {
  free(misuse::announce(reinterpret_cast<uintptr_t>(&abort)));
  return 0;
}
