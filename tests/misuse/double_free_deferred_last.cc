// In a large heap, the last of its list the first time; the list goes back to the spans when the
// block has an owner again, who must not get a second one beside it.
#include "misuse/large_heap.h"

int main() {
  constexpr int kBlocks = 100;
  constexpr int kTaken = 1000;
  misuse::fill_heap();
  void* blocks[kBlocks];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  void* twice = misuse::announce(blocks[0]);
  free(twice);
  int owners = misuse::opaque(malloc(64)) == twice ? 1 : 0;
  malloc_trim(0);
  for (int taken = 0; taken < kTaken; ++taken) {
    if (misuse::opaque(malloc(64)) == twice) ++owners;
  }
  return owners;
}
