// A second free of a block whose memory may belong to another by then. Ends with status 3 when two
// owners have the same block.
#include "misuse/misuse.h"

int main() {
  void* block = malloc(64);
  free(block);
  void* volatile other = malloc(64);
  free(misuse::announce(block));
  void* volatile third = malloc(64);
  return third == other ? 3 : 0;
}
