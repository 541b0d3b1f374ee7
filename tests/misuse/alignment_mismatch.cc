// A block without alignment is deleted as one of an aligned type.
#include <new>

#include "misuse/misuse.h"

int main() {
  void* block = nullptr;
  for (int tries = 0; tries < 64; ++tries) {
    block = operator new(64);
    if (reinterpret_cast<uintptr_t>(block) % 4096 != 0) break;
  }
  operator delete (misuse::announce(block), size_t{64}, std::align_val_t{4096});
  return 0;
}
