// A page heap on a fake source beside a flat table of its pages. Each operation is carried out on
// both and compared; a difference ends the process with a sentence.
#ifndef SPANMALLOC_TESTS_SUPPORT_SHADOW_PAGE_HEAP_H_
#define SPANMALLOC_TESTS_SUPPORT_SHADOW_PAGE_HEAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/metadata_arena.h"
#include "pages/page_heap.h"
#include "support/fake_page_source.h"
#include "support/flat_pages.h"

namespace spanmalloc::testing {

// Choices has below(limit): a number in [0, limit), from a generator or from a fuzzer's input.
template <typename Choices>
class ShadowPageHeap {
 public:
  explicit ShadowPageHeap(Choices& choices) : choices_(choices) {
    SPANMALLOC_CHECK(heap_.open(source_.window()), "the page heap does not open");
  }

  void step() {
    const size_t what = choices_.below(100);
    if (what < 42) {
      allocate();
    } else if (what < 74) {
      free_one();
    } else if (what < 84) {
      allocate_at();
    } else if (what < 90) {
      scavenge();
    } else if (what < 94) {
      heap_.start_epoch();
    } else if (what < 97) {
      jump();
    } else {
      change_source();
    }
  }

  void check() {
    heap_.check_invariants();
    const PageHeapStats stats = heap_.stats();
    SPANMALLOC_CHECK(stats.in_use == model_.count(PageState::kInUse), "pages in use differ");
    SPANMALLOC_CHECK(stats.released == model_.count(PageState::kReleased), "released pages differ");
    SPANMALLOC_CHECK(stats.mapped == source_.handed_out(), "memory of the source is lost");
  }

  void finish() {
    while (!blocks_.empty()) free_one();
    check();
    source_.refuse_release(false);
    note_releases(heap_.scavenge({SIZE_MAX}, ScavengeMode::kForced));
    const PageCount left = model_.count(PageState::kRetained, refused_chunks_);
    SPANMALLOC_CHECK(left.value == 0, "free memory cannot be released");
    check();
  }

  size_t failed_requests() const { return failed_requests_; }

 private:
  bool chance(size_t one_in) { return choices_.below(one_in) == 0; }

  PageCount any_count() {
    switch (choices_.below(10)) {
      case 0:
        return {1 + choices_.below(3000)};
      case 1:
        return {1 + choices_.below(300)};
      case 2:
        return {size_t{1} << choices_.below(12)};
      default:
        return {1 + choices_.below(24)};
    }
  }

  // Takes the chunks that the heap has got from the source into the table.
  void note_growth() {
    for (; ranges_seen_ < source_.ranges().size(); ++ranges_seen_) {
      model_.map(source_.ranges()[ranges_seen_]);
    }
  }

  void note_allocated(const PageAllocation& allocation) {
    SPANMALLOC_CHECK(model_.is_free(allocation.pages), "pages given out twice");
    SPANMALLOC_CHECK(allocation.released == model_.count(allocation.pages, PageState::kReleased),
                     "an allocation with a wrong count of released pages");
    model_.set(allocation.pages, PageState::kInUse);
    blocks_.push_back(allocation.pages);
  }

  void allocate() {
    const PageCount count = any_count();
    const PageCount alignment{chance(4) ? size_t{1} << choices_.below(13) : 1};
    const Growth growth = chance(8) ? Growth::kForbidden : Growth::kAllowed;
    const bool fits = model_.first_fit(count, alignment) != kNoPage;
    const PageAllocation allocation = heap_.allocate(count, alignment, growth);
    note_growth();
    if (!allocation.ok()) {
      ++failed_requests_;
      const bool may_fail = growth == Growth::kForbidden || source_may_refuse_;
      SPANMALLOC_CHECK(!fits && may_fail, "free pages were not found");
      return;
    }
    SPANMALLOC_CHECK(allocation.pages.count == count, "an allocation of the wrong size");
    SPANMALLOC_CHECK(allocation.pages.first.value % alignment.value == 0, "not aligned");
    note_allocated(allocation);
  }

  // Grows a block in place; whether that is possible, the table knows.
  void allocate_at() {
    if (blocks_.empty()) return;
    const PageRange block = blocks_[choices_.below(blocks_.size())];
    const PageRange wanted{block.end(), any_count()};
    const bool fits = model_.is_free(wanted);
    const Growth growth = chance(2) ? Growth::kForbidden : Growth::kAllowed;
    const PageAllocation allocation = heap_.allocate_at(wanted, growth);
    note_growth();
    SPANMALLOC_CHECK(allocation.ok() || !fits, "free pages behind a block were not found");
    if (!allocation.ok()) return;
    SPANMALLOC_CHECK(allocation.pages == wanted, "other pages than those asked for");
    note_allocated(allocation);
  }

  void free_one() {
    if (blocks_.empty()) return;
    std::swap(blocks_[choices_.below(blocks_.size())], blocks_.back());
    PageRange block = blocks_.back();
    blocks_.pop_back();
    if (block.count.value > 1 && chance(8)) {  // only a part of it
      const PageCount half{block.count.value / 2};
      blocks_.push_back({block.first + half, block.count - half});
      block.count = half;
    }
    // What is freed as retained brings its chunk back to the scavenger's notice.
    if (chance(6)) {
      heap_.free_released(block);
      model_.set(block, PageState::kReleased);
    } else {
      heap_.free(block);
      model_.set(block, PageState::kRetained);
      const ChunkNumber last = PageNumber{block.end().value - 1}.chunk();
      refused_chunks_.erase(refused_chunks_.lower_bound(block.first.chunk()),
                            refused_chunks_.upper_bound(last));
    }
  }

  void scavenge() {
    const ScavengeMode mode = chance(2) ? ScavengeMode::kForced : ScavengeMode::kBackground;
    const Bytes wanted{chance(2) ? SIZE_MAX : choices_.below(2000) * kPageBytes};
    const size_t before = model_.count(PageState::kRetained, refused_chunks_).bytes().value;
    const Bytes done = heap_.scavenge(wanted, mode);
    if (mode == ScavengeMode::kForced && !release_is_refused_) {
      SPANMALLOC_CHECK(done.value >= std::min(before, wanted.value), "less released than there is");
    }
    note_releases(done);
  }

  void note_releases(Bytes done) {
    PageCount newly;
    for (const PageRange& range : source_.releases()) {
      SPANMALLOC_CHECK(model_.is_free(range), "released while in use");
      newly += model_.count(range, PageState::kRetained);
      model_.set(range, PageState::kReleased);
    }
    SPANMALLOC_CHECK(newly.bytes() == done, "a wrong count of bytes released");
    // What was refused as a whole counts as retained as a whole.
    for (const PageRange& range : source_.refused_releases()) {
      SPANMALLOC_CHECK(model_.is_free(range), "released while in use");
      model_.set(range, PageState::kRetained);
      refused_chunks_.insert(range.first.chunk());
    }
    source_.forget_releases();
  }

  // The next growth lands far away, at most 6 times.
  void jump() {
    if (jumps_ == 6) return;
    ++jumps_;
    const size_t step = kTiB / 8 / kChunkBytes;
    source_.jump_to({(jumps_ * 5 % 14 + 1) * step + choices_.below(5000)});
  }

  void change_source() {
    switch (choices_.below(4)) {
      case 0:
        source_.fail_grow(1 + choices_.below(3), chance(2));
        source_may_refuse_ = true;
        break;
      case 1:
        source_.fail_no_grow();
        source_may_refuse_ = false;
        break;
      case 2:
        release_is_refused_ = !release_is_refused_;
        source_.refuse_release(release_is_refused_);
        break;
      default:
        source_.hide_continuation(chance(2));
        break;
    }
  }

  Choices& choices_;
  FakePageSource source_{4 * kTiB};
  MetadataArena arena_;
  PageHeap heap_{source_, arena_};
  FlatPages model_;
  std::vector<PageRange> blocks_;
  // The scavenger leaves a chunk alone where the system refused, until pages of it are freed.
  std::set<ChunkNumber> refused_chunks_;
  size_t ranges_seen_ = 0;
  size_t jumps_ = 0;
  size_t failed_requests_ = 0;
  bool source_may_refuse_ = false;
  bool release_is_refused_ = false;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_SHADOW_PAGE_HEAP_H_
