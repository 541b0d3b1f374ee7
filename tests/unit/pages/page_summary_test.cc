#include "pages/page_summary.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "pages/page_bitmap.h"

namespace spanmalloc {
namespace {

TEST(PageSummary, PacksThreeCountsInOneWord) {
  struct Case {
    size_t start, max, end;
    uint64_t packed;
  };
  constexpr size_t kMost = PageSummary::kMaxPages;
  const Case cases[] = {
      {0, 0, 0, 0x0},
      {512, 512, 512, 0x0008000040000200},
      {10, 10, 0, 0x140000a},
      {0, 40, 40, 0x0000a00005000000},
      {11, 23, 23, 0x00005c0002e0000b},
      {4, 100, 4, 0x000010000c800004},
      {kMost - 1, kMost - 1, kMost - 1, 0x7fffffffffffffff},
      {kMost, kMost, kMost, 0x8000000000000000},
      {0, kMost - 1, 0, 0x3ffffe00000},
  };
  for (const Case& c : cases) {
    const PageSummary summary(c.start, c.max, c.end);
    EXPECT_EQ(summary.packed(), c.packed);
    EXPECT_EQ(summary.start(), c.start);
    EXPECT_EQ(summary.max(), c.max);
    EXPECT_EQ(summary.end(), c.end);
    EXPECT_EQ(summary.nothing_free(), c.max == 0);
  }
  EXPECT_EQ(PageSummary::all_free(kMost).packed(), uint64_t{1} << 63);
  EXPECT_TRUE(PageSummary().nothing_free());
}

PageSummary slow_summary(const std::vector<bool>& used) {
  size_t start = 0;
  size_t max = 0;
  size_t run = 0;
  bool at_start = true;
  for (const bool bit : used) {
    run = bit ? 0 : run + 1;
    at_start &= !bit;
    start += at_start ? 1 : 0;
    max = std::max(max, run);
  }
  return {start, max, run};
}

TEST(PageSummary, MergedChunksAreSummarisedAsOne) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<bool> used;
    PageSummary parts[8];
    for (PageSummary& part : parts) {
      std::vector<bool> chunk(kPagesPerChunk, random() % 3 == 0);
      if (random() % 2 == 0) {
        for (int i = 0; i < 3; ++i) chunk[random() % kPagesPerChunk] = random() % 2 == 0;
      }
      part = slow_summary(chunk);
      used.insert(used.end(), chunk.begin(), chunk.end());
    }
    EXPECT_EQ(merge_summaries(parts, 8, kPagesPerChunk).packed(), slow_summary(used).packed());
  }
}

TEST(PageSummary, MergesUpToTheLargestSize) {
  constexpr size_t kPart = PageSummary::kMaxPages / 8;
  PageSummary parts[8];
  for (PageSummary& part : parts) part = PageSummary::all_free(kPart);
  EXPECT_EQ(merge_summaries(parts, 8, kPart).packed(), uint64_t{1} << 63);
  parts[3] = PageSummary(0, kPart - 1, kPart - 1);
  EXPECT_EQ(merge_summaries(parts, 8, kPart), PageSummary(3 * kPart, 5 * kPart - 1, 5 * kPart - 1));
}

}  // namespace
}  // namespace spanmalloc
