// In a large heap, when the block lies in its span already: it has an owner again by then, who must
// not get a second one beside it.
#include "misuse/large_heap.h"

int main() {
  constexpr int kBlocks = 2048;
  misuse::fill_heap();
  void* blocks[kBlocks];
  for (void*& block : blocks) block = malloc(64);
  // The others keep all pages in use.
  for (int index = 0; index < kBlocks; index += 2) free(blocks[index]);
  malloc_trim(0);
  // Makes a list.
  free(blocks[1]);
  void* twice = misuse::announce(blocks[kBlocks / 2]);
  free(twice);
  int owners = 0;
  for (int taken = 0; taken < kBlocks; ++taken) {
    if (misuse::opaque(malloc(64)) == twice) ++owners;
  }
  return owners;
}
