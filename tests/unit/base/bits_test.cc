#include "base/bits.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/units.h"

namespace spanmalloc {
namespace {

TEST(Bits, PowersOfTwo) {
  EXPECT_FALSE(is_power_of_two(0));
  for (unsigned shift = 0; shift < 64; ++shift) {
    EXPECT_TRUE(is_power_of_two(size_t{1} << shift));
    if (shift > 1) {
      EXPECT_FALSE(is_power_of_two((size_t{1} << shift) - 1));
    }
  }
}

TEST(Bits, AlignmentAgreesWithDivision) {
  for (size_t alignment = 1; alignment <= 64; alignment *= 2) {
    for (size_t value = 0; value < 300; ++value) {
      EXPECT_EQ(align_down(value, alignment), value / alignment * alignment);
      EXPECT_EQ(align_up(value, alignment), (value + alignment - 1) / alignment * alignment);
      EXPECT_EQ(is_aligned(value, alignment), value % alignment == 0);
    }
  }
}

TEST(Bits, LowBitsForEveryCountTo64) {
  uint64_t expected = 0;
  for (size_t count = 0; count <= 64; ++count) {
    EXPECT_EQ(low_bits(count), expected) << count;
    expected = expected << 1 | 1;
  }
}

TEST(Bits, MixingChangesAboutHalfOfAllBitsForEachBit) {
  EXPECT_EQ(mix_bits(0), 0u);
  // The second number of SplitMix64 that begins at 0, as its authors print it.
  EXPECT_EQ(mix_bits(2 * 0x9e3779b97f4a7c15u), 0x6e789e6aa1b965f4u);
  for (unsigned bit = 0; bit < 64; ++bit) {
    int changed = 0;
    for (uint64_t value = 1; value <= 64; ++value) {
      changed += std::popcount(mix_bits(value) ^ mix_bits(value ^ (uint64_t{1} << bit)));
    }
    EXPECT_GT(changed, 64 * 28) << bit;
    EXPECT_LT(changed, 64 * 36) << bit;
  }
}

TEST(Units, PagesForRoundsUp) {
  EXPECT_EQ(pages_for(0).value, 0u);
  EXPECT_EQ(pages_for(1).value, 1u);
  EXPECT_EQ(pages_for(kPageBytes).value, 1u);
  EXPECT_EQ(pages_for(kPageBytes + 1).value, 2u);
  EXPECT_EQ(pages_for(PTRDIFF_MAX).value, (size_t{1} << 63) / kPageBytes);
}

TEST(Units, PagesAndChunksConvertBothWays) {
  const PageNumber page{3 * kPagesPerChunk + 17};
  EXPECT_EQ(page.chunk(), ChunkNumber{3});
  EXPECT_EQ(page.index_in_chunk(), 17u);
  EXPECT_EQ(first_page(page.chunk()) + PageCount{17}, page);
  EXPECT_EQ(PageCount{3}.bytes().value, 3 * kPageBytes);
}

TEST(Units, ArithmeticAndOrder) {
  PageCount count{5};
  count += PageCount{2};
  EXPECT_EQ(count, PageCount{5} + PageCount{2});
  EXPECT_EQ(count - PageCount{1}, PageCount{6});
  EXPECT_EQ(PageNumber{9} - PageNumber{4}, PageCount{5});
  EXPECT_LT(PageNumber{4}, PageNumber{9});
  Bytes bytes{10};
  bytes += Bytes{5};
  EXPECT_EQ(bytes, Bytes{10} + Bytes{5});
  EXPECT_EQ(bytes - Bytes{1}, Bytes{14});
}

TEST(Units, RangesAreHalfOpen) {
  const PageRange range{{10}, {5}};
  EXPECT_EQ(range.end(), PageNumber{15});
  EXPECT_EQ(range, (PageRange{{10}, {5}}));
  EXPECT_FALSE(range == (PageRange{{10}, {6}}));
}

}  // namespace
}  // namespace spanmalloc
