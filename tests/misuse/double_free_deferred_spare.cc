// In a large heap, on top of a list that is full and, a second time, of the one behind it: it shows
// before the block has two owners.
#include "misuse/large_heap.h"

int main() {
  constexpr int kFirstList = 32;
  constexpr int kTaken = 200;
  misuse::fill_heap();
  void* blocks[kFirstList + 1];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  void* twice = misuse::announce(blocks[kFirstList - 1]);
  free(twice);
  int owners = 0;
  for (int taken = 0; taken < kTaken; ++taken) {
    if (misuse::opaque(malloc(64)) == twice) ++owners;
  }
  return owners;
}
