// free_sized is told another size than the block has. Where the C library has no free_sized, the
// block is freed without one.
#include "misuse/misuse.h"

extern "C" [[gnu::weak]] void free_sized(void* block, size_t size);

int main() {
  void* block = misuse::announce(malloc(64));
  if (free_sized == nullptr) {
    free(block);
  } else {
    free_sized(block, 40);
  }
  return 0;
}
