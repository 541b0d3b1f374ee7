// The page allocator against a naive first fit over a flat array of pages.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/bits.h"
#include "page_allocator_fixture.h"
#include "pages/page_allocator.h"

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;

// A flat view of the mapped chunks; pages of different ranges are separated by a used page.
class Model {
 public:
  explicit Model(const std::vector<size_t>& chunks) : chunks_(chunks), used_(chunks.size() * P) {}

  size_t first_fit(size_t count, size_t alignment) const {
    for (size_t i = 0; i < used_.size(); ++i) {
      if (number(i).value % alignment == 0 && fits(i, count)) return i;
    }
    return SIZE_MAX;
  }
  void set(size_t index, size_t count, bool used) {
    for (size_t i = index; i < index + count; ++i) used_[i] = used;
  }
  PageNumber number(size_t index) const {
    return TestAllocator::at(chunks_[index / P], index % P);
  }

 private:
  bool fits(size_t index, size_t count) const {
    if (index + count > used_.size()) return false;
    for (size_t i = 0; i < count; ++i) {
      if (used_[index + i] || number(index + i).value != number(index).value + i) return false;
    }
    return true;
  }

  std::vector<size_t> chunks_;
  std::vector<char> used_;
};

struct Block {
  size_t index, count;
};

void compare(const std::vector<size_t>& chunks, size_t largest, uint64_t seed) {
  std::vector<ChunkState> states;
  for (const size_t chunk : chunks) states.push_back({chunk, {}, {}});
  TestAllocator test(states);
  Model model(chunks);
  std::mt19937_64 random(seed);
  std::vector<Block> blocks;
  for (int step = 0; step < 2500; ++step) {
    if (random() % 5 < 3 || blocks.empty()) {
      const size_t count = 1 + random() % (random() % 4 == 0 ? largest : 20);
      const size_t alignment = random() % 3 == 0 ? size_t{1} << random() % 12 : 1;
      const size_t expected = model.first_fit(count, alignment);
      const PageAllocation a = test.pages.allocate({count}, {alignment});
      ASSERT_EQ(a.ok(), expected != SIZE_MAX);
      if (!a.ok()) continue;
      ASSERT_EQ(a.pages.first.value, model.number(expected).value);
      model.set(expected, count, true);
      blocks.push_back({expected, count});
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      const Block block = blocks.back();
      blocks.pop_back();
      test.pages.free({model.number(block.index), {block.count}});
      model.set(block.index, block.count, false);
    }
    if (step % 100 == 0) test.pages.check_invariants();
  }
  for (const Block& block : blocks) {
    test.pages.free({model.number(block.index), {block.count}});
  }
  const PageAllocator::Totals totals = test.pages.check_invariants();
  EXPECT_EQ(totals.in_use.value, 0u);
}

TEST(PageAllocatorModel, OneRange) { compare({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 2000, 1); }

TEST(PageAllocatorModel, ManyRanges) {
  compare({0, 2, 3, 7, 8, 9, 0xffff, 0x10000, 0x10001, 0x180000, 0x180001}, 1500, 2);
}

TEST(PageAllocatorModel, BordersOfEveryLevel) {
  // kBaseChunk is a border of the root; these straddle the borders of all levels.
  compare({7, 8, 63, 64, 511, 512, 4095, 4096}, 1000, 3);
}

TEST(PageAllocatorModel, Crowded) { compare({0, 1}, 300, 4); }

}  // namespace
}  // namespace spanmalloc
