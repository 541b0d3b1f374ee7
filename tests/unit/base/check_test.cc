#include "base/check.h"

#include <gtest/gtest.h>

namespace spanmalloc {
namespace {

TEST(CheckDeathTest, FatalPrintsItsSentenceAndAborts) {
  EXPECT_EXIT(fatal("something is wrong"), ::testing::KilledBySignal(SIGABRT),
              "spanmalloc: something is wrong\n");
}

TEST(CheckDeathTest, AFailedCheckNamesItsPlace) {
  EXPECT_DEATH(SPANMALLOC_CHECK(1 > 2, "one is not above two"),
               "spanmalloc: internal check failed: one is not above two "
               "\\(check_test.cc:[0-9]+\\)");
}

TEST(CheckDeathTest, DebugChecksAreTestedInDebugBuilds) {
  if (!kDebugChecks) GTEST_SKIP();
  EXPECT_DEATH(SPANMALLOC_DCHECK(false, "in debug builds only"), "in debug builds only");
}

TEST(Check, TrueConditionsPass) {
  int evaluations = 0;
  SPANMALLOC_CHECK(++evaluations == 1, "never seen");
  EXPECT_EQ(evaluations, 1);
}

}  // namespace
}  // namespace spanmalloc
