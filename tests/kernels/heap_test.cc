// The whole core on a kernel with pages of 64 KiB, eight of the heap's, or with other addresses.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "kernels/fake_kernel.h"
#include "unit/heap/heap_fixture.h"

namespace spanmalloc {
namespace {

using testing::fake_kernel;
using testing::fill;
using testing::is_filled;
using testing::is_zero;
using testing::kMiB;

class OtherKernel : public testing::HeapTest {
 protected:
  ~OtherKernel() override { EXPECT_EQ(fake_kernel.faults.load(), 0u); }
};

struct Block {
  void* start = nullptr;
  size_t bytes = 0;
  uint64_t seed = 0;
};

// Random blocks whose content is checked: what a call gives back to the system beyond its own
// pages, another block misses.
void churn(uint64_t seed, size_t steps) {
  std::mt19937_64 random(seed);
  std::vector<Block> blocks(300);
  for (size_t step = 0; step < steps; ++step) {
    Block& block = blocks[random() % blocks.size()];
    const size_t shift = random() % 20 == 0 ? 22 : 15;
    const size_t bytes = 62 + random() % (size_t{1} << (1 + random() % shift));
    if (block.start == nullptr) {
      const bool zeroed = random() % 2 == 0;
      block = {zeroed ? allocate_zeroed(bytes) : allocate(bytes), bytes, step};
      ASSERT_NE(block.start, nullptr);
      ASSERT_TRUE(!zeroed || is_zero(block.start, bytes));
    } else {
      ASSERT_TRUE(is_filled(block.start, block.bytes, block.seed)) << block.bytes;
      if (random() % 3 != 0) {
        deallocate(block.start);
        block = {};
        if (random() % 100 == 0) (void)heap.release_everything();
        continue;
      }
      block = {reallocate(block.start, bytes), bytes, step};
      ASSERT_NE(block.start, nullptr);
    }
    fill(block.start, bytes, step);
    // What a block had at its start before would look like the mark of a free one.
    memset(static_cast<char*>(block.start) + 8, 0, 8);
  }
  for (const Block& block : blocks) {
    ASSERT_TRUE(block.start == nullptr || is_filled(block.start, block.bytes, block.seed));
    deallocate(block.start);
  }
}

TEST_F(OtherKernel, BlocksKeepTheirContent) {
  churn(1, 40000);
}

TEST_F(OtherKernel, BlocksOfThreadsKeepTheirContent) {
  std::vector<std::thread> threads;
  for (uint64_t seed = 10; seed < 14; ++seed) threads.emplace_back([seed] { churn(seed, 8000); });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(OtherKernel, NeighboursOfHugeBlocksKeepTheirContent) {
  for (size_t odd = 1; odd < 9; ++odd) {
    void* before = allocate(200 * 1024 + odd * kPageBytes);
    void* huge = allocate(33 * kMiB + odd * kPageBytes);
    void* behind = allocate(200 * 1024);
    fill(before, 200 * 1024, 1);
    fill(huge, 33 * kMiB, 2);
    fill(behind, 200 * 1024, 3);
    huge = reallocate(huge, kMiB + odd * kPageBytes);
    EXPECT_TRUE(is_filled(huge, kMiB, 2));
    EXPECT_TRUE(is_filled(before, 200 * 1024, 1) && is_filled(behind, 200 * 1024, 3));
    void* zeros = allocate_zeroed(33 * kMiB + odd * kPageBytes);
    EXPECT_TRUE(is_zero(zeros, 33 * kMiB));
    deallocate(huge);
    deallocate(zeros);
    EXPECT_TRUE(is_filled(before, 200 * 1024, 1) && is_filled(behind, 200 * 1024, 3));
    deallocate(before);
    deallocate(behind);
  }
  if (fake_kernel.page_bytes <= kPageBytes) return;
  // Such blocks begin at any page, so that some of this was refused.
  EXPECT_GT(fake_kernel.refused.load(), 0u);
}

TEST_F(OtherKernel, FreeMemoryGoesBackToTheSystem) {
  std::vector<void*> blocks;
  for (size_t index = 0; index < 2000; ++index) {
    blocks.push_back(allocate(20000));
    fill(blocks.back(), 20000, index);
  }
  fake_kernel.released_bytes = 0;
  for (void* block : blocks) deallocate(block);
  (void)heap.release_everything();
  // The background thread gives back as well, and may be at it.
  for (int look = 0; look < 1000 && fake_kernel.released_bytes < 39 * kMiB; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GT(fake_kernel.released_bytes.load(), 39 * kMiB);
}

TEST_F(OtherKernel, HintsAreNotFollowedWhereTheyShouldNotBe) {
  if (fake_kernel.addresses == testing::Addresses::kAsWished) GTEST_SKIP() << "all are followed";
  deallocate(allocate(200 * kMiB));
  EXPECT_GT(fake_kernel.ignored_hints.load(), 0u);
}

}  // namespace
}  // namespace spanmalloc
