// The page heap against a flat model of its pages.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "page_heap_fixture.h"
#include "pages/page_heap.h"

namespace spanmalloc {
namespace {

using testing::kTiB;

// Replays random operations on a heap and on a flat map of its pages.
class ShadowedHeap {
 public:
  explicit ShadowedHeap(uint64_t seed) : random_(seed), test_(4 * kTiB) {}

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

  // The next growth lands far away, at most 6 times.
  void jump() {
    if (jumps_ == 6) return;
    ++jumps_;
    const size_t step = kTiB / 8 / kChunkBytes;
    test_.source.jump_to({(jumps_ * 5 % 14 + 1) * step + below(5000)});
  }

  std::mt19937_64 random_;
  TestHeap test_;
  std::map<size_t, State> used_;
  std::vector<PageRange> blocks_;
  size_t jumps_ = 0;
};

TEST(PageHeapModel, AgreesWithAFlatModel) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
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
