// larson [threads] [blocks per thread] [replacements per thread and generation] [generations]
//
// After Larson and Krishnan, "Memory allocation for long-running server applications" (ISMM 1998):
// threads replace random blocks of their array by blocks of random size, then end and leave the
// array to a successor, who frees blocks it did not allocate. It stands for servers that move
// connections between worker threads.
#include "scenario.h"

int main(int count, char** arguments) {
  const size_t threads = scenario::argument(count, arguments, 1, 4);
  const size_t blocks = scenario::argument(count, arguments, 2, 10000);
  const size_t replacements = scenario::argument(count, arguments, 3, 500000);
  const size_t generations = scenario::argument(count, arguments, 4, 10);
  std::vector<std::vector<char*>> arrays(threads, std::vector<char*>(blocks));
  for (size_t generation = 0; generation < generations; ++generation) {
    scenario::run_threads(threads, [&](size_t index) {
      scenario::Random random(generation * threads + index + 1);
      std::vector<char*>& array = arrays[(index + generation) % threads];
      for (size_t step = 0; step < replacements; ++step) {
        char*& block = array[random.below(blocks)];
        std::free(block);
        block = scenario::filled_block(8 + random.below(992));
      }
    });
  }
  for (auto& array : arrays) {
    for (char* block : array) std::free(block);
  }
  return 0;
}
