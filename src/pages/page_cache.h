#ifndef SPANMALLOC_PAGES_PAGE_CACHE_H_
#define SPANMALLOC_PAGES_PAGE_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace spanmalloc {

// Pages that were found free, and how many of them were released; count 0: none were found.
struct PageAllocation {
  PageRange pages{};
  PageCount released{};

  bool ok() const { return pages.count.value != 0; }
  // True when every byte of the pages reads as zero.
  bool is_zero() const { return released == pages.count; }
};

// The free pages of one aligned block of 64 pages, taken out of the page allocator together, from
// which small requests are served without the tree. In the allocator's bitmap they are in use.
// Go's pageCache; there is one, under the page heap's lock.
class PageCache {
 public:
  static constexpr size_t kPages = 64;

  constexpr PageCache() = default;
  // `free` and `released` have bit i for page base + i. REQUIRES: released is a subset of free.
  constexpr PageCache(PageNumber base, uint64_t free, uint64_t released)
      : base_(base), free_(free), released_(released) {}

  // The first `count` neighbours in it. REQUIRES: 1 <= count <= 64.
  PageAllocation take(PageCount count);

  bool empty() const { return free_ == 0; }
  PageNumber base() const { return base_; }
  uint64_t free() const { return free_; }
  uint64_t released() const { return released_; }

  void check_invariants() const;

 private:
  PageNumber base_{};
  uint64_t free_ = 0;
  uint64_t released_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_CACHE_H_
