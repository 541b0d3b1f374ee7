// Many blocks are freed in between, so that the first one leaves the cache; not so many that the
// heap is one in which checks are deferred.
#include "misuse/misuse.h"

int main() {
  static void* others[20000];
  void* block = malloc(64);
  for (void*& other : others) other = malloc(64);
  free(block);
  for (void* other : others) free(other);
  free(misuse::announce(block));
  return 0;
}
