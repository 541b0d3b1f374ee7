// Magazines and claims pass between threads through a central list's lock alone.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/central_parts.h"

namespace spanmalloc {
namespace {

using testing::CentralParts;
using testing::claim_objects;
using testing::kTestKey;
using testing::make_magazine;

constexpr SizeClass kClass = size_class_of(64);

// The links are plain words that one thread writes and the other reads.
TEST(MagazineOrder, WhoTakesAMagazineSeesItsLinks) {
  CentralParts parts;
  const CentralList central = parts.centrals[kClass];
  constexpr int kMagazines = 300;
  std::vector<FreeNode> sentinels(kMagazines);
  std::thread taker([&] {
    for (int taken = 0; taken < kMagazines;) {
      const Magazine magazine = central.take_magazine();
      if (magazine.top == nullptr) {
        std::this_thread::yield();
        continue;
      }
      ++taken;
      size_t count = 0;
      for (FreeNode* node = magazine.top; !FreeNode::is_end(node->next(kTestKey)); ++count) {
        node = node->next(kTestKey);
      }
      EXPECT_EQ(count, magazine.count);
      central.drain(magazine, kTestKey);
    }
  });
  for (FreeNode& sentinel : sentinels) {
    central.put_magazine(make_magazine(claim_objects(central, kClass, 16), &sentinel), kTestKey);
  }
  taker.join();
  central.check_invariants();
  EXPECT_EQ(central.stats().spans, 0u);
}

}  // namespace
}  // namespace spanmalloc
