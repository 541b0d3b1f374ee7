#include "pages/page_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "base/metadata_arena.h"
#include "support/fake_page_source.h"

namespace spanmalloc {
namespace {

using testing::FakePageSource;
using testing::kGiB;
using testing::kTiB;

constexpr PageCount kAny{1};
constexpr PageCount kChunk{kPagesPerChunk};
constexpr Bytes kEverything{SIZE_MAX};

struct TestHeap {
  explicit TestHeap(size_t window_bytes = 16 * kGiB) : source(window_bytes) {
    EXPECT_TRUE(heap.open(source.window()));
  }

  PageAllocation allocate(size_t count, size_t alignment = 1, Growth growth = Growth::kAllowed) {
    return heap.allocate({count}, {alignment}, growth);
  }

  FakePageSource source;
  MetadataArena arena;
  PageHeap heap{source, arena};
};

TEST(PageHeap, FailsUntilOpened) {
  FakePageSource source(kGiB);
  MetadataArena arena;
  PageHeap heap(source, arena);
  EXPECT_FALSE(heap.allocate({1}, kAny, Growth::kAllowed).ok());
  EXPECT_FALSE(heap.allocate_at({{0}, {1}}, Growth::kAllowed).ok());
  EXPECT_EQ(heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  heap.start_epoch();
  heap.check_invariants();
  ASSERT_TRUE(heap.open(source.window()));
  ASSERT_TRUE(heap.open(source.window()));
  EXPECT_TRUE(heap.allocate({1}, kAny, Growth::kAllowed).ok());
  EXPECT_EQ(heap.window().base, source.window().base);
}

TEST(PageHeap, NewMemoryIsZeroAndReleased) {
  TestHeap test;
  const PageAllocation a = test.allocate(3);
  ASSERT_TRUE(a.ok());
  EXPECT_TRUE(a.is_zero());
  PageHeapStats stats = test.heap.stats();
  EXPECT_EQ(stats.mapped, kChunk);
  EXPECT_EQ(stats.in_use.value, 3u);
  EXPECT_EQ(stats.released.value, kPagesPerChunk - 3);
  EXPECT_EQ(stats.free_retained.value, 0u);

  test.heap.free(a.pages);
  stats = test.heap.stats();
  EXPECT_EQ(stats.free_retained.value, 3u);
  EXPECT_EQ(test.heap.retained_bytes(), 3 * kPageBytes);
  test.heap.check_invariants();
}

TEST(PageHeap, PagesThatReadAsZeroGoBackAsReleased) {
  TestHeap test;
  const PageAllocation a = test.allocate(1000);
  test.heap.free_released({a.pages.first, {500}});
  test.heap.free({a.pages.first + PageCount{500}, {500}});
  const PageHeapStats stats = test.heap.stats();
  EXPECT_EQ(stats.in_use.value, 0u);
  EXPECT_EQ(stats.free_retained.value, 500u);
  EXPECT_EQ(stats.released.value, 524u);
  test.heap.check_invariants();
  EXPECT_EQ(test.allocate(1000).released.value, 500u);
}

TEST(PageHeap, RefusesSizesBeyondTheWindow) {
  TestHeap test(kGiB);
  EXPECT_FALSE(test.allocate(0).ok());
  EXPECT_FALSE(test.allocate(kGiB / kPageBytes + 1).ok());
  EXPECT_FALSE(test.allocate(SIZE_MAX).ok());
  EXPECT_FALSE(test.allocate(1, kGiB / kPageBytes * 2).ok());
  EXPECT_FALSE(test.allocate(1, size_t{1} << 63).ok());
  EXPECT_FALSE(test.heap.allocate_at({{SIZE_MAX - 1}, {1}}, Growth::kAllowed).ok());
  EXPECT_FALSE(test.heap.allocate_at({{0}, {0}}, Growth::kAllowed).ok());
  EXPECT_EQ(test.source.grow_calls(), 0u);
  EXPECT_TRUE(test.allocate(kGiB / kPageBytes).ok());
  EXPECT_FALSE(test.allocate(1).ok());
}

TEST(PageHeap, GrowthCanBeForbidden) {
  TestHeap test;
  EXPECT_FALSE(test.allocate(1, 1, Growth::kForbidden).ok());
  EXPECT_EQ(test.source.grow_calls(), 0u);
  ASSERT_TRUE(test.allocate(1).ok());
  EXPECT_TRUE(test.allocate(511, 1, Growth::kForbidden).ok());
  EXPECT_FALSE(test.allocate(1, 1, Growth::kForbidden).ok());
}

TEST(PageHeap, AlignsEveryPowerOfTwo) {
  TestHeap test(kTiB);
  for (size_t alignment = 1; alignment <= kTiB / kPageBytes / 64; alignment *= 2) {
    for (const size_t count : {1u, 3u, 256u, 511u, 700u}) {
      const PageAllocation a = test.allocate(count, alignment);
      ASSERT_TRUE(a.ok()) << alignment;
      EXPECT_EQ(a.pages.first.value % alignment, 0u);
      EXPECT_EQ(test.heap.window().address(a.pages.first) % (alignment * kPageBytes), 0u);
    }
  }
  test.heap.check_invariants();
}

TEST(PageHeap, ReusesExactAlignedHoles) {
  TestHeap test;
  std::vector<PageAllocation> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(test.allocate(256, 256));
  for (size_t i = 0; i < 64; i += 2) test.heap.free(blocks[i].pages);
  for (size_t i = 0; i < 64; i += 2) {
    EXPECT_EQ(test.allocate(256, 256, Growth::kForbidden).pages, blocks[i].pages);
  }
}

TEST(PageHeap, GrowsInPlaceIntoFreeNeighbours) {
  TestHeap test;
  const PageAllocation a = test.allocate(20);
  const PageAllocation b = test.allocate(20);
  const PageAllocation c = test.allocate(20);
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {20}}, Growth::kAllowed).ok());
  test.heap.free(b.pages);
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {21}}, Growth::kAllowed).ok());
  const PageAllocation grown = test.heap.allocate_at({a.pages.end(), {20}}, Growth::kForbidden);
  ASSERT_TRUE(grown.ok());
  EXPECT_EQ(grown.released.value, 0u);
  EXPECT_EQ(grown.pages, b.pages);
  // Behind the last block the rest of the chunk is free, and behind that the heap can grow.
  const PageAllocation last = test.heap.allocate_at({c.pages.end(), {5000}}, Growth::kForbidden);
  EXPECT_FALSE(last.ok());
  EXPECT_TRUE(test.heap.allocate_at({c.pages.end(), {5000}}, Growth::kAllowed).ok());
  test.heap.check_invariants();
}

TEST(PageHeap, GrowsInPlaceOverPagesInThePageCache) {
  TestHeap test;
  const PageAllocation a = test.allocate(1);
  const PageAllocation grown = test.heap.allocate_at({a.pages.end(), {10}}, Growth::kForbidden);
  ASSERT_TRUE(grown.ok());
  EXPECT_TRUE(grown.is_zero());
  test.heap.check_invariants();
}

TEST(PageHeap, DoesNotGrowInPlaceWhereTheSourceGoesElsewhere) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.source.jump_to({64});
  EXPECT_FALSE(test.heap.allocate_at({a.pages.end(), {1}}, Growth::kAllowed).ok());
  EXPECT_EQ(test.source.grow_calls(), 1u);
}

TEST(PageHeap, GrowsGeometricallyButExactlyWhenThatIsRefused) {
  TestHeap test(kTiB);
  ASSERT_TRUE(test.allocate(kGiB / kPageBytes).ok());
  ASSERT_TRUE(test.allocate(1).ok());
  EXPECT_EQ(test.source.ranges().back().count.bytes().value, size_t{64} << 20);
  ASSERT_TRUE(test.allocate((size_t{64} << 20) / kPageBytes - 1).ok());
  test.source.limit_to(test.source.handed_out() + PageCount{kPagesPerChunk});
  ASSERT_TRUE(test.allocate(kPagesPerChunk).ok());
  EXPECT_FALSE(test.allocate(64).ok());
  EXPECT_EQ(test.heap.stats().grow_refusals, 1u);
  test.heap.check_invariants();
}

TEST(PageHeap, AsksForHugePagesBeyondTheFirstChunk) {
  TestHeap test;
  ASSERT_TRUE(test.allocate(512).ok());
  EXPECT_TRUE(test.source.huge_page_wishes().empty());
  ASSERT_TRUE(test.allocate(1).ok());
  ASSERT_EQ(test.source.huge_page_wishes().size(), 1u);
  EXPECT_EQ(test.source.huge_page_wishes()[0], (PageRange{{512}, {512}}));

  TestHeap large;
  ASSERT_TRUE(large.allocate(4 * 512).ok());
  ASSERT_EQ(large.source.huge_page_wishes().size(), 1u);
  EXPECT_EQ(large.source.huge_page_wishes()[0], (PageRange{{512}, {3 * 512}}));
}

TEST(PageHeap, ForcedScavengingReturnsAllWholeHugePagesFirst) {
  TestHeap test;
  const PageAllocation a = test.allocate(2 * 512);
  // The upper chunk keeps one page, the lower one becomes free.
  test.heap.free({a.pages.first, {1023}});
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 1023 * kPageBytes);
  const std::vector<PageRange>& releases = test.source.releases();
  ASSERT_EQ(releases.size(), 4u);
  EXPECT_EQ(releases[0], (PageRange{a.pages.first + PageCount{512}, {256}}));
  EXPECT_EQ(releases[1], (PageRange{a.pages.first + PageCount{256}, {256}}));
  EXPECT_EQ(releases[2], (PageRange{a.pages.first, {256}}));
  EXPECT_EQ(releases[3], (PageRange{a.pages.first + PageCount{768}, {255}}));
  EXPECT_EQ(test.heap.free_retained_bytes(), 0u);
  EXPECT_EQ(test.heap.in_use_bytes(), kPageBytes);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  EXPECT_EQ(test.heap.stats().scavenged_pages, 1023u);
  test.heap.check_invariants();
  const PageAllocation again = test.allocate(1023, 1, Growth::kForbidden);
  EXPECT_TRUE(again.is_zero());
}

TEST(PageHeap, ForcedScavengingEmptiesThePageCache) {
  TestHeap test;
  const PageAllocation a = test.allocate(5);
  test.heap.free(a.pages);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 5 * kPageBytes);
  EXPECT_EQ(test.heap.retained_bytes(), 0u);
}

TEST(PageHeap, ScavengingStopsWhenEnoughIsDone) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  for (size_t page = 0; page < 512; page += 2) {
    test.heap.free({a.pages.first + PageCount{page}, {1}});
  }
  EXPECT_EQ(test.heap.scavenge({1}, ScavengeMode::kForced).value, kPageBytes);
  EXPECT_EQ(test.heap.scavenge({3 * kPageBytes}, ScavengeMode::kForced).value, 3 * kPageBytes);
  ASSERT_EQ(test.source.releases().size(), 4u);
  EXPECT_EQ(test.source.releases()[0].first, a.pages.first + PageCount{510});
  EXPECT_EQ(test.source.releases()[3].first, a.pages.first + PageCount{504});
}

TEST(PageHeap, BackgroundScavengingWaitsUntilADensePeakIsForgotten) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.heap.free(a.pages);
  const auto background = [&test] {
    return test.heap.scavenge(kEverything, ScavengeMode::kBackground).value / kPageBytes;
  };
  EXPECT_EQ(background(), 0u);  // freed in this epoch
  test.heap.start_epoch();
  EXPECT_EQ(background(), 0u);  // full in the last one
  test.heap.start_epoch();
  EXPECT_EQ(background(), 512u);
  EXPECT_EQ(background(), 0u);
}

TEST(PageHeap, BackgroundScavengingTakesSparseChunksAfterAnEpoch) {
  TestHeap test;
  const PageAllocation a = test.allocate(400);
  test.heap.free({a.pages.first, {100}});
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 0u);
  test.heap.start_epoch();
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 100 * kPageBytes);
}

TEST(PageHeap, BackgroundScavengingLeavesDenseChunksAlone) {
  TestHeap test;
  const PageAllocation a = test.allocate(512);
  test.heap.free({a.pages.first, {10}});
  for (int i = 0; i < 5; ++i) {
    test.heap.start_epoch();
    EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kBackground).value, 0u);
  }
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 10 * kPageBytes);
}

TEST(PageHeap, RefusedReleasesLoseNothing) {
  TestHeap test;
  const PageAllocation a = test.allocate(3 * 512);
  test.heap.free(a.pages);
  test.source.refuse_release(true);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 0u);
  EXPECT_EQ(test.heap.free_retained_bytes(), 3 * kChunkBytes);
  EXPECT_GE(test.heap.stats().scavenge_refusals, 3u);
  test.heap.check_invariants();
  test.source.refuse_release(false);
  test.heap.free(test.allocate(3 * 512).pages);
  EXPECT_EQ(test.heap.scavenge(kEverything, ScavengeMode::kForced).value, 3 * kChunkBytes);
  test.heap.check_invariants();
}

// Replays random operations on a heap and on a flat map of its pages.
class ShadowedHeap {
 public:
  explicit ShadowedHeap(uint64_t seed) : random_(seed), test_(64 * kTiB) {}

  void step() {
    const unsigned what = below(100);
    if (what < 45) {
      allocate();
    } else if (what < 80) {
      free_one();
    } else if (what < 90) {
      allocate_at();
    } else if (what < 95) {
      scavenge();
    } else if (what < 98) {
      test_.heap.start_epoch();
    } else {
      jump();
    }
  }

  void check() {
    test_.heap.check_invariants();
    const PageHeapStats stats = test_.heap.stats();
    size_t in_use = 0;
    size_t released = 0;
    for (const auto& [page, state] : used_) in_use += state == State::kInUse;
    for (const auto& [page, state] : used_) released += state == State::kReleased;
    EXPECT_EQ(stats.in_use.value, in_use);
    EXPECT_EQ(stats.released.value, released + untouched());
    EXPECT_EQ(stats.mapped, test_.source.handed_out());
  }

  void finish() {
    while (!blocks_.empty()) free_one();
    check();
    scavenge_all();
    EXPECT_EQ(test_.heap.retained_bytes(), 0u);
    check();
  }

 private:
  enum class State { kInUse, kRetained, kReleased };

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

  size_t untouched() const { return test_.source.handed_out().value - used_.size(); }

  void note_allocated(const PageAllocation& a) {
    size_t released = 0;
    for (size_t i = 0; i < a.pages.count.value; ++i) {
      const size_t page = a.pages.first.value + i;
      const auto known = used_.find(page);
      if (known == used_.end() || known->second == State::kReleased) ++released;
      ASSERT_TRUE(known == used_.end() || known->second != State::kInUse) << "overlap";
      used_[page] = State::kInUse;
    }
    ASSERT_EQ(a.released.value, released);
    blocks_.push_back(a.pages);
  }

  size_t any_size() {
    switch (below(10)) {
      case 0: return 1 + below(3000);
      case 1: return 1 + below(300);
      default: return 1 + below(24);
    }
  }

  void allocate() {
    const size_t count = any_size();
    const size_t alignment = below(4) == 0 ? size_t{1} << below(12) : 1;
    const PageAllocation a = test_.allocate(count, alignment);
    ASSERT_TRUE(a.ok());
    ASSERT_EQ(a.pages.count.value, count);
    ASSERT_EQ(a.pages.first.value % alignment, 0u);
    note_allocated(a);
  }

  // Grows a block in place; whether that is possible, the shadow knows.
  void allocate_at() {
    if (blocks_.empty()) return;
    const PageRange block = blocks_[below(static_cast<unsigned>(blocks_.size()))];
    const PageRange wanted{block.end(), {any_size()}};
    bool mapped = false;
    for (const PageRange& range : test_.source.ranges()) {
      mapped |= range.first <= wanted.first && wanted.end() <= range.end();
    }
    bool free = mapped;
    for (size_t i = 0; i < wanted.count.value; ++i) {
      const auto known = used_.find(wanted.first.value + i);
      free &= known == used_.end() || known->second != State::kInUse;
    }
    const PageAllocation a = test_.heap.allocate_at(
        wanted, below(2) == 0 ? Growth::kAllowed : Growth::kForbidden);
    if (free) {
      ASSERT_TRUE(a.ok());
    }
    if (a.ok()) note_allocated(a);
  }

  void free_one() {
    if (blocks_.empty()) return;
    std::swap(blocks_[below(static_cast<unsigned>(blocks_.size()))], blocks_.back());
    PageRange block = blocks_.back();
    blocks_.pop_back();
    if (block.count.value > 1 && below(8) == 0) {  // only a part of it
      const size_t half = block.count.value / 2;
      blocks_.push_back({block.first + PageCount{half}, block.count - PageCount{half}});
      block.count = {half};
    }
    const bool released = below(6) == 0;
    for (size_t i = 0; i < block.count.value; ++i) {
      used_[block.first.value + i] = released ? State::kReleased : State::kRetained;
    }
    released ? test_.heap.free_released(block) : test_.heap.free(block);
  }

  void scavenge() {
    const ScavengeMode mode = below(2) == 0 ? ScavengeMode::kForced : ScavengeMode::kBackground;
    const Bytes wanted{below(2) == 0 ? SIZE_MAX : size_t{below(2000)} * kPageBytes};
    const size_t before = test_.heap.free_retained_bytes();
    const Bytes done = test_.heap.scavenge(wanted, mode);
    EXPECT_EQ(test_.heap.free_retained_bytes(), before - done.value);
    if (mode == ScavengeMode::kForced) {
      EXPECT_GE(done.value, std::min(before, wanted.value));
    }
    note_releases(done);
  }

  void scavenge_all() {
    note_releases(test_.heap.scavenge({SIZE_MAX}, ScavengeMode::kForced));
  }

  void note_releases(Bytes done) {
    size_t newly = 0;
    for (const PageRange& range : test_.source.releases()) {
      for (size_t i = 0; i < range.count.value; ++i) {
        const auto known = used_.find(range.first.value + i);
        if (known == used_.end()) continue;
        ASSERT_NE(known->second, State::kInUse) << "released while in use";
        newly += known->second == State::kRetained;
        known->second = State::kReleased;
      }
    }
    EXPECT_EQ(newly * kPageBytes, done.value);
    test_.source.forget_releases();
  }

  // The next growth lands somewhere else, at most 8 times.
  void jump() {
    if (jumps_ == 8) return;
    ++jumps_;
    const size_t terabyte = kTiB / kChunkBytes;
    test_.source.jump_to({(jumps_ * 37 % 60 + 1) * terabyte + below(5000)});
  }

  std::mt19937_64 random_;
  TestHeap test_;
  std::map<size_t, State> used_;
  std::vector<PageRange> blocks_;
  size_t jumps_ = 0;
};

TEST(PageHeap, AgreesWithAFlatModel) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    ShadowedHeap heap(seed);
    for (int i = 0; i < 3000; ++i) {
      heap.step();
      if (::testing::Test::HasFatalFailure()) FAIL() << "seed " << seed << " step " << i;
      if (i % 300 == 0) heap.check();
    }
    heap.finish();
  }
}

}  // namespace
}  // namespace spanmalloc
