// Pages as a flat table, with a first fit that looks at every page: what the page allocator and the
// page heap are compared with.
#ifndef SPANMALLOC_TESTS_SUPPORT_FLAT_PAGES_H_
#define SPANMALLOC_TESTS_SUPPORT_FLAT_PAGES_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>

#include "base/bits.h"
#include "base/units.h"

namespace spanmalloc::testing {

enum class PageState : uint8_t { kInUse, kRetained, kReleased };

class FlatPages {
 public:
  // Adds the chunks of a range, free and released.
  void map(PageRange chunks) {
    for (PageNumber page = chunks.first; page < chunks.end(); page = page + kChunk) {
      chunks_[page.chunk().value].fill(PageState::kReleased);
    }
  }

  bool is_mapped(PageNumber page) const { return chunks_.contains(page.chunk().value); }
  // REQUIRES: the page is mapped.
  PageState operator[](PageNumber page) const {
    return chunks_.at(page.chunk().value)[page.index_in_chunk()];
  }
  bool is_free(PageNumber page) const {
    return is_mapped(page) && (*this)[page] != PageState::kInUse;
  }
  // Whether all pages are mapped and free.
  bool is_free(PageRange pages) const {
    for (PageNumber page = pages.first; page < pages.end(); page = page + kOne) {
      if (!is_free(page)) return false;
    }
    return true;
  }
  // Pages of the range, all of them mapped, that are in this state.
  PageCount count(PageRange pages, PageState state) const {
    PageCount count;
    for (PageNumber page = pages.first; page < pages.end(); page = page + kOne) {
      if ((*this)[page] == state) count += kOne;
    }
    return count;
  }
  // Pages in this state, but for those of some chunks.
  PageCount count(PageState state, const std::set<ChunkNumber>& left_out = {}) const {
    size_t pages = 0;
    for (const auto& [chunk, states] : chunks_) {
      if (left_out.contains({chunk})) continue;
      pages += static_cast<size_t>(std::count(states.begin(), states.end(), state));
    }
    return {pages};
  }
  PageCount mapped() const { return {chunks_.size() * kPagesPerChunk}; }

  // REQUIRES: all pages are mapped.
  void set(PageRange pages, PageState state) {
    for (PageNumber page = pages.first; page < pages.end(); page = page + kOne) {
      chunks_.at(page.chunk().value)[page.index_in_chunk()] = state;
    }
  }

  // The lowest free pages of this size and alignment; kNoPage when there are none.
  PageNumber first_fit(PageCount count, PageCount alignment) const {
    size_t begin = 0;  // of the free run that ends at `end`
    size_t end = 0;
    for (const auto& [chunk, states] : chunks_) {
      for (size_t index = 0; index < kPagesPerChunk; ++index) {
        const size_t page = chunk * kPagesPerChunk + index;
        if (states[index] == PageState::kInUse) continue;
        if (page != end) begin = page;
        end = page + 1;
        const size_t first = align_up(begin, alignment.value);
        if (first + count.value <= end) return {first};
      }
    }
    return kNoPage;
  }

 private:
  static constexpr PageCount kOne{1};
  static constexpr PageCount kChunk{kPagesPerChunk};

  std::map<size_t, std::array<PageState, kPagesPerChunk>> chunks_;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_FLAT_PAGES_H_
