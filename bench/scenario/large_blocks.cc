// large_blocks [smallest KiB] [largest KiB] [live blocks] [replacements] [percent touched]
//
// Random replacement of blocks beyond the small sizes, a byte written in each page of their first
// part. 8 to 128 KiB: network and file buffers, rows of images. 40 KiB to 1 MiB: images, database
// pages in bulk, arrays of numbers. 1 to 32 MiB, touched in part: frame buffers, arenas and
// matrices sized for the worst case. What counts is whether pages are used again while they are
// there or fetched from the system anew each time, and what the remainders cost in memory.
#include "scenario.h"

int main(int count, char** arguments) {
  const size_t smallest = scenario::argument(count, arguments, 1, 40) << 10;
  const size_t largest = scenario::argument(count, arguments, 2, 1024) << 10;
  const size_t live = scenario::argument(count, arguments, 3, 200);
  const size_t replacements = scenario::argument(count, arguments, 4, 100000);
  const size_t percent = scenario::argument(count, arguments, 5, 100);
  if (smallest == 0 || largest < smallest || live == 0) return 2;
  scenario::Random random(1);
  std::vector<char*> blocks(live);
  for (size_t step = 0; step < replacements; ++step) {
    char*& block = blocks[random.below(live)];
    std::free(block);
    const size_t size = smallest + random.below(largest - smallest + 1);
    block = scenario::filled_block(size);
    scenario::touch_pages(block, size / 100 * percent);
  }
  for (char* block : blocks) std::free(block);
  return 0;
}
