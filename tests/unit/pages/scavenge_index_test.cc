#include "pages/scavenge_index.h"

#include <gtest/gtest.h>

#include <vector>

namespace spanmalloc {
namespace {

constexpr size_t P = kPagesPerChunk;
constexpr size_t kChunks = 64;
constexpr size_t kBase = 100;
constexpr ScavengeUnit kAny = ScavengeUnit::kAnyPages;

TEST(ChunkActivity, PacksAndUnpacks) {
  const ChunkActivity activities[] = {
      {1918237402, 512, 512, 512, 0b11}, {UINT32_MAX, 12, 12, 0, 0}, {}, {7, 0, 512, 3, 0b10}};
  for (const ChunkActivity& activity : activities) {
    EXPECT_EQ(ChunkActivity::unpack(activity.pack()), activity);
  }
  const uint64_t word = ChunkActivity{0, 0, 0, 0, ChunkActivity::kMayHaveFree}.pack();
  EXPECT_TRUE(ChunkActivity::may_have(word, kAny));
  EXPECT_FALSE(ChunkActivity::may_have(word, ScavengeUnit::kHugePage));
}

TEST(ChunkActivity, IsDenseFrom496Pages) {
  const auto sparse = [](uint32_t peak, uint32_t last_peak) {
    return ChunkActivity{5, 0, peak, last_peak, 0}.is_sparse(5);
  };
  EXPECT_EQ(ChunkActivity::kDensePages, 496u);
  EXPECT_TRUE(sparse(495, 495));
  EXPECT_FALSE(sparse(496, 0));
  EXPECT_FALSE(sparse(0, 496));
  EXPECT_FALSE(sparse(512, 512));
}

TEST(ChunkActivity, PeaksRollOverWithTheEpochs) {
  ChunkActivity activity{5, 10, 500, 0, 0};
  EXPECT_FALSE(activity.is_sparse(5));
  EXPECT_FALSE(activity.is_sparse(6));
  EXPECT_TRUE(activity.is_sparse(7));
  activity.roll_to(6);
  EXPECT_EQ(activity, (ChunkActivity{6, 10, 10, 500, 0}));
  activity.roll_to(9);
  EXPECT_EQ(activity, (ChunkActivity{9, 10, 10, 10, 0}));
  // The generation may wrap.
  ChunkActivity old{UINT32_MAX, 10, 500, 0, 0};
  old.roll_to(0);
  EXPECT_EQ(old, (ChunkActivity{0, 10, 10, 500, 0}));
}

// An index of 64 chunks that were full long ago, in which there is nothing to find yet.
class ScavengeIndexTest : public ::testing::TestWithParam<ScavengeMode> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(index_.reserve(kBase + kChunks, arena_));
    ASSERT_TRUE(index_.make_writable(kBase, kBase + kChunks));
    index_.add_chunks(kBase, kBase + kChunks);
    for (size_t c = 0; c < kChunks; ++c) index_.allocated({kBase + c}, P);
    index_.start_epoch();
    for (size_t c = 0; c < kChunks; ++c) index_.freed({kBase + c}, 0, P);
    for (int i = 0; i < 3; ++i) index_.start_epoch();
    for (size_t c = 0; c < kChunks; ++c) {
      index_.set_empty({kBase + c}, kAny);
      index_.set_empty({kBase + c}, ScavengeUnit::kHugePage);
    }
    for (const ScavengeMode mode : {ScavengeMode::kBackground, ScavengeMode::kForced}) {
      for (const ScavengeUnit unit : {kAny, ScavengeUnit::kHugePage}) {
        EXPECT_FALSE(index_.find(mode, unit).ok);
      }
    }
  }

  // Uses and frees pages, counted from the first page of the first chunk.
  void mark(size_t first, size_t count) {
    while (count > 0) {
      const size_t here = std::min(count, P - first % P);
      const ChunkNumber chunk{kBase + first / P};
      index_.allocated(chunk, here);
      index_.freed(chunk, first % P, here);
      first += here;
      count -= here;
    }
  }
  bool forced() const { return GetParam() == ScavengeMode::kForced; }
  // Lets marked pages become visible: in the background after the epoch, and once more after it
  // for chunks that were full in it.
  void let_pass(int epochs = 1) {
    if (forced()) return;
    for (int i = 0; i < epochs; ++i) {
      expect_nothing();
      index_.start_epoch();
    }
  }
  void expect(size_t chunk, size_t page) {
    const ScavengeIndex::Found found = index_.find(GetParam(), kAny);
    ASSERT_TRUE(found.ok);
    EXPECT_EQ(found.chunk.value, kBase + chunk);
    EXPECT_EQ(found.page, page);
  }
  void expect_and_take(size_t chunk, size_t page) {
    expect(chunk, page);
    expect(chunk, page);
    index_.set_empty({kBase + chunk}, kAny);
  }
  void expect_nothing() { EXPECT_FALSE(index_.find(GetParam(), kAny).ok); }

  MetadataArena arena_;
  ScavengeIndex index_;
};

TEST_P(ScavengeIndexTest, FindsTheLastPageOfARange) {
  mark(3, 1);
  let_pass();
  expect_and_take(0, 3);
  expect_nothing();

  mark(P + 9, 5);
  let_pass();
  expect_and_take(1, 13);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, FindsAWholeChunk) {
  mark(0, P);
  let_pass(2);
  expect_and_take(0, 511);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, FindsTwoChunksFromHighToLow) {
  mark(128, P);
  let_pass();
  expect_and_take(1, 127);
  expect_and_take(0, 511);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, FindsManyChunks) {
  mark(0, 32 * P);
  let_pass(2);
  for (size_t chunk = 32; chunk > 0; --chunk) expect_and_take(chunk - 1, 511);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, MarkingTwiceIsMarkingOnce) {
  mark(3 * P + 17, 20);
  mark(3 * P + 17, 20);
  let_pass();
  mark(3 * P + 17, 20);
  expect_and_take(3, 36);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, MarksBetweenSearches) {
  mark(5 * P, 10);
  let_pass();
  expect_and_take(5, 9);
  mark(9 * P, 10);
  let_pass();
  expect(9, 9);
  // A raise while a search stands lower: the higher chunk comes first.
  mark(20 * P + 4, 1);
  if (forced()) {
    expect_and_take(20, 4);
  } else {
    expect(9, 9);
    index_.start_epoch();
    expect_and_take(20, 4);
  }
  expect_and_take(9, 511);
  expect_nothing();
}

TEST_P(ScavengeIndexTest, AChunkThatIsFullHasNothing) {
  mark(2 * P, 100);
  index_.allocated({kBase + 2}, P);
  index_.start_epoch();
  expect_nothing();
}

TEST_P(ScavengeIndexTest, PagesFreedAsReleasedAreNotLookedFor) {
  index_.allocated({kBase}, 100);
  index_.freed_released({kBase}, 100);
  index_.start_epoch();
  expect_nothing();
  EXPECT_EQ(index_.activity({kBase}).in_use, 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, ScavengeIndexTest,
                         ::testing::Values(ScavengeMode::kBackground, ScavengeMode::kForced));

class ScavengeIndexRules : public ScavengeIndexTest {};
INSTANTIATE_TEST_SUITE_P(Background, ScavengeIndexRules,
                         ::testing::Values(ScavengeMode::kBackground));

TEST_P(ScavengeIndexRules, DenseChunksAreForForcedSearchesOnly) {
  index_.allocated({kBase}, 500);
  index_.freed({kBase}, 0, 4);
  for (int i = 0; i < 4; ++i) {
    index_.start_epoch();
    expect_nothing();
  }
  EXPECT_TRUE(index_.find(ScavengeMode::kForced, kAny).ok);
}

TEST_P(ScavengeIndexRules, APeakInsideAnEpochIsRemembered) {
  index_.allocated({kBase}, 510);
  index_.freed({kBase}, 0, 500);
  index_.start_epoch();
  expect_nothing();  // the last epoch saw 510
  index_.start_epoch();
  expect(0, 499);  // this and the last one 10 at most
}

TEST_P(ScavengeIndexRules, HugePagesAreTheirOwnUnit) {
  const auto find_huge = [this] {
    return index_.find(ScavengeMode::kForced, ScavengeUnit::kHugePage).ok;
  };
  index_.allocated({kBase}, 300);
  index_.freed({kBase}, 10, 43);
  EXPECT_FALSE(find_huge());  // 257 pages in use: no half can be free
  index_.freed({kBase}, 0, 1);
  EXPECT_TRUE(find_huge());
  index_.set_empty({kBase}, ScavengeUnit::kHugePage);
  EXPECT_FALSE(find_huge());
  EXPECT_TRUE(index_.find(ScavengeMode::kForced, kAny).ok);
}

TEST_P(ScavengeIndexRules, ForcedSearchesCanStartOver) {
  mark(10 * P, 5);
  mark(20 * P, 5);
  const ScavengeIndex::Found high = index_.find(ScavengeMode::kForced, kAny);
  EXPECT_EQ(high.chunk.value, kBase + 20);
  index_.set_empty(high.chunk, kAny);
  EXPECT_EQ(index_.find(ScavengeMode::kForced, kAny).chunk.value, kBase + 10);
  index_.rewind_forced();
  EXPECT_EQ(index_.find(ScavengeMode::kForced, kAny).chunk.value, kBase + 10);
}

TEST(ScavengeCursor, IsNotLoweredPastARaise) {
  ScavengeCursor cursor;
  EXPECT_TRUE(cursor.load().cleared());
  cursor.raise({100});
  EXPECT_EQ(cursor.load().page().value, 100u);
  cursor.raise({50});
  EXPECT_EQ(cursor.load().page().value, 100u);

  const ScavengeCursor::Position seen = cursor.load();
  cursor.raise({100});  // the same page again, while a search is under way
  cursor.lower(seen, {10});
  cursor.clear(seen);
  EXPECT_EQ(cursor.load().page().value, 100u);

  cursor.lower(cursor.load(), {10});
  EXPECT_EQ(cursor.load().page().value, 10u);
  cursor.clear(cursor.load());
  EXPECT_TRUE(cursor.load().cleared());
  cursor.raise({0});
  EXPECT_FALSE(cursor.load().cleared());
  EXPECT_EQ(cursor.load().page().value, 0u);
}

}  // namespace
}  // namespace spanmalloc
