// The parts of bench.micro_api: benchmarks of the malloc that the process has, whichever it is.
#ifndef SPANMALLOC_BENCH_MICRO_API_H_
#define SPANMALLOC_BENCH_MICRO_API_H_

#include <cstddef>
#include <cstdlib>

#include "micro.h"

namespace micro {

void register_small();
void register_large();
void register_threads();
void register_fresh();
// What the program does when register_fresh()'s benchmark has started it again: touches `bytes`
// bytes of fresh memory and prints the nanoseconds that took.
void touch_fresh_memory(size_t bytes);

// A block whose first and last byte were written, as a program would.
inline char* touched_block(size_t size) {
  char* block = static_cast<char*>(std::malloc(size));
  if (block == nullptr) std::abort();
  block[0] = 1;
  block[size - 1] = 1;
  benchmark::DoNotOptimize(block);
  return block;
}

}  // namespace micro

#endif  // SPANMALLOC_BENCH_MICRO_API_H_
