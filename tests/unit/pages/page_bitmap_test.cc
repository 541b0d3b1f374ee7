#include "pages/page_bitmap.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;

struct Range {
  size_t first, count;
};

PageBitmap with_set(const std::vector<Range>& ranges) {
  PageBitmap bits;
  for (const Range& range : ranges) bits.set(range.first, range.count);
  return bits;
}

PageBitmap with_clear(const std::vector<Range>& ranges) {
  PageBitmap bits;
  bits.set(0, P);
  for (const Range& range : ranges) bits.clear(range.first, range.count);
  return bits;
}

// The naive twins.
size_t slow_find(const PageBitmap& bits, size_t count, size_t from) {
  size_t run = 0;
  for (size_t i = from; i < P; ++i) {
    run = bits.test(i) ? 0 : run + 1;
    if (run == count) return i + 1 - count;
  }
  return PageBitmap::kNone;
}

PageSummary slow_summary(const PageBitmap& bits) {
  size_t start = slow_find(bits, P, 0) == 0 ? P : 0;
  while (start < P && !bits.test(start)) ++start;
  size_t max = 0;
  size_t run = 0;
  for (size_t i = 0; i < P; ++i) {
    run = bits.test(i) ? 0 : run + 1;
    max = std::max(max, run);
  }
  return {start, max, run};
}

// Bits in runs of all lengths.
PageBitmap random_bitmap(std::mt19937_64& random) {
  PageBitmap bits;
  const size_t longest = size_t{1} << (random() % 9);
  for (size_t i = 0; i < P;) {
    const size_t length = std::min<size_t>(1 + random() % longest, P - i);
    if (random() % 2 == 0) bits.set(i, length);
    i += length;
  }
  return bits;
}

TEST(FindRunOfOnes, Vectors) {
  for (size_t count = 1; count <= 64; ++count) {
    EXPECT_EQ(find_run_of_ones(~uint64_t{0}, count), 0u);
    EXPECT_GE(find_run_of_ones(0, count), 64u);
  }
  EXPECT_EQ(find_run_of_ones(0x8000000000000000, 1), 63u);
  EXPECT_EQ(find_run_of_ones(0xc000010001010000, 2), 62u);
  EXPECT_EQ(find_run_of_ones(0xc000010001030000, 2), 16u);
  EXPECT_EQ(find_run_of_ones(0xe000030001030000, 3), 61u);
  EXPECT_EQ(find_run_of_ones(0xe000030001070000, 3), 16u);
  EXPECT_EQ(find_run_of_ones(0xffff03ff01070000, 16), 48u);
  EXPECT_EQ(find_run_of_ones(0xffff03ff0107ffff, 16), 0u);
  EXPECT_GE(find_run_of_ones(0x0fff03ff01079fff, 16), 64u);
}

TEST(FindRunOfOnes, AgreesWithANaiveSearch) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    uint64_t word = random();
    for (uint64_t i = random() % 4; i > 0; --i) word |= random();
    const size_t count = 1 + random() % 64;
    size_t expected = 64;
    size_t run = 0;
    for (size_t bit = 0; bit < 64 && expected == 64; ++bit) {
      run = (word >> bit & 1) != 0 ? run + 1 : 0;
      if (run == count) expected = bit + 1 - count;
    }
    EXPECT_EQ(find_run_of_ones(word, count), expected) << std::hex << word << " " << count;
  }
}

TEST(PageBitmap, SetsAndClearsRanges) {
  PageBitmap bits = with_set({{0, 321}});
  for (size_t word = 0; word < 5; ++word) EXPECT_EQ(bits.word(word * 64), ~uint64_t{0});
  EXPECT_EQ(bits.word(320), 1u);
  EXPECT_EQ(bits.word(384), 0u);

  bits = with_set({{P - 193, 193}});
  for (size_t word = 5; word < 8; ++word) EXPECT_EQ(bits.word(word * 64), ~uint64_t{0});
  EXPECT_EQ(bits.word(4 * 64), uint64_t{1} << 63);
  EXPECT_EQ(bits.word(3 * 64), 0u);

  // Every range, against the bit-wise view.
  for (size_t first = 0; first < P; first += 7) {
    for (size_t count = 0; first + count <= P; count += 13) {
      const PageBitmap set = with_set({{first, count}});
      const PageBitmap clear = with_clear({{first, count}});
      for (size_t i = 0; i < P; i += 3) {
        EXPECT_EQ(set.test(i), i >= first && i < first + count);
        EXPECT_EQ(clear.test(i), !set.test(i));
      }
      EXPECT_EQ(set.count_set(0, P), count);
      EXPECT_TRUE(set.all_set(first, count));
      EXPECT_TRUE(clear.all_clear(first, count));
      EXPECT_EQ(set.all_clear(first, count), count == 0);
      EXPECT_EQ(clear.all_set(first, count), count == 0);
    }
  }
}

TEST(PageBitmap, CountsSetBits) {
  PageBitmap scattered;
  for (size_t i = 0; i < 11; i += 2) scattered.set(i, 1);
  EXPECT_EQ(scattered.count_set(0, 11), 6u);
  std::mt19937_64 random(2);
  for (int round = 0; round < 500; ++round) {
    const PageBitmap bits = random_bitmap(random);
    const size_t first = random() % P;
    const size_t count = random() % (P - first + 1);
    size_t expected = 0;
    for (size_t i = first; i < first + count; ++i) expected += bits.test(i) ? 1 : 0;
    EXPECT_EQ(bits.count_set(first, count), expected);
    EXPECT_EQ(bits.all_clear(first, count), expected == 0);
    EXPECT_EQ(bits.all_set(first, count), expected == count);
  }
}

TEST(PageBitmap, FirstFitVectors) {
  const auto sequence = [](PageBitmap bits, size_t count, size_t times) {
    std::vector<size_t> found;
    for (size_t i = 0; i < times; ++i) {
      found.push_back(bits.find_clear_run(count, 0));
      if (found.back() != PageBitmap::kNone) bits.set(found.back(), count);
    }
    return found;
  };
  using Found = std::vector<size_t>;
  constexpr size_t kNone = PageBitmap::kNone;
  EXPECT_EQ(sequence({}, 1, 4), (Found{0, 1, 2, 3}));
  EXPECT_EQ(sequence({}, 2, 3), (Found{0, 2, 4}));
  EXPECT_EQ(sequence({}, 5, 3), (Found{0, 5, 10}));
  EXPECT_EQ(sequence({}, 64, 3), (Found{0, 64, 128}));
  EXPECT_EQ(sequence({}, 65, 3), (Found{0, 65, 130}));
  EXPECT_EQ(sequence(with_set({{0, 32}, {64, 32}, {100, 412}}), 64, 1), (Found{kNone}));
  for (const size_t hole : {1u, 2u, 5u}) {
    EXPECT_EQ(sequence(with_clear({{253, hole}}), hole, 2), (Found{253, kNone}));
  }
  EXPECT_EQ(sequence(with_clear({{225, 65}}), 65, 2), (Found{225, kNone}));
  EXPECT_EQ(sequence(with_set({{0, 185}, {331, 1}}), 161, 1), (Found{332}));
  EXPECT_EQ(sequence({}, P, 2), (Found{0, kNone}));
}

TEST(PageBitmap, SearchesAgreeWithNaiveOnes) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 1000; ++round) {
    const PageBitmap bits = random_bitmap(random);
    for (const size_t count : {1u, 2u, 3u, 31u, 63u, 64u, 65u, 128u, 200u, 511u, 512u}) {
      const size_t from = random() % 3 == 0 ? random() % (P + 1) : 0;
      EXPECT_EQ(bits.find_clear_run(count, from), slow_find(bits, count, from));
    }
    const size_t at = random() % (P + 1);
    size_t set = at;
    while (set < P && !bits.test(set)) ++set;
    EXPECT_EQ(bits.find_set(at), set);
    EXPECT_EQ(bits.find_clear(at), slow_find(bits, 1, at));
    size_t below = 0;
    while (below < at && !bits.test(at - below - 1)) ++below;
    EXPECT_EQ(bits.clear_run_below(at), below);
  }
}

TEST(PageBitmap, AlignedSearchesAgreeWithNaiveOnes) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 1000; ++round) {
    const PageBitmap bits = random_bitmap(random);
    for (const size_t count : {1u, 2u, 3u, 31u, 63u, 64u, 65u, 100u, 128u, 200u, 511u, 512u}) {
      for (size_t alignment = 2; alignment <= 2 * P; alignment *= 2) {
        size_t expected = 0;
        while (expected + count <= P && !bits.all_clear(expected, count)) expected += alignment;
        if (expected + count > P) expected = PageBitmap::kNone;
        ASSERT_EQ(bits.find_aligned_clear_run(count, alignment), expected)
            << count << " pages at a multiple of " << alignment;
      }
    }
  }
}

TEST(PageBitmap, SummaryVectors) {
  const auto free_pages = [](const std::vector<Range>& ranges) {
    return with_clear(ranges).summarize();
  };
  EXPECT_EQ(free_pages({}), PageSummary(0, 0, 0));
  EXPECT_EQ(free_pages({{0, 10}}), PageSummary(10, 10, 0));
  EXPECT_EQ(free_pages({{P - 40, 40}}), PageSummary(0, 40, 40));
  EXPECT_EQ(free_pages({{0, 11}, {P - 23, 23}}), PageSummary(11, 23, 23));
  EXPECT_EQ(free_pages({{0, 4}, {50, 100}, {P - 4, 4}}), PageSummary(4, 100, 4));
  EXPECT_EQ(free_pages({{1, 20}, {35, 241}, {P - 50, 30}}), PageSummary(0, 241, 0));
  EXPECT_EQ(free_pages({{35, 2}, {40, 5}, {100, 5}}), PageSummary(0, 5, 0));
  EXPECT_EQ(free_pages({{2, 1}}), PageSummary(0, 1, 0));
  EXPECT_EQ(free_pages({{0, P}}), PageSummary(P, P, P));
}

TEST(PageBitmap, SummariesAgreeWithANaiveCount) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 2000; ++round) {
    const PageBitmap bits = random_bitmap(random);
    EXPECT_EQ(bits.summarize().packed(), slow_summary(bits).packed());
  }
  for (const uint64_t pattern :
       {uint64_t{0}, ~uint64_t{0}, uint64_t{0xaa}, uint64_t{0xaaaaaaaaaaaaaaaa},
        uint64_t{0x80000000aaaaaaaa}, uint64_t{0xaaaaaaaa00000001}, uint64_t{0xbbbbbbbbbbbbbbbb},
        uint64_t{0x80000000bbbbbbbb}, uint64_t{0xbbbbbbbb00000001}, uint64_t{0xcccccccccccccccc},
        uint64_t{0x4444444444444444}, uint64_t{0x4040404040404040}, uint64_t{0x4000400040004000},
        uint64_t{0x1000404044ccaaff}}) {
    PageBitmap bits;
    for (size_t word = 0; word < P; word += 64) bits.set_in_word(word, pattern);
    EXPECT_EQ(bits.summarize().packed(), slow_summary(bits).packed()) << std::hex << pattern;
  }
}

TEST(PageBitmap, SummariesFollowChanges) {
  std::mt19937_64 random(5);
  PageBitmap bits;
  PageSummary summary = bits.summarize();
  for (int round = 0; round < 20000; ++round) {
    const size_t first = random() % P;
    const size_t longest = size_t{1} << (random() % 10);
    const size_t count = std::min<size_t>(1 + random() % longest, P - first);
    if (bits.all_clear(first, count)) {
      bits.set(first, count);
      summary = bits.summary_after_set(summary, first, count);
    } else if (bits.all_set(first, count)) {
      bits.clear(first, count);
      summary = bits.summary_after_clear(summary, first, count);
    }
    ASSERT_EQ(summary.packed(), bits.summarize().packed());
  }
}

TEST(PageBitmap, WordsAreChangedWhole) {
  PageBitmap bits;
  bits.set_in_word(130, 0xf0);
  EXPECT_EQ(bits, with_set({{132, 4}}));
  bits.clear_in_word(190, 0x30);
  EXPECT_EQ(bits, with_set({{134, 2}}));
  EXPECT_EQ(bits.word(128), 0xc0u);
}

}  // namespace
}  // namespace spanmalloc
