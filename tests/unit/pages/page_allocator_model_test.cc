// The page allocator against a naive first fit over a flat table of pages.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "page_allocator_fixture.h"
#include "pages/page_allocator.h"
#include "support/flat_pages.h"

namespace spanmalloc {
namespace {

using testing::FlatPages;
using testing::PageState;

void compare(const std::vector<size_t>& chunks, size_t largest, uint64_t seed) {
  std::vector<ChunkState> states;
  for (const size_t chunk : chunks) states.push_back({chunk, {}, {}});
  TestAllocator test(states);
  FlatPages model;
  for (const size_t chunk : chunks) model.map({TestAllocator::at(chunk, 0), {kPagesPerChunk}});
  std::mt19937_64 random(seed);
  std::vector<PageRange> blocks;
  for (int step = 0; step < 2500; ++step) {
    if (random() % 5 < 3 || blocks.empty()) {
      const size_t count = 1 + random() % (random() % 4 == 0 ? largest : 20);
      const size_t alignment = random() % 3 == 0 ? size_t{1} << random() % 12 : 1;
      const PageNumber expected = model.first_fit({count}, {alignment});
      const PageAllocation a = test.pages.allocate({count}, {alignment});
      ASSERT_EQ(a.ok(), expected != kNoPage);
      if (!a.ok()) continue;
      ASSERT_EQ(a.pages.first.value, expected.value);
      model.set(a.pages, PageState::kInUse);
      blocks.push_back(a.pages);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      test.pages.free(blocks.back());
      model.set(blocks.back(), PageState::kRetained);
      blocks.pop_back();
    }
    if (step % 100 == 0) test.pages.check_invariants();
  }
  for (const PageRange& block : blocks) test.pages.free(block);
  const PageAllocator::Totals totals = test.pages.check_invariants();
  EXPECT_EQ(totals.in_use.value, 0u);
}

TEST(PageAllocatorModel, OneRange) {
  compare({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 2000, 1);
}

TEST(PageAllocatorModel, ManyRanges) {
  compare({0, 2, 3, 7, 8, 9, 0xffff, 0x10000, 0x10001, 0x180000, 0x180001}, 1500, 2);
}

TEST(PageAllocatorModel, BordersOfEveryLevel) {
  // kBaseChunk is a border of the root; these straddle the borders of all levels.
  compare({7, 8, 63, 64, 511, 512, 4095, 4096}, 1000, 3);
}

TEST(PageAllocatorModel, Crowded) {
  compare({0, 1}, 300, 4);
}

}  // namespace
}  // namespace spanmalloc
