// A number is written over the link of the block on top of a list that is full, and so is not the
// one that is used at once.
#include "misuse/misuse.h"

int main() {
  constexpr int kFirstList = 32;
  void* blocks[kFirstList + 1];
  for (void*& block : blocks) block = malloc(64);
  for (void* block : blocks) free(block);
  memset(misuse::announce(blocks[kFirstList - 1]), 1, 8);
  for (int i = 0; i < 200; ++i) memset(malloc(64), 1, 64);
  return 0;
}
