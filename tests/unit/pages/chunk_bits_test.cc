#include "pages/chunk_bits.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/bits.h"

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;
constexpr RunInChunk kNothing{};

ChunkBits make(const std::vector<RunInChunk>& used, const std::vector<RunInChunk>& released) {
  ChunkBits bits;
  for (const RunInChunk& run : released) bits.released.set(run.first, run.count);
  for (const RunInChunk& run : used) bits.allocate(run);
  return bits;
}

// Everything in use but these.
ChunkBits make_free(const std::vector<RunInChunk>& free) {
  ChunkBits bits = make({{0, P}}, {});
  for (const RunInChunk& run : free) bits.free(run);
  return bits;
}

TEST(WidenToGroups, Vectors) {
  EXPECT_EQ(widen_to_groups(0x0100a3, 8), 0xff00ffu);
  EXPECT_EQ(widen_to_groups(0x0100a3, 1), 0x0100a3u);
  EXPECT_EQ(widen_to_groups(0, 64), 0u);
  for (size_t bit = 0; bit < 64; ++bit) {
    EXPECT_EQ(widen_to_groups(uint64_t{1} << bit, 64), ~uint64_t{0});
  }
}

TEST(WidenToGroups, AgreesWithANaiveLoop) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    const uint64_t word = random() & random() & random();
    for (size_t group = 1; group <= 64; group *= 2) {
      uint64_t expected = 0;
      for (size_t first = 0; first < 64; first += group) {
        const uint64_t mask = low_bits(group) << first;
        if ((word & mask) != 0) expected |= mask;
      }
      EXPECT_EQ(widen_to_groups(word, group), expected);
    }
  }
}

TEST(ChunkBits, AllocationClearsReleasedBitsAndCountsThem) {
  ChunkBits bits = make({}, {{10, 20}});
  EXPECT_EQ(bits.allocate({0, 15}), 5u);
  EXPECT_EQ(bits.released.count_set(0, P), 15u);
  EXPECT_TRUE(bits.released.all_clear(0, 15));
  bits.free({0, 15});
  EXPECT_EQ(bits.released.count_set(0, P), 15u);
  EXPECT_EQ(bits.allocate({0, P}), 15u);
}

TEST(ChunkBitsDeathTest, FreeingFreePagesIsFatal) {
  ChunkBits bits = make({{0, 10}}, {});
  EXPECT_DEATH(bits.free({5, 6}), "pages freed that are not in use");
}

TEST(ReleaseCandidate, ForEveryGroupSize) {
  for (size_t m = 1; m <= 64; m *= 2) {
    SCOPED_TRACE(m);
    const auto find = [m](const ChunkBits& bits, size_t max) {
      return bits.find_release_candidate(m, max, 0);
    };
    EXPECT_EQ(find(make({}, {}), P), (RunInChunk{0, P}));
    EXPECT_EQ(find(make({}, {{0, P}}), P), kNothing);
    EXPECT_EQ(find(make({{0, P}}, {}), P), kNothing);
    EXPECT_EQ(find(make_free({{0, m}}), P), (RunInChunk{0, m}));
    EXPECT_EQ(find(make_free({{P - m, m}}), P), (RunInChunk{P - m, m}));
    EXPECT_EQ(find(make_free({{64 - m, 2 * m}}), 2 * m), (RunInChunk{64 - m, 2 * m}));
    if (128 + 3 * m < P) {
      const ChunkBits two = make({{64, 64}, {128 + 3 * m, P - 128 - 3 * m}}, {{1, 10}});
      EXPECT_EQ(find(two, 3 * m), (RunInChunk{128, 3 * m}));
      const ChunkBits pocket =
          make({{64, 62}, {127, 1}, {128 + 3 * m, P - 128 - 3 * m}}, {{1, 10}});
      EXPECT_EQ(find(pocket, 3 * m), (RunInChunk{128, 3 * m}));
    }
    const ChunkBits high = make({}, {{0, P - m}});
    EXPECT_EQ(find(high, 0), (RunInChunk{P - m, m}));
    EXPECT_EQ(find(high, m - 1), (RunInChunk{P - m, m}));
  }
}

TEST(ReleaseCandidate, SinglePages) {
  const auto find = [](const ChunkBits& bits) { return bits.find_release_candidate(1, P, 0); };
  EXPECT_EQ(find(make({{0, 40}, {42, P - 42}}, {{0, 41}})), (RunInChunk{41, 1}));
  EXPECT_EQ(find(make({{0, 63}, {65, 20}, {87, P - 87}}, {{86, 1}})), (RunInChunk{85, 1}));
}

TEST(ReleaseCandidate, OneRetainedPageMakesItsGroupACandidate) {
  for (size_t m = 2; m <= 64; m *= 2) {
    ChunkBits bits = make_free({{64, m}});
    bits.released.set(64, m - 1);
    EXPECT_EQ(bits.find_release_candidate(m, P, 0), (RunInChunk{64, m}));
    bits.released.set(64, m);
    EXPECT_EQ(bits.find_release_candidate(m, P, 0), kNothing);
  }
}

TEST(ReleaseCandidate, DoesNotBreakFreeHugePages) {
  constexpr size_t kHuge = 256;
  EXPECT_EQ(make({{258, P - 258}}, {}).find_release_candidate(1, 3, kHuge), (RunInChunk{0, 258}));
  EXPECT_EQ(make({{0, 256}}, {}).find_release_candidate(1, 1, kHuge), (RunInChunk{256, 256}));
  EXPECT_EQ(make({{0, 118}, {266, P - 266}}, {}).find_release_candidate(1, 12, 128),
            (RunInChunk{128, 138}));
  EXPECT_EQ(make({}, {}).find_release_candidate(1, 8, kHuge), (RunInChunk{256, 256}));
  EXPECT_EQ(make({{300, 3}}, {}).find_release_candidate(1, 8, kHuge), (RunInChunk{504, 8}));
}

TEST(ReleaseCandidate, IsAlwaysFreeAndRetained) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 2000; ++round) {
    ChunkBits bits;
    for (uint64_t i = random() % 20; i > 0; --i) {
      const size_t first = random() % P;
      const RunInChunk run{first, 1 + random() % (P - first)};
      if (random() % 2 == 0) {
        if (bits.in_use.all_clear(run.first, run.count)) {
          bits.released.set(run.first, run.count);
        }
      } else if (run.count < 100) {
        bits.allocate(run);
      }
    }
    const size_t m = size_t{1} << (random() % 7);
    const size_t max = random() % P;
    const RunInChunk run = bits.find_release_candidate(m, max, 256);
    // Nothing above it may be a candidate; below it, the naive search has the same upper end.
    size_t end = P;
    const auto group_is_candidate = [&](size_t first) {
      return bits.in_use.all_clear(first, m) && !bits.released.all_set(first, m);
    };
    while (end > 0 && !group_is_candidate(end - m)) end -= m;
    if (end == 0) {
      EXPECT_EQ(run, kNothing);
      continue;
    }
    EXPECT_EQ(run.first + run.count, end);
    EXPECT_EQ(run.first % m, 0u);
    EXPECT_TRUE(bits.in_use.all_clear(run.first, run.count));
    for (size_t first = run.first; first < end; first += m) EXPECT_TRUE(group_is_candidate(first));
  }
}

TEST(ReleaseCandidate, HasGroupsOfWhichAPartIsReleased) {
  const ChunkBits bits = make({{16, P - 16}}, {{0, 11}});
  EXPECT_EQ(bits.find_release_candidate(8, P, 0), (RunInChunk{8, 8}));
  EXPECT_EQ(bits.find_release_candidate(1, P, 0), (RunInChunk{11, 5}));
  EXPECT_EQ(bits.find_release_candidate(16, P, 0), (RunInChunk{0, 16}));
}

TEST(FreeHugePage, IsTheHighestThatIsNotReleasedAsAWhole) {
  EXPECT_EQ(make({}, {}).find_free_huge_page(), (RunInChunk{256, 256}));
  EXPECT_EQ(make({}, {{256, 256}}).find_free_huge_page(), (RunInChunk{0, 256}));
  EXPECT_EQ(make({}, {{257, 255}}).find_free_huge_page(), (RunInChunk{256, 256}));
  EXPECT_EQ(make({{511, 1}}, {}).find_free_huge_page(), (RunInChunk{0, 256}));
  EXPECT_EQ(make({{511, 1}, {0, 1}}, {}).find_free_huge_page(), kNothing);
  EXPECT_EQ(make({}, {{0, P}}).find_free_huge_page(), kNothing);
}

}  // namespace
}  // namespace spanmalloc
