#include "base/rise_mark.h"

#include <gtest/gtest.h>

namespace spanmalloc {
namespace {

constexpr size_t kFloor = 1000;

TEST(RiseMark, TellsARiseByMoreThanAStepAboveTheFloor) {
  RiseMark mark(kFloor);
  EXPECT_FALSE(mark.has_risen(0, 10));
  EXPECT_FALSE(mark.has_risen(kFloor + 10, 10));
  EXPECT_TRUE(mark.has_risen(kFloor + 11, 10));
  EXPECT_TRUE(mark.has_risen(kFloor + 11, 10)) << "the mark was not moved";
}

TEST(RiseMark, BeginsTheNextRiseWhereItIsMovedTo) {
  RiseMark mark(kFloor);
  mark.move_to(5000);
  EXPECT_FALSE(mark.has_risen(5100, 100));
  EXPECT_TRUE(mark.has_risen(5101, 100));
  mark.move_to(10);
  EXPECT_FALSE(mark.has_risen(kFloor + 100, 100)) << "below the floor";
  EXPECT_TRUE(mark.has_risen(kFloor + 101, 100));
}

TEST(RiseMark, FollowsValuesDown) {
  RiseMark mark(kFloor);
  mark.move_to(5000);
  EXPECT_FALSE(mark.has_risen(3000, 100));
  EXPECT_FALSE(mark.has_risen(3100, 100));
  EXPECT_TRUE(mark.has_risen(3101, 100));
  EXPECT_FALSE(mark.has_risen(0, 100));
  EXPECT_TRUE(mark.has_risen(kFloor + 101, 100));
}

TEST(RiseMark, SmallStepsAddUp) {
  RiseMark mark(kFloor);
  size_t told = 0;
  for (size_t value = kFloor; value <= kFloor + 1000; ++value) {
    if (!mark.has_risen(value, 99)) continue;
    ++told;
    mark.move_to(value);
  }
  EXPECT_EQ(told, 10u);
}

}  // namespace
}  // namespace spanmalloc
