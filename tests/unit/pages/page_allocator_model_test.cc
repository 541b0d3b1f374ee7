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

struct Request {
  PageCount count;
  PageCount alignment;
};

// Of any size and alignment.
auto any_request(size_t largest) {
  return [largest](std::mt19937_64& random) -> Request {
    const size_t count = 1 + random() % (random() % 4 == 0 ? largest : 20);
    const size_t alignment = random() % 3 == 0 ? size_t{1} << random() % 12 : 1;
    return {{count}, {alignment}};
  };
}

// Of one alignment for a while, of which many follow each other.
auto aligned_request() {
  return [step = size_t{0}, last = Request{{1}, {2}}](std::mt19937_64& random) mutable -> Request {
    if (step++ % 50 == 0) last = {{1 + random() % 20}, {size_t{1} << random() % 11}};
    if (random() % 10 == 0) return {{1 + random() % 4}, {1}};
    return {{last.count.value + random() % 2}, last.alignment};
  };
}

template <typename NextRequest>
void compare(const std::vector<size_t>& chunks, NextRequest next_request, uint64_t seed) {
  std::vector<ChunkState> states;
  for (const size_t chunk : chunks) states.push_back({chunk, {}, {}});
  TestAllocator test(states);
  FlatPages model;
  for (const size_t chunk : chunks) model.map({TestAllocator::at(chunk, 0), {kPagesPerChunk}});
  std::mt19937_64 random(seed);
  std::vector<PageRange> blocks;
  for (int step = 0; step < 2500; ++step) {
    if (random() % 5 < 3 || blocks.empty()) {
      const auto [count, alignment] = next_request(random);
      const PageNumber expected = model.first_fit(count, alignment);
      const PageAllocation a = test.pages.allocate(count, alignment);
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
  compare({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, any_request(2000), 1);
}

TEST(PageAllocatorModel, ManyRanges) {
  compare({0, 2, 3, 7, 8, 9, 0xffff, 0x10000, 0x10001, 0x180000, 0x180001}, any_request(1500), 2);
}

TEST(PageAllocatorModel, BordersOfEveryLevel) {
  // kBaseChunk is a border of the root; these straddle the borders of all levels.
  compare({7, 8, 63, 64, 511, 512, 4095, 4096}, any_request(1000), 3);
}

TEST(PageAllocatorModel, Crowded) {
  compare({0, 1}, any_request(300), 4);
}

TEST(PageAllocatorModel, SearchesForAlignedPagesGoOnWhereTheLastOneEnded) {
  for (uint64_t seed = 5; seed < 15; ++seed) compare({0, 1, 2, 5, 8, 9}, aligned_request(), seed);
}

}  // namespace
}  // namespace spanmalloc
