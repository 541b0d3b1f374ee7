// thread_churn [threads in all] [blocks per thread]
//
// Short-lived threads, eight at a time: each allocates, frees a half, leaves the other half to the
// next generation, and ends. Starting a thread's cache must be cheap, and what a dead thread
// cached must reach the living ones, or memory grows with the number of threads ever started.
#include "scenario.h"

int main(int count, char** arguments) {
  constexpr size_t kAtOnce = 8;
  const size_t generations = scenario::argument(count, arguments, 1, 8000) / kAtOnce;
  const size_t blocks = scenario::argument(count, arguments, 2, 1000);
  std::vector<std::vector<char*>> inherited(kAtOnce);
  for (size_t generation = 0; generation < generations; ++generation) {
    scenario::run_threads(kAtOnce, [&](size_t index) {
      scenario::Random random(generation * kAtOnce + index + 1);
      for (char* block : inherited[index]) std::free(block);
      inherited[index].clear();
      for (size_t number = 0; number < blocks; ++number) {
        char* block = scenario::filled_block(16 + random.below(1000));
        if (number % 2 == 0) {
          std::free(block);
        } else {
          inherited[index].push_back(block);
        }
      }
    });
  }
  for (auto& blocks_left : inherited) {
    for (char* block : blocks_left) std::free(block);
  }
  return 0;
}
