#include "pages/address_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace spanmalloc {
namespace {

struct TestRanges {
  void add(size_t begin, size_t end) {
    ASSERT_TRUE(ranges.reserve_one());
    ranges.add({{begin}, {end - begin}});
    ranges.check_invariants();
  }
  std::vector<std::pair<size_t, size_t>> all() const {
    std::vector<std::pair<size_t, size_t>> result;
    for (size_t i = 0; i < ranges.size(); ++i) {
      result.emplace_back(ranges[i].first.value, ranges[i].end().value);
    }
    return result;
  }

  MetadataArena arena;
  AddressRanges ranges{arena};
};

using Pairs = std::vector<std::pair<size_t, size_t>>;

TEST(AddressRanges, JoinsNeighbours) {
  TestRanges test;
  test.add(512, 1024);
  test.add(1024, 2048);
  EXPECT_EQ(test.all(), (Pairs{{512, 2048}}));
  test.add(4096, 8192);
  EXPECT_EQ(test.all(), (Pairs{{512, 2048}, {4096, 8192}}));
  test.add(3776, 4096);
  EXPECT_EQ(test.all(), (Pairs{{512, 2048}, {3776, 8192}}));
  test.add(2048, 3776);
  EXPECT_EQ(test.all(), (Pairs{{512, 8192}}));
  EXPECT_EQ(test.ranges.total().value, 8192u - 512u);
}

TEST(AddressRanges, FindsSuccessors) {
  TestRanges test;
  EXPECT_EQ(test.ranges.find_successor({5}), 0u);
  test.add(6, 10);
  test.add(12, 16);
  test.add(19, 22);
  EXPECT_EQ(test.ranges.find_successor({3}), 0u);
  EXPECT_EQ(test.ranges.find_successor({9}), 1u);
  EXPECT_EQ(test.ranges.find_successor({11}), 1u);
  EXPECT_EQ(test.ranges.find_successor({24}), 3u);

  TestRanges one;
  one.add(14, 16);
  EXPECT_EQ(one.ranges.find_successor({12}), 0u);
  EXPECT_EQ(one.ranges.find_successor({14}), 1u);
  EXPECT_EQ(one.ranges.find_successor({16}), 1u);
}

TEST(AddressRanges, FindsThePageAtOrAbove) {
  TestRanges test;
  EXPECT_EQ(test.ranges.first_at_or_above({0}), kNoPage);
  test.add(6, 10);
  test.add(12, 16);
  EXPECT_EQ(test.ranges.first_at_or_above({0}), (PageNumber{6}));
  EXPECT_EQ(test.ranges.first_at_or_above({9}), (PageNumber{9}));
  EXPECT_EQ(test.ranges.first_at_or_above({10}), (PageNumber{12}));
  EXPECT_EQ(test.ranges.first_at_or_above({16}), kNoPage);
  EXPECT_FALSE(test.ranges.contains({5}));
  EXPECT_TRUE(test.ranges.contains({6}));
  EXPECT_FALSE(test.ranges.contains({10}));
}

TEST(AddressRanges, GrowsPastItsFirstCapacity) {
  TestRanges test;
  Pairs expected;
  for (size_t i = 0; i < 33; ++i) {
    test.add(i * 1024, i * 1024 + 512);
    expected.emplace_back(i * 1024, i * 1024 + 512);
  }
  EXPECT_EQ(test.all(), expected);
}

TEST(AddressRanges, AgreesWithASetOfPages) {
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    TestRanges test;
    std::set<size_t> pages;
    for (int i = 0; i < 60; ++i) {
      const size_t page = random() % 150;
      if (!pages.insert(page).second) continue;
      test.add(page, page + 1);
    }
    EXPECT_EQ(test.ranges.total().value, pages.size());
    for (size_t page = 0; page < 151; ++page) {
      EXPECT_EQ(test.ranges.contains({page}), pages.count(page) == 1);
      const auto at = pages.lower_bound(page);
      EXPECT_EQ(test.ranges.first_at_or_above({page}),
                at == pages.end() ? kNoPage : PageNumber{*at});
    }
  }
}

TEST(AddressRangesDeathTest, MappingPagesTwiceIsFatal) {
  TestRanges test;
  test.add(10, 20);
  ASSERT_TRUE(test.ranges.reserve_one());
  EXPECT_DEATH(test.ranges.add({{19}, {5}}), "pages mapped twice");
  EXPECT_DEATH(test.ranges.add({{5}, {6}}), "pages mapped twice");
}

}  // namespace
}  // namespace spanmalloc
