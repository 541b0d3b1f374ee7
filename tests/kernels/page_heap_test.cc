// The page heap on fake sources, with the kernel's pages of 4, 16 and 64 KiB.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/fake_kernel.h"
#include "unit/pages/page_heap_fixture.h"

namespace spanmalloc {
namespace {

using testing::fake_kernel;

constexpr Bytes kEverything{SIZE_MAX};

class KernelPages : public ::testing::TestWithParam<size_t> {
 protected:
  KernelPages() : before_(fake_kernel.page_bytes.exchange(GetParam() << 10)) {}
  ~KernelPages() override { fake_kernel.page_bytes = before_; }
  size_t group() const { return std::max<size_t>(1, (GetParam() << 10) / kPageBytes); }

  void expect_whole_kernel_pages(const std::vector<PageRange>& releases) const {
    for (const PageRange& range : releases) {
      EXPECT_EQ(range.first.value % group(), 0u);
      EXPECT_EQ(range.count.value % group(), 0u);
    }
  }

 private:
  const size_t before_;
};

TEST_P(KernelPages, OnlyGroupsWithoutAUsedPageAreReleased) {
  TestHeap test;
  const PageAllocation all = test.allocate(2 * 512);
  // Every ninth page stays in use.
  size_t expected = 0;
  for (size_t page = 0; page < 1024; ++page) {
    if (page % 9 != 0) test.heap.free({all.pages.first + PageCount{page}, {1}});
  }
  for (size_t first = 0; first < 1024; first += group()) {
    bool is_free = true;
    for (size_t page = first; page < first + group(); ++page) is_free &= page % 9 != 0;
    if (is_free) expected += group();
  }
  EXPECT_GT(expected, 0u);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, expected * kPageBytes);
  expect_whole_kernel_pages(test.source.releases());
  test.heap.check_invariants();
}

TEST_P(KernelPages, APageThatIsFreedIntoAReleasedGroupIsReleasedAgain) {
  TestHeap test;
  const PageAllocation all = test.allocate(512);
  // A used page in each half, so that no huge page is free.
  test.heap.free({all.pages.first + PageCount{group()}, {512 - 2 * group()}});
  EXPECT_GT(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  const PageAllocation one = test.allocate(1);
  EXPECT_EQ(one.released.value, 1u);
  test.heap.free(one.pages);
  EXPECT_EQ(test.heap.free_retained_bytes(), kPageBytes);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, kPageBytes);
  EXPECT_EQ(test.heap.free_retained_bytes(), 0u);
  expect_whole_kernel_pages(test.source.releases());
  test.heap.check_invariants();
}

TEST_P(KernelPages, RandomOperationsKeepTheCountsAndLoseNothing) {
  std::mt19937_64 random(GetParam());
  TestHeap test;
  std::vector<PageRange> blocks;
  for (size_t step = 0; step < 6000; ++step) {
    const size_t what = random() % 100;
    if (what < 50 || blocks.empty()) {
      const size_t count = 1 + random() % (random() % 10 == 0 ? 600 : 20);
      const PageAllocation a = test.allocate(count, size_t{1} << (random() % 6));
      ASSERT_TRUE(a.ok());
      blocks.push_back(a.pages);
    } else if (what < 95) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      test.heap.free(blocks.back());
      blocks.pop_back();
    } else if (what < 97) {
      test.heap.start_epoch();
    } else {
      const ScavengeMode mode =
          random() % 2 == 0 ? ScavengeMode::kForced : ScavengeMode::kBackground;
      (void)test.heap.scavenge({random() % (4 << 20)}, mode);
    }
    if (step % 500 == 0) test.heap.check_invariants();
  }
  for (const PageRange& block : blocks) test.heap.free(block);
  (void)test.heap.scavenge(kEverything, ScavengeMode::kForced);
  EXPECT_EQ(test.heap.free_retained_bytes(), 0u);
  EXPECT_EQ(test.heap.in_use_bytes(), 0u);
  expect_whole_kernel_pages(test.source.releases());
  test.heap.check_invariants();
}

INSTANTIATE_TEST_SUITE_P(OfKiB, KernelPages, ::testing::Values(4, 16, 64));

}  // namespace
}  // namespace spanmalloc
