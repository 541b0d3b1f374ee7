// The first calls of several threads open the heap at once.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "heap/allocate.h"
#include "heap/heap.h"

namespace spanmalloc {
namespace {

// Key, window and options are plain: the race detector sees a thread that reads them too early.
[[noreturn]] void open_from_many_threads() {
  if (heap.is_open()) exit(2);
  std::atomic<int> waiting{0};
  std::atomic<bool> failed{false};
  std::vector<std::thread> threads;
  for (int index = 0; index < 4; ++index) {
    threads.emplace_back([&, index] {
      ++waiting;
      while (waiting.load() < 4) std::this_thread::yield();
      for (int round = 0; round < 100 && !heap.is_open(); ++round) {
        if (index < 2 && !heap.open()) failed = true;
        std::this_thread::yield();
      }
      if (!heap.is_open()) return;
      const uintptr_t window_end = heap.page_heap().window().size.bytes().value;
      if (heap.key().mark == 0 || window_end == 0) failed = true;
      void* block = allocate(64);
      if (block == nullptr || heap.class_map()[reinterpret_cast<uintptr_t>(block)] == 0) {
        failed = true;
      }
      deallocate(block);
    });
  }
  for (std::thread& thread : threads) thread.join();
  exit(failed ? 1 : 0);
}

TEST(OpenOrderDeathTest, WhoSeesTheHeapOpenSeesAllOfIt) {
  // In a process that is executed anew, in which nothing has opened the heap yet.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(open_from_many_threads(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace spanmalloc
