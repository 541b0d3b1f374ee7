// The page heap against a flat table of its pages.
#include <gtest/gtest.h>

#include <random>

#include "support/shadow_page_heap.h"

namespace spanmalloc {
namespace {

struct RandomChoices {
  size_t below(size_t limit) { return random() % limit; }

  std::mt19937_64 random;
};

TEST(PageHeapModel, AgreesWithAFlatTable) {
  size_t failed_requests = 0;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    RandomChoices choices{std::mt19937_64(seed)};
    testing::ShadowPageHeap<RandomChoices> heap(choices);
    for (int i = 0; i < 3000; ++i) {
      heap.step();
      if (i % 300 == 0) heap.check();
    }
    heap.finish();
    failed_requests += heap.failed_requests();
  }
  EXPECT_GT(failed_requests, 0u) << "the source has refused nothing";
}

}  // namespace
}  // namespace spanmalloc
