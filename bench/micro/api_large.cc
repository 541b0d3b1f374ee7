// Medium and large blocks, and blocks that grow.
#include <string>
#include <vector>

#include "api.h"

namespace micro {
namespace {

constexpr size_t kKiB = size_t{1} << 10;
constexpr size_t kMiB = size_t{1} << 20;

// `live` blocks of these sizes; a random one is replaced each time.
void replace_random(benchmark::State& state, size_t low, size_t high, size_t live) {
  Random random(1);
  std::vector<char*> blocks(live);
  for (char*& block : blocks) block = touched_block(random.between(low, high));
  for (auto _ : state) {
    char*& block = blocks[random.below(live)];
    std::free(block);
    block = touched_block(random.between(low, high));
  }
  for (char* block : blocks) std::free(block);
}

// A block grows from `from` bytes to `to` in steps of `step` bytes, or by half when that is 0. What
// is new is written.
void grow(benchmark::State& state, size_t from, size_t to, size_t step) {
  size_t calls = 0;
  for (auto _ : state) {
    calls = 0;
    size_t size = from;
    char* block = touched_block(size);
    while (size < to) {
      const size_t before = size;
      size += step > 0 ? step : size / 2;
      block = static_cast<char*>(std::realloc(block, size));
      if (block == nullptr) std::abort();
      for (size_t at = before; at < size; at += 64) block[at] = 1;
      ++calls;
    }
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
  report_time_each(state, calls);
}

}  // namespace

void register_large() {
  for (const size_t live : {16, 500, 2000}) {
    add("medium/8K-128K/" + std::to_string(live),
        [live](benchmark::State& state) { replace_random(state, 8 * kKiB, 128 * kKiB, live); });
  }
  add("large/40K-1M/16",
      [](benchmark::State& state) { replace_random(state, 40 * kKiB, kMiB, 16); });
  add("large/1M-32M/8", [](benchmark::State& state) { replace_random(state, kMiB, 32 * kMiB, 8); });
  add("realloc_growth/by_half/16K", [](benchmark::State& state) { grow(state, 16, 16 * kKiB, 0); });
  add("realloc_growth/by_half/16M", [](benchmark::State& state) { grow(state, 16, 16 * kMiB, 0); });
  add("realloc_growth/by_64/4K", [](benchmark::State& state) { grow(state, 16, 4 * kKiB, 64); });
  add("realloc_growth/by_4K/4M",
      [](benchmark::State& state) { grow(state, 4 * kKiB, 4 * kMiB, 4 * kKiB); });
}

}  // namespace micro
