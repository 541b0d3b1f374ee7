// All of malloc, as the process's own, in up to four threads that exchange blocks.
#include <malloc.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "spanmalloc/spanmalloc.h"
#include "spans/size_class.h"
#include "support/shadow_heap.h"

namespace spanmalloc::testing {
namespace {

// The fuzzer's choices, with sizes at the edges of everything that has one.
class InputChoices {
 public:
  static constexpr size_t kMostWritten = 4096;

  explicit InputChoices(Input input) : input_(input) {}

  bool empty() const { return input_.empty(); }
  uint64_t next() { return mixed_ = mixed_ * 0x5851f42d4c957f2d + 1; }
  size_t below(size_t limit) { return input_.below(limit); }

  size_t size() {
    const size_t kind = input_.below(16);
    if (kind < 5) return input_.below(256);
    if (kind < 10) {
      const SizeClassInfo& info = kSizeClasses[1 + input_.below(kSizeClassCount - 1)];
      return beside(info.object_bytes);
    }
    if (kind < 11) return beside(kMaxLinearBytes);
    if (kind < 12) return beside(kMaxSmallBytes);
    if (kind < 14) return beside(kPageBytes * (1 + input_.below(64)));
    if (kind < 15) return beside(size_t{1} << input_.below(26));
    return beside(kHugePageBytes * (1 + input_.below(20)));
  }

 private:
  // At most 16 bytes away, mostly one or none.
  size_t beside(size_t bytes) {
    constexpr size_t kAway[] = {0, 0, 0, 1, 1, 8, 15, 16};
    const size_t choice = input_.below(16);
    const size_t away = kAway[choice / 2];
    if (choice % 2 == 0) return bytes + away;
    return bytes > away ? bytes - away : bytes;
  }

  Input input_;
  uint64_t mixed_ = 1;
};

using Heap = shadow::ShadowHeap<InputChoices, 48>;

constexpr size_t kMostThreads = 4;
constexpr size_t kPlaces = 8;

std::mutex exchange_mutex;
shadow::Block exchange[kPlaces];

shadow::Block swap(const shadow::Block& given, size_t place) {
  const std::lock_guard<std::mutex> lock(exchange_mutex);
  return std::exchange(exchange[place], given);
}

// What a program does to its heap now and then.
void disturb(InputChoices& choices) {
  static thread_local char text[4096];
  switch (choices.below(5)) {
    case 0:
      return spanmalloc_check();
    case 1:
      (void)malloc_trim(0);
      return;
    case 2:
      (void)spanmalloc_release_memory();
      return;
    case 3:
      (void)spanmalloc_stats_json(text, choices.below(sizeof(text) + 1));
      return;
    default:
      (void)mallinfo2();
      return;
  }
}

void run_thread(Heap& heap) {
  InputChoices& choices = heap.choices();
  while (!choices.empty()) {
    SPANMALLOC_CHECK(heap.step(), "a call went wrong");
    const size_t what = choices.below(64);
    if (what < 16)
      SPANMALLOC_CHECK(heap.take(swap(heap.give(), choices.below(kPlaces))), "a block changed");
    if (what >= 61) disturb(choices);
  }
  SPANMALLOC_CHECK(heap.release_all(), "a block changed");
}

void run(Input input) {
  const size_t count = 1 + input.below(kMostThreads);
  const size_t bytes = input.left() / count + 1;
  std::vector<Heap> heaps;
  for (size_t index = 0; index < count; ++index) {
    heaps.emplace_back(InputChoices(input.part(bytes)), shadow::Failures::kForbidden);
  }
  std::vector<std::thread> threads;
  for (size_t index = 1; index < count; ++index)
    threads.emplace_back(run_thread, std::ref(heaps[index]));
  run_thread(heaps[0]);
  for (std::thread& thread : threads) thread.join();
  for (shadow::Block& block : exchange) {
    free(block.start);
    block = {};
  }
}

// Of blocks that the program owns, when no thread is at work.
size_t live_bytes() {
  spanmalloc_stats stats;
  stats.size = sizeof(stats);
  SPANMALLOC_CHECK(spanmalloc_get_stats(&stats) == 0, "no statistics");
  SPANMALLOC_CHECK(stats.in_use + stats.free_retained + stats.released == stats.mapped,
                   "the pages of the heap do not add up");
  return stats.live_small + stats.live_large;
}

}  // namespace
}  // namespace spanmalloc::testing

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  using namespace spanmalloc::testing;
  // A thread of the allocator's own would own blocks from some moment on.
  SPANMALLOC_CHECK(spanmalloc_set_option("scavenger", 0) == 0, "an option is unknown");
  // The C library keeps the stacks of ended threads, and blocks for them.
  std::vector<std::thread> threads;
  for (size_t index = 0; index < kMostThreads; ++index) {
    threads.emplace_back([] { free(malloc(1)); });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  const size_t before = live_bytes();
  run(Input(data, size));
  SPANMALLOC_CHECK(live_bytes() == before, "freed blocks count as live");
  return 0;
}
