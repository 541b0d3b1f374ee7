// fragmentation [MiB per phase] [phases]
//
// Phases of life: each phase fills memory with blocks of its own range of sizes, then all but a
// random tenth are freed, and the next phase asks for larger ones. Holes left by one phase rarely
// fit the next, so what counts here is peak memory: how much of a sparsely used heap the allocator
// reuses or returns. Compilers, browsers and build servers live this way.
#include "scenario.h"

int main(int count, char** arguments) {
  const size_t phase_bytes = scenario::argument(count, arguments, 1, 64) << 20;
  const size_t phases = scenario::argument(count, arguments, 2, 10);
  scenario::Random random(1);
  std::vector<char*> survivors;
  size_t smallest = 24;
  for (size_t phase = 0; phase < phases; ++phase) {
    std::vector<char*> blocks;
    for (size_t bytes = 0; bytes < phase_bytes;) {
      const size_t size = smallest + random.below(smallest);
      blocks.push_back(scenario::filled_block(size));
      bytes += size;
    }
    for (char* block : blocks) {
      if (random.below(10) == 0) {
        survivors.push_back(block);
      } else {
        std::free(block);
      }
    }
    smallest = smallest * 2;
  }
  for (char* block : survivors) std::free(block);
  return 0;
}
