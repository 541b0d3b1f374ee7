// A block is deleted with the size of another type.
#include <new>

#include "misuse/misuse.h"

int main() {
  void* block = misuse::announce(operator new(64));
  operator delete (block, size_t{40});
  return 0;
}
