// Searches of the scavenger hold no lock; a raised cursor is what tells them of free pages.
#include <gtest/gtest.h>

#include <thread>

#include "pages/scavenge_index.h"

namespace spanmalloc {
namespace {

template <typename Condition>
void wait_for(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

// The mark stands for the word of the chunk; it is plain, so that the race detector sees a weaker
// order where the processor hides it.
TEST(ScavengeCursorOrder, ASearchThatSeesARaiseSeesWhatItWasMadeFor) {
  for (size_t round = 0; round < 200; ++round) {
    ScavengeCursor cursor;
    size_t mark = 0;
    std::thread search([&] {
      wait_for([&] { return !cursor.load().cleared(); });
      EXPECT_EQ(mark, round + 1);
      EXPECT_EQ(cursor.load().page().value, round);
    });
    mark = round + 1;
    cursor.raise({round});
    search.join();
  }
}

// As many pages are found as were raised for, whatever searches do to the cursor meanwhile.
TEST(ScavengeCursorOrder, NoRaiseIsLostToASearchUnderWay) {
  ScavengeCursor cursor;
  constexpr size_t kPages = 20000;
  std::atomic<size_t> raised{0};
  size_t found = 0;
  std::thread search([&] {
    while (found < kPages) {
      const ScavengeCursor::Position seen = cursor.load();
      if (seen.cleared()) {
        std::this_thread::yield();
        continue;
      }
      const size_t page = seen.page().value;
      EXPECT_LE(found, page);
      EXPECT_LE(page, raised.load());
      found = page;
      cursor.clear(seen);
    }
  });
  for (size_t page = 1; page <= kPages; ++page) {
    raised = page;
    cursor.raise({page});
  }
  search.join();
  EXPECT_EQ(found, kPages);
}

}  // namespace
}  // namespace spanmalloc
