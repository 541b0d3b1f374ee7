#include "pages/page_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/bits.h"

namespace spanmalloc {
namespace {

constexpr PageNumber kBase{128};
constexpr size_t kFails = SIZE_MAX;
constexpr uint64_t kAll = ~uint64_t{0};

struct Step {
  size_t count, page, released;
};

void expect_steps(uint64_t free, uint64_t released, const std::vector<Step>& steps) {
  PageCache cache(kBase, free, released & free);
  for (const Step& step : steps) {
    SCOPED_TRACE(step.count);
    const PageAllocation a = cache.take({step.count});
    cache.check_invariants();
    if (step.page == kFails) {
      EXPECT_FALSE(a.ok());
      continue;
    }
    ASSERT_TRUE(a.ok());
    EXPECT_EQ(a.pages.first.value, kBase.value + step.page);
    EXPECT_EQ(a.pages.count.value, step.count);
    EXPECT_EQ(a.released.value, step.released);
  }
}

TEST(PageCache, TakesTheFirstRunThatFits) {
  expect_steps(0, 0, {{1, kFails, 0}, {5, kFails, 0}, {64, kFails, 0}});
  expect_steps(0x1, 0x1, {{1, 0, 1}, {1, kFails, 0}});
  expect_steps(uint64_t{1} << 63, 0x1, {{1, 63, 0}, {1, kFails, 0}});
  expect_steps(0x20005555, 0x5505,
               {{2, kFails, 0},
                {1, 0, 1},
                {1, 2, 1},
                {1, 4, 0},
                {1, 6, 0},
                {1, 8, 1},
                {1, 10, 1},
                {1, 12, 1},
                {1, 14, 1},
                {1, 29, 0},
                {1, kFails, 0}});
  expect_steps(uint64_t{3} << 62, uint64_t{3} << 62, {{2, 62, 2}, {2, kFails, 0}});
  expect_steps(uint64_t{0x3333} << 31, uint64_t{0x3030} << 31,
               {{2, 31, 0}, {2, 35, 2}, {2, 39, 0}, {2, 43, 2}, {1, kFails, 0}});
  expect_steps(kAll, low_bits(16) << 10, {{53, 0, 16}, {53, kFails, 0}, {1, 53, 0}});
  expect_steps(kAll, kAll, {{64, 0, 64}, {64, kFails, 0}, {1, kFails, 0}});
}

TEST(PageCache, ServesMixedSizes) {
  expect_steps(low_bits(64) & ~(low_bits(1) << 60) & ~(low_bits(1) << 62), 0,
               {{2, 0, 0}, {59, kFails, 0}, {58, 2, 0}, {1, 61, 0}, {1, 63, 0}, {1, kFails, 0}});
  // A block with holes: runs 0..35, 36..41, 42..60 and so on are taken in turn as they fit.
  const uint64_t free = kAll;
  expect_steps(free, 0,
               {{5, 0, 0},      {7, 5, 0},      {1, 12, 0},     {23, 13, 0},     {63, kFails, 0},
                {3, 36, 0},     {3, 39, 0},     {3, 42, 0},     {12, 45, 0},     {11, kFails, 0},
                {4, 57, 0},     {4, kFails, 0}, {6, kFails, 0}, {36, kFails, 0}, {2, 61, 0},
                {3, kFails, 0}, {1, 63, 0},     {4, kFails, 0}, {2, kFails, 0},  {62, kFails, 0},
                {1, kFails, 0}});
}

TEST(PageCache, AgreesWithANaiveSearch) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    uint64_t free = random() | random();
    uint64_t released = random() & free;
    PageCache cache(kBase, free, released);
    while (!cache.empty()) {
      const size_t count = 1 + random() % 20;
      size_t first = 0;
      while (first + count <= 64 && (free & low_bits(count) << first) != low_bits(count) << first) {
        ++first;
      }
      const PageAllocation a = cache.take({count});
      ASSERT_EQ(a.ok(), first + count <= 64);
      if (!a.ok()) {
        ASSERT_TRUE(cache.take({1}).ok());
        free = cache.free();
        released = cache.released();
        continue;
      }
      const uint64_t mask = low_bits(count) << first;
      ASSERT_EQ(a.pages.first.value, kBase.value + first);
      ASSERT_EQ(a.released.value, static_cast<size_t>(std::popcount(released & mask)));
      free &= ~mask;
      released &= ~mask;
      ASSERT_EQ(cache.free(), free);
      ASSERT_EQ(cache.released(), released);
    }
  }
}

}  // namespace
}  // namespace spanmalloc
