// The thread cache: the hot path without the call through the PLT, and its ways out.
#include <string>
#include <vector>

#include "heap/allocate.h"
#include "heap/heap.h"
#include "micro.h"

namespace micro {
namespace {

using namespace spanmalloc;

constexpr size_t kObjectBytes[] = {16, 64, 1024, 16384};

void hit(benchmark::State& state, size_t bytes) {
  for (auto _ : state) {
    void* block = allocate(bytes);
    benchmark::DoNotOptimize(block);
    deallocate(block);
  }
}

// The cache has nothing of the class: a claim from the central list, one object of it, and the
// return of both.
void refill(benchmark::State& state, size_t bytes) {
  const SizeClass size_class = size_class_of(bytes);
  // Keeps the span from becoming empty.
  void* held = allocate(bytes);
  for (auto _ : state) {
    void* block = allocate(bytes);
    benchmark::DoNotOptimize(block);
    deallocate(block);
    own_thread_cache()->flush(size_class, heap.central(size_class), heap.sentinels(),
                              ThreadCache::FlushTo::kSpans);
  }
  deallocate(held);
}

// `count` blocks, then none: within the head list, beyond the spare list, beyond the depot.
void burst(benchmark::State& state, size_t bytes, size_t count) {
  std::vector<void*> blocks(count);
  for (auto _ : state) {
    for (void*& block : blocks) block = allocate(bytes);
    for (void* block : blocks) deallocate(block);
  }
  report_time_each(state, count);
}

}  // namespace

void register_benchmarks(int, char**) {
  for (const size_t bytes : kObjectBytes) {
    const std::string size = std::to_string(bytes);
    add("cache/hit/" + size, [bytes](benchmark::State& state) { hit(state, bytes); });
    add("cache/refill/" + size, [bytes](benchmark::State& state) { refill(state, bytes); });
  }
  for (const size_t bytes : {64, 1024}) {
    for (const size_t count : {32, 1000, 30000}) {
      add("cache/burst/" + std::to_string(bytes) + "/" + std::to_string(count),
          [bytes, count](benchmark::State& state) { burst(state, bytes, count); });
    }
  }
}

}  // namespace micro
