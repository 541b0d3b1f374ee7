// operator delete, twice.
#include <new>

#include "misuse/misuse.h"

int main() {
  void* block = ::operator new(64);
  ::operator delete(misuse::opaque(block));
  ::operator delete(misuse::announce(block));
  return 0;
}
