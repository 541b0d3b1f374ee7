// A page source without an operating system: it hands out ranges of a window of its own, records
// what is released, and fails on demand. Nothing touches the memory, so the window may have any
// size and the ranges may lie terabytes apart; with Backing::kReal the window is real memory.
#ifndef SPANMALLOC_TESTS_SUPPORT_FAKE_PAGE_SOURCE_H_
#define SPANMALLOC_TESTS_SUPPORT_FAKE_PAGE_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bits.h"
#include "base/units.h"
#include "pages/page_source.h"
#include "platform/virtual_memory.h"

namespace spanmalloc::testing {

inline constexpr size_t kGiB = size_t{1} << 30;
inline constexpr size_t kTiB = size_t{1} << 40;

class FakePageSource final : public PageSource {
 public:
  enum class Backing { kNone, kReal };

  // With kReal, `window_bytes` of address space are mapped (and unmapped at the end).
  explicit FakePageSource(size_t window_bytes, Backing backing = Backing::kNone)
      : backing_(backing) {
    uintptr_t base = 4 * kTiB;
    if (backing == Backing::kReal) {
      mapping_ = platform::map(window_bytes + kChunkBytes, 0);
      mapping_bytes_ = window_bytes + kChunkBytes;
      base = align_up(mapping_, kChunkBytes);
    }
    window_ = {base, pages_for(window_bytes)};
  }
  ~FakePageSource() {
    if (mapping_ != 0) (void)platform::unmap(mapping_, mapping_bytes_);
  }

  AddressWindow window() const { return window_; }

  // The next range starts at this chunk instead of behind the last one.
  void jump_to(ChunkNumber chunk) { next_ = first_page(chunk); }
  // Refuses every range that would make the sum larger.
  void limit_to(PageCount pages) { limit_ = pages; }
  // Refuses the `count`-th grow() from now on (1: the next), and all after it until told otherwise
  // when `for_good`.
  void fail_grow(size_t nth, bool for_good = false) {
    grow_countdown_ = nth;
    grow_fails_for_good_ = for_good;
  }
  void fail_no_grow() { grow_countdown_ = 0; }
  // From now on release() refuses (or no longer).
  void refuse_release(bool refuse) { refuse_release_ = refuse; }
  // Called in each release(), without a lock.
  void call_before_release(std::function<void()> function) {
    before_release_ = std::move(function);
  }
  // Whether grow() continues the last range as far as continues_at() knows.
  void hide_continuation(bool hide) { hide_continuation_ = hide; }

  // Whether it tells beforehand what it will refuse.
  enum class Foresight { kNone, kAll };
  void set_foresight(Foresight foresight) { foresight_ = foresight; }

  bool can_grow(PageCount at_least) override {
    ++foresight_calls_;
    return foresight_ == Foresight::kNone || fits(at_least);
  }

  PageRange grow(PageCount at_least) override {
    ++grow_calls_;
    const PageCount count{align_up(at_least.value, kPagesPerChunk)};
    if (grow_countdown_ > 0) {
      if (grow_countdown_ > 1) {
        --grow_countdown_;
      } else {
        if (!grow_fails_for_good_) grow_countdown_ = 0;
        return {};
      }
    }
    if (!fits(count)) return {};
    const PageRange range{next_, count};
    next_ = range.end();
    handed_out_ += count;
    ranges_.push_back(range);
    return range;
  }

  bool continues_at(PageNumber end, PageCount) const override {
    return !hide_continuation_ && end == next_;
  }

  platform::ReleaseResult release(PageRange pages) override {
    if (before_release_) before_release_();
    if (refuse_release_) {
      const std::lock_guard<std::mutex> lock(mutex_);
      refused_releases_.push_back(pages);
      return platform::ReleaseResult::kRefused;
    }
    if (backing_ == Backing::kReal) {
      return platform::release(window_.address(pages.first), pages.count.bytes().value);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    releases_.push_back(pages);
    return platform::ReleaseResult::kReleasedReadsZero;
  }

  size_t release_pieces(const platform::MemoryPiece* pieces, size_t count) override {
    if (refuse_release_) return 0;
    return backing_ == Backing::kReal ? platform::release_pieces(pieces, count) : count;
  }

  void populate(PageRange pages) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    populated_.push_back(pages);
  }

  void advise_huge_pages(PageRange pages, platform::HugePages wish) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (wish == platform::HugePages::kAsk) huge_.push_back(pages);
  }

  platform::HugePageMode huge_page_mode() override { return huge_page_mode_; }
  Bytes own_resident_bytes(PageRange pages) override {
    ++resident_looks_;
    for (const PageRange& absent : absent_) {
      if (pages.first <= absent.first && absent.first < pages.end()) {
        return (pages.count - absent.count).bytes();
      }
    }
    return pages.count.bytes();
  }
  platform::CollapseResult collapse(PageRange pages) override {
    collapses_.push_back(pages);
    return collapse_result_;
  }

  // What the system says of huge pages: all is there but for ranges that are told here, each within
  // what will be asked about.
  void set_huge_page_mode(platform::HugePageMode mode) { huge_page_mode_ = mode; }
  void set_collapse_result(platform::CollapseResult result) { collapse_result_ = result; }
  void set_absent(std::vector<PageRange> absent) { absent_ = std::move(absent); }
  // What was asked for since the last call.
  std::vector<PageRange> take_collapses() { return std::exchange(collapses_, {}); }
  size_t resident_looks() const { return resident_looks_; }

  size_t grow_calls() const { return grow_calls_; }
  size_t foresight_calls() const { return foresight_calls_; }
  PageCount handed_out() const { return handed_out_; }
  const std::vector<PageRange>& ranges() const { return ranges_; }
  const std::vector<PageRange>& releases() const { return releases_; }
  const std::vector<PageRange>& populated() const { return populated_; }
  const std::vector<PageRange>& huge_page_wishes() const { return huge_; }
  const std::vector<PageRange>& refused_releases() const { return refused_releases_; }
  void forget_releases() {
    releases_.clear();
    refused_releases_.clear();
  }

 private:
  bool fits(PageCount count) const {
    return next_.value + count.value <= window_.size.value && handed_out_ + count <= limit_;
  }

  std::function<void()> before_release_;
  const Backing backing_;
  uintptr_t mapping_ = 0;
  size_t mapping_bytes_ = 0;
  AddressWindow window_;
  PageNumber next_{0};
  PageCount limit_{SIZE_MAX};
  PageCount handed_out_{0};
  size_t grow_calls_ = 0;
  size_t foresight_calls_ = 0;
  Foresight foresight_ = Foresight::kNone;
  size_t grow_countdown_ = 0;
  bool grow_fails_for_good_ = false;
  bool hide_continuation_ = false;
  std::atomic<bool> refuse_release_{false};
  platform::HugePageMode huge_page_mode_ = platform::HugePageMode::kOnRequest;
  platform::CollapseResult collapse_result_ = platform::CollapseResult::kDone;
  std::vector<PageRange> absent_;
  std::vector<PageRange> collapses_;
  size_t resident_looks_ = 0;
  std::vector<PageRange> ranges_;

  std::mutex mutex_;
  std::vector<PageRange> releases_;
  std::vector<PageRange> refused_releases_;
  std::vector<PageRange> populated_;
  std::vector<PageRange> huge_;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_FAKE_PAGE_SOURCE_H_
