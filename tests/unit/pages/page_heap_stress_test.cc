// Several threads on one page heap, and failures at every point.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "page_heap_fixture.h"
#include "pages/page_heap.h"

namespace spanmalloc {
namespace {

using testing::FakePageSource;
using testing::kGiB;
using testing::kTiB;

struct Block {
  PageRange pages;
  unsigned char mark;
};

// Writes a mark in the first and last byte of every page, or checks it.
void write_pages(const PageHeap& heap, const Block& block) {
  for (size_t i = 0; i < block.pages.count.value; ++i) {
    auto* page =
        reinterpret_cast<unsigned char*>(heap.window().address(block.pages.first + PageCount{i}));
    page[0] = block.mark;
    page[kPageBytes - 1] = block.mark;
  }
}
bool pages_hold(const PageHeap& heap, PageRange pages, unsigned char value) {
  for (size_t i = 0; i < pages.count.value; ++i) {
    const auto* page =
        reinterpret_cast<const unsigned char*>(heap.window().address(pages.first + PageCount{i}));
    if (page[0] != value || page[kPageBytes - 1] != value) return false;
  }
  return true;
}

void churn(PageHeap& heap, unsigned seed, int steps) {
  std::mt19937 random(seed);
  std::vector<Block> blocks;
  for (int i = 0; i < steps; ++i) {
    if (random() % 2 == 0 || blocks.empty()) {
      const size_t count = 1 + random() % (random() % 16 == 0 ? 300 : 16);
      const size_t alignment = random() % 4 == 0 ? size_t{1} << random() % 9 : 1;
      const PageAllocation a = heap.allocate({count}, {alignment}, Growth::kAllowed);
      if (!a.ok()) continue;
      if (a.is_zero()) {
        ASSERT_TRUE(pages_hold(heap, a.pages, 0));
      }
      blocks.push_back({a.pages, static_cast<unsigned char>(1 + random() % 255)});
      write_pages(heap, blocks.back());
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      ASSERT_TRUE(pages_hold(heap, blocks.back().pages, blocks.back().mark));
      heap.free(blocks.back().pages);
      blocks.pop_back();
    }
  }
  for (const Block& block : blocks) {
    ASSERT_TRUE(pages_hold(heap, block.pages, block.mark));
    heap.free(block.pages);
  }
}

TEST(PageHeapStress, ThreadsAllocateWhileOthersScavenge) {
  FakePageSource source(size_t{256} << 20, FakePageSource::Backing::kReal);
  MetadataArena arena;
  PageHeap heap(source, arena);
  ASSERT_TRUE(heap.open(source.window()));

  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < 3; ++i) workers.emplace_back(churn, std::ref(heap), i, 6000);
  std::thread background([&] {
    while (!stop) {
      heap.start_epoch();
      heap.scavenge({size_t{1} << 20}, ScavengeMode::kBackground);
      std::this_thread::yield();
    }
  });
  std::thread forced([&] {
    while (!stop) {
      heap.scavenge({SIZE_MAX}, ScavengeMode::kForced);
      heap.check_invariants();
      const PageHeapStats stats = heap.stats();
      EXPECT_EQ(stats.mapped, stats.in_use + stats.free_retained + stats.released);
      (void)heap.backed_bytes();
    }
  });
  for (std::thread& worker : workers) worker.join();
  stop = true;
  background.join();
  forced.join();

  heap.check_invariants();
  EXPECT_EQ(heap.in_use_bytes(), 0u);
  heap.scavenge({SIZE_MAX}, ScavengeMode::kForced);
  EXPECT_EQ(heap.backed_bytes(), 0u);
  EXPECT_GT(heap.stats().scavenged_pages, 0u);
}

// Runs the same requests with the Nth growth refused, for every N: what fails, fails cleanly, and
// what was refused once can be had afterwards.
TEST(PageHeapFailures, OfTheNthGrowthLoseNothing) {
  const auto run = [](size_t nth, bool for_good) {
    TestHeap test(kTiB);
    test.source.fail_grow(nth, for_good);
    std::mt19937 random(1);
    std::vector<PageRange> blocks;
    size_t failures = 0;
    for (int i = 0; i < 60; ++i) {
      const size_t count = 1 + random() % 3000;
      const size_t alignment = size_t{1} << random() % 11;
      PageAllocation a = test.allocate(count, alignment);
      if (!a.ok()) {
        ++failures;
        test.heap.check_invariants();
        if (for_good) continue;
        a = test.allocate(count, alignment);
        EXPECT_TRUE(a.ok());
      }
      blocks.push_back(a.pages);
      if (random() % 3 == 0) {
        std::swap(blocks[random() % blocks.size()], blocks.back());
        test.heap.free(blocks.back());
        blocks.pop_back();
      }
    }
    EXPECT_EQ(test.heap.stats().mapped, test.source.handed_out());
    for (const PageRange& block : blocks) test.heap.free(block);
    test.heap.check_invariants();
    EXPECT_EQ(test.heap.in_use_bytes(), 0u);
    test.source.fail_no_grow();
    EXPECT_TRUE(test.allocate(5000).ok());
    return failures;
  };
  TestHeap plain(kTiB);
  size_t some_failures = 0;
  for (size_t nth = 1; nth <= 60; ++nth) {
    some_failures += run(nth, false);
    some_failures += run(nth, true);
  }
  EXPECT_GT(some_failures, 0u);
}

// The kernel refuses memory for metadata: what was got from the source already is kept for later.
TEST(PageHeapFailures, OfMetadataLoseNothing) {
  TestHeap test(kTiB);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_DATA, &before), 0);
  rlimit none = before;
  none.rlim_cur = 4096;  // 0 would mean none to Linux
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &none), 0);
  const PageAllocation refused = test.heap.allocate({1}, {1}, Growth::kAllowed);
  const PageAllocation again = test.heap.allocate({1}, {1}, Growth::kAllowed);
  ASSERT_EQ(setrlimit(RLIMIT_DATA, &before), 0);
  EXPECT_FALSE(refused.ok());
  EXPECT_FALSE(again.ok());
  EXPECT_LE(test.source.grow_calls(), 1u);
  EXPECT_EQ(test.heap.stats().mapped.value, 0u);
  test.heap.check_invariants();

  const PageAllocation later = test.allocate(1);
  ASSERT_TRUE(later.ok());
  EXPECT_EQ(test.source.grow_calls(), 1u);
  EXPECT_EQ(test.heap.stats().mapped, test.source.handed_out());
  test.heap.check_invariants();
}

}  // namespace
}  // namespace spanmalloc
