#include "spans/guard_pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "platform/virtual_memory.h"

namespace spanmalloc {
namespace {

TEST(GuardPages, LieRoundTheSpan) {
  const GuardPages guards{2, 3};
  const PageRange all{PageNumber{100}, PageCount{15}};
  const PageRange span = guards.inside(all);
  EXPECT_TRUE(guards.any());
  EXPECT_EQ(guards.total().value, 5u);
  EXPECT_EQ(span.first.value, 102u);
  EXPECT_EQ(span.count.value, 10u);
  EXPECT_EQ(guards.before_range(span).first.value, 100u);
  EXPECT_EQ(guards.before_range(span).count.value, 2u);
  EXPECT_EQ(guards.after_range(span).first.value, 112u);
  EXPECT_EQ(guards.after_range(span).count.value, 3u);
}

TEST(GuardBudget, GivesNoneUnlessWanted) {
  GuardBudget budget;
  EXPECT_FALSE(budget.choose_small().any());
  EXPECT_FALSE(budget.choose_large().any());
}

TEST(GuardBudget, ChoosesWithinItsBounds) {
  GuardBudget budget;
  budget.set_most(GuardBudget::most_under(SIZE_MAX));
  bool has_none_before = false;
  bool has_some_before = false;
  for (int round = 0; round < 1000; ++round) {
    const GuardPages guards = budget.choose_small();
    ASSERT_LE(guards.before, GuardPages::kMost);
    ASSERT_GE(guards.after, 1);
    ASSERT_LE(guards.after, GuardPages::kMost);
    (guards.before == 0 ? has_none_before : has_some_before) = true;
  }
  EXPECT_TRUE(has_none_before && has_some_before);
  EXPECT_EQ(budget.choose_large().before, 0);
  EXPECT_EQ(budget.choose_large().after, 1);
}

TEST(GuardBudget, GoesOnWithoutGuardsWhenTooManyAreOut) {
  GuardBudget budget;
  budget.set_most(GuardBudget::most_under(SIZE_MAX));
  size_t made = 0;
  for (; made < 1000000 && budget.choose_large().any(); ++made) {
    budget.note_made(budget.choose_large());
  }
  EXPECT_LT(made, 1000000u);
  EXPECT_EQ(budget.pages().value, made);
  EXPECT_FALSE(budget.choose_small().any());
  budget.note_ended(GuardPages{0, 1});
  EXPECT_TRUE(budget.choose_large().any());
}

TEST(GuardBudget, TakesASmallShareOfALimit) {
  constexpr size_t kLimit = size_t{64} << 20;
  EXPECT_EQ(GuardBudget::most_under(kLimit).bytes().value, kLimit / 16);
  EXPECT_EQ(GuardBudget::most_under(0).value, 0u);
  EXPECT_LT(GuardBudget::most_under(SIZE_MAX).bytes().value, size_t{1} << 30);
}

TEST(GuardBudget, GivesNoneOnceTheSystemHasRefusedOne) {
  GuardBudget budget;
  budget.set_most(PageCount{100});
  EXPECT_TRUE(budget.choose_small().any());
  budget.note_refused();
  EXPECT_FALSE(budget.choose_small().any());
  EXPECT_FALSE(budget.choose_large().any());
}

TEST(GuardBudgetDeathTest, MoreGuardsEndedThanMadeIsAFault) {
  GuardBudget budget;
  budget.note_made(GuardPages{1, 2});
  budget.note_ended(GuardPages{1, 1});
  budget.check_invariants();
  budget.note_ended(GuardPages{1, 1});
  EXPECT_DEATH(budget.check_invariants(), "more guard pages ended than were made");
}

TEST(GuardPagesDeathTest, AreInaccessibleUntilTheyAreOpened) {
  constexpr PageCount kPages{4};
  const uintptr_t base = platform::reserve(kPages.bytes().value, 0);
  ASSERT_NE(base, 0u);
  ASSERT_TRUE(platform::prepare(base, kPages.bytes().value));
  auto* memory = reinterpret_cast<unsigned char*>(base);
  memset(memory, 1, kPages.bytes().value);
  ASSERT_TRUE(close_guard(base + kPageBytes, PageCount{1}));
  EXPECT_EQ(memory[kPageBytes - 1], 1);
  EXPECT_EQ(memory[2 * kPageBytes], 1);
  EXPECT_DEATH(memory[kPageBytes] = 2, "");
  EXPECT_DEATH(memory[2 * kPageBytes - 1] = 2, "");
  ASSERT_TRUE(open_guard(base + kPageBytes, PageCount{1}));
  EXPECT_EQ(memory[kPageBytes], 0);
  memory[kPageBytes] = 2;
}

}  // namespace
}  // namespace spanmalloc
