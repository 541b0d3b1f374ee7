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
  std::vector<char*> blocks;
  size_t smallest = 24;
  blocks.reserve(phase_bytes / smallest + 1);  // no growth of our own between the blocks
  survivors.reserve(phase_bytes / smallest + 1);
  for (size_t phase = 0; phase < phases; ++phase) {
    blocks.clear();
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
  uint64_t sum = 0;
  for (char* block : survivors) {
    sum += scenario::check_bytes(block, 1);
    std::free(block);
  }
  std::printf("%zu survivors, %llu\n", survivors.size(), static_cast<unsigned long long>(sum));
  return 0;
}
