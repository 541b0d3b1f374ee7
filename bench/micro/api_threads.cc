// More than one thread.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api.h"

namespace micro {
namespace {

// One producer, one consumer. Each side has its own line, and looks at the other's only when it
// believes that the ring is full or empty.
class Ring {
 public:
  void push(void* block) {
    const size_t end = end_.load(std::memory_order_relaxed);
    while (end - begin_seen_ == kSlots) {
      begin_seen_ = begin_.load(std::memory_order_acquire);
      if (end - begin_seen_ == kSlots) std::this_thread::yield();
    }
    slots_[end % kSlots] = block;
    end_.store(end + 1, std::memory_order_release);
  }
  void* pop() {
    const size_t begin = begin_.load(std::memory_order_relaxed);
    while (begin == end_seen_) {
      end_seen_ = end_.load(std::memory_order_acquire);
      if (begin == end_seen_) std::this_thread::yield();
    }
    void* block = slots_[begin % kSlots];
    begin_.store(begin + 1, std::memory_order_release);
    return block;
  }

 private:
  static constexpr size_t kSlots = 4096;

  alignas(64) std::atomic<size_t> begin_{0};
  size_t end_seen_ = 0;
  alignas(64) std::atomic<size_t> end_{0};
  size_t begin_seen_ = 0;
  alignas(64) void* slots_[kSlots] = {};
};

// This thread allocates and another one frees.
void produce_and_consume(benchmark::State& state, size_t size) {
  const auto ring = std::make_unique<Ring>();
  std::thread consumer([&ring] {
    while (void* block = ring->pop()) std::free(block);
  });
  for (auto _ : state) ring->push(touched_block(size));
  ring->push(nullptr);
  consumer.join();
}

// A thread starts, makes `count` blocks, frees them and ends.
void start_thread(benchmark::State& state, size_t count) {
  for (auto _ : state) {
    std::thread thread([count] {
      std::vector<char*> blocks(count);
      for (char*& block : blocks) block = touched_block(64);
      for (char* block : blocks) std::free(block);
    });
    thread.join();
  }
}

// Each of several threads by itself.
void hot_pair(benchmark::State& state) {
  for (auto _ : state) {
    void* block = std::malloc(64);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}
void replace_random(benchmark::State& state) {
  Random random(static_cast<uint64_t>(state.thread_index()));
  std::vector<char*> blocks(10000);
  for (char*& block : blocks) block = touched_block(random.between(16, 416));
  for (auto _ : state) {
    char*& block = blocks[random.below(blocks.size())];
    std::free(block);
    block = touched_block(random.between(16, 416));
  }
  for (char* block : blocks) std::free(block);
}

}  // namespace

void register_threads() {
  for (const size_t size : {64, 1024, 16384}) {
    add("cross_thread/" + std::to_string(size),
        [size](benchmark::State& state) { produce_and_consume(state, size); })
        ->MeasureProcessCPUTime()
        ->UseRealTime();
  }
  for (const size_t count : {0, 10, 1000}) {
    add("thread_start/" + std::to_string(count),
        [count](benchmark::State& state) { start_thread(state, count); })
        ->MeasureProcessCPUTime()
        ->UseRealTime();
  }
  for (const int threads : {1, 2, 8}) {
    add("threads/hot_pair/64", hot_pair)->Threads(threads)->UseRealTime();
    add("threads/random_replace/10000", replace_random)->Threads(threads)->UseRealTime();
  }
}

}  // namespace micro
