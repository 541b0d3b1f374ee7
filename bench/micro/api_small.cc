// Small blocks on one thread.
#include <array>
#include <string>
#include <vector>

#include "api.h"

namespace micro {
namespace {

void hot_pair(benchmark::State& state, size_t size) {
  for (auto _ : state) {
    void* block = std::malloc(size);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}

// A few blocks of mixed sizes; one is replaced each time.
void hot_mix(benchmark::State& state) {
  Random random(1);
  std::array<char*, 8> blocks{};
  for (auto _ : state) {
    char*& block = blocks[random.below(blocks.size())];
    std::free(block);
    block = touched_block(random.between(16, 1024));
  }
  for (char* block : blocks) std::free(block);
}

enum class Order { kLastFirst, kFirstFirst };

// `count` blocks, then none.
void burst(benchmark::State& state, size_t size, size_t count, Order order) {
  std::vector<char*> blocks(count);
  for (auto _ : state) {
    for (char*& block : blocks) block = touched_block(size);
    if (order == Order::kFirstFirst) {
      for (char* block : blocks) std::free(block);
    } else {
      for (size_t i = count; i > 0; --i) std::free(blocks[i - 1]);
    }
  }
  report_time_each(state, count);
}

// `live` blocks of 16 to 416 bytes; a random one is replaced each time.
void replace_random(benchmark::State& state, size_t live) {
  Random random(2);
  std::vector<char*> blocks(live);
  for (char*& block : blocks) block = touched_block(random.between(16, 416));
  for (auto _ : state) {
    char*& block = blocks[random.below(live)];
    std::free(block);
    block = touched_block(random.between(16, 416));
  }
  for (char* block : blocks) std::free(block);
}

void calloc_pair(benchmark::State& state, size_t size) {
  for (auto _ : state) {
    char* block = static_cast<char*>(std::calloc(1, size));
    benchmark::DoNotOptimize(block);
    block[0] = 1;
    std::free(block);
  }
}

// Sixteen blocks at a time, so that an allocator cannot hand the same one out again.
void aligned_blocks(benchmark::State& state, size_t alignment, size_t size) {
  std::array<void*, 16> blocks{};
  for (auto _ : state) {
    for (void*& block : blocks) {
      block = std::aligned_alloc(alignment, size);
      benchmark::DoNotOptimize(block);
    }
    for (void* block : blocks) std::free(block);
  }
  report_time_each(state, blocks.size());
}

void register_bursts() {
  for (const size_t size : {32, 256, 4096}) {
    for (const size_t count : {100, 10000, 100000}) {
      // 400 MB of large blocks would be a test of the system's page faults.
      if (size * count > (size_t{64} << 20)) continue;
      const std::string what = std::to_string(size) + "/" + std::to_string(count);
      add("burst_lifo/" + what,
          [size, count](benchmark::State& state) { burst(state, size, count, Order::kLastFirst); });
      add("burst_fifo/" + what, [size, count](benchmark::State& state) {
        burst(state, size, count, Order::kFirstFirst);
      });
    }
  }
}

}  // namespace

void register_small() {
  for (const size_t size : {16, 64, 256, 1024, 4096, 16384, 32768}) {
    add("hot_pair/" + std::to_string(size),
        [size](benchmark::State& state) { hot_pair(state, size); });
  }
  add("hot_mix", hot_mix);
  register_bursts();
  for (const size_t live : {1000, 100000}) {
    add("random_replace/" + std::to_string(live),
        [live](benchmark::State& state) { replace_random(state, live); });
  }
  // So many blocks take longer to make than to measure; with a fixed number of iterations they are
  // made once.
  add("random_replace/1000000", [](benchmark::State& state) {
    replace_random(state, 1000000);
  })->Iterations(2000000);
  for (const size_t size : {64, 1024, 16384, 262144, 4194304}) {
    add("calloc/" + std::to_string(size),
        [size](benchmark::State& state) { calloc_pair(state, size); });
  }
  constexpr std::pair<size_t, size_t> kAligned[] = {
      {64, 64}, {64, 1024}, {4096, 4096}, {65536, 65536}};
  for (const auto& [alignment, size] : kAligned) {
    add("aligned_alloc/" + std::to_string(alignment) + "/" + std::to_string(size),
        [alignment = alignment, size = size](benchmark::State& state) {
          aligned_blocks(state, alignment, size);
        });
  }
}

}  // namespace micro
