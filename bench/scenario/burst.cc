// burst lifo|fifo [size] [blocks per burst] [bursts]
//
// Allocates a number of blocks of one size and frees them all, the last first as nested calls and
// destructors do, or the first first as queues do; again and again. The shortest way through an
// allocator when the number fits its fastest cache, and the cost of refilling and flushing it when
// it does not.
#include "scenario.h"

int main(int count, char** arguments) {
  if (count < 2) {
    std::fputs("usage: burst lifo|fifo [size] [blocks per burst] [bursts]\n", stderr);
    return 2;
  }
  const bool last_first = std::strcmp(arguments[1], "lifo") == 0;
  const size_t size = scenario::argument(count, arguments, 2, 64);
  const size_t length = scenario::argument(count, arguments, 3, 1000);
  const size_t bursts = scenario::argument(count, arguments, 4, 50000);
  if (size == 0) return 2;
  std::vector<char*> blocks(length);
  for (size_t burst = 0; burst < bursts; ++burst) {
    for (char*& block : blocks) block = scenario::filled_block(size);
    if (last_first) {
      for (size_t index = length; index > 0; --index) std::free(blocks[index - 1]);
    } else {
      for (char* block : blocks) std::free(block);
    }
  }
  return 0;
}
