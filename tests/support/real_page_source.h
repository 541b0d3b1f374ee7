// A page source of real memory that tests steer: it hands out the chunks of one mapping and refuses
// requests on demand. Its window begins at address 0, as that of the operating system's source.
#ifndef SPANMALLOC_TESTS_SUPPORT_REAL_PAGE_SOURCE_H_
#define SPANMALLOC_TESTS_SUPPORT_REAL_PAGE_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/bits.h"
#include "base/units.h"
#include "pages/page_source.h"
#include "platform/virtual_memory.h"

namespace spanmalloc::testing {

class RealPageSource final : public PageSource {
 public:
  // All addresses that the kernel gives to programs.
  static constexpr uintptr_t kWindowEnd = uintptr_t{1} << 47;

  explicit RealPageSource(size_t bytes)
      : mapping_bytes_(align_up(bytes, kChunkBytes) + kChunkBytes),
        mapping_(platform::map(mapping_bytes_, 0)) {
    const uintptr_t begin = align_up(mapping_, kChunkBytes);
    all_ = {{begin >> kPageShift}, {align_up(bytes, kChunkBytes) >> kPageShift}};
    next_ = all_.first;
  }
  ~RealPageSource() { (void)platform::unmap(mapping_, mapping_bytes_); }

  AddressWindow window() const { return {0, {kWindowEnd >> kPageShift}}; }
  // What can be handed out at most.
  PageRange all() const { return all_; }
  PageCount handed_out() const { return next_ - all_.first; }
  size_t grow_calls() const { return grow_calls_; }
  size_t released_bytes() const { return released_bytes_.load(); }

  // Refuses the `nth` request from now on (1: the next one; 0: none).
  void fail_grow(size_t nth) { countdown_ = nth; }
  void refuse_release(bool refuse) { refuse_release_ = refuse; }
  // Refuses what is behind so many pieces of a call of release_pieces().
  void limit_pieces(size_t pieces) { most_pieces_ = pieces; }
  // What another thread does while pages are being released.
  void call_at_release(std::function<void()> call) { at_release_ = std::move(call); }

  PageRange grow(PageCount at_least) override {
    ++grow_calls_;
    if (countdown_ > 0 && --countdown_ == 0) return {};
    const PageCount count{align_up(at_least.value, kPagesPerChunk)};
    if (count > all_.end() - next_) return {};
    const PageRange range{next_, count};
    next_ = range.end();
    return range;
  }
  bool continues_at(PageNumber end, PageCount count) const override {
    return end == next_ && count <= all_.end() - next_;
  }
  platform::ReleaseResult release(PageRange pages) override {
    if (refuse_release_) return platform::ReleaseResult::kRefused;
    if (at_release_) at_release_();
    released_bytes_ += pages.count.bytes().value;
    return platform::release(window().address(pages.first), pages.count.bytes().value);
  }
  size_t release_pieces(const platform::MemoryPiece* pieces, size_t count) override {
    if (refuse_release_) return 0;
    if (at_release_) at_release_();
    if (count > most_pieces_) count = most_pieces_;
    for (size_t index = 0; index < count; ++index) released_bytes_ += pieces[index].bytes;
    return platform::release_pieces(pieces, count);
  }
  void populate(PageRange pages) override {
    ++populate_calls_;
    platform::populate(window().address(pages.first), pages.count.bytes().value);
  }
  void advise_huge_pages(PageRange, platform::HugePages) override {}
  size_t populate_calls() const { return populate_calls_; }

 private:
  const size_t mapping_bytes_;
  const uintptr_t mapping_;
  PageRange all_{};
  PageNumber next_{0};
  size_t grow_calls_ = 0;
  size_t countdown_ = 0;
  size_t most_pieces_ = SIZE_MAX;
  std::function<void()> at_release_;
  std::atomic<bool> refuse_release_{false};
  std::atomic<size_t> released_bytes_{0};
  std::atomic<size_t> populate_calls_{0};
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_REAL_PAGE_SOURCE_H_
