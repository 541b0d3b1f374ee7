// What the scenario programs share: arguments, a fast random source, a set of threads.
#ifndef SPANMALLOC_BENCH_SCENARIO_SCENARIO_H_
#define SPANMALLOC_BENCH_SCENARIO_SCENARIO_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "../random.h"

namespace scenario {

// The number given as argument `index`, or `otherwise` when there is none.
inline size_t argument(int count, char** arguments, int index, size_t otherwise) {
  return index < count ? std::strtoul(arguments[index], nullptr, 10) : otherwise;
}

class Random : public bench::Random {
 public:
  using bench::Random::Random;

  // A size as server programs ask for them: mostly 16 to 256 bytes, some to 4 KiB, few to 64 KiB.
  size_t server_size() {
    const size_t kind = below(100);
    if (kind < 80) return 16 + below(240);
    if (kind < 98) return 256 + below(4096 - 256);
    return 4096 + below(65536 - 4096);
  }
};

// Allocates `size` bytes and writes the first and the last, as a program would.
inline char* filled_block(size_t size) {
  char* block = static_cast<char*>(std::malloc(size));
  if (block == nullptr) {
    std::fputs("out of memory\n", stderr);
    std::exit(1);
  }
  block[0] = static_cast<char>(size);
  block[size - 1] = static_cast<char>(size >> 8);
  return block;
}

// What a reader of the block sees of filled_block(): the same sum under every allocator.
inline uint64_t check_bytes(const char* block, size_t size) {
  return static_cast<unsigned char>(block[0]) + static_cast<unsigned char>(block[size - 1]);
}

// Writes one byte in every page of the first `bytes` of the block.
inline void touch_pages(char* block, size_t bytes) {
  constexpr size_t kPage = 4096;
  for (size_t offset = 0; offset < bytes; offset += kPage) block[offset] = 1;
}

// Runs body(index) on `count` threads and waits for all.
template <typename Body>
void run_threads(size_t count, Body body) {
  std::vector<std::thread> threads;
  for (size_t index = 0; index < count; ++index) threads.emplace_back(body, index);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace scenario

#endif  // SPANMALLOC_BENCH_SCENARIO_SCENARIO_H_
