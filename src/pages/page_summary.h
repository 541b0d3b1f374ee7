// What the radix tree knows of a part of the address window: how many pages are free at its
// start, in its longest free run, and at its end. Two neighbours can be joined from that alone:
// the run across the border is the end of the left one plus the start of the right one.
#ifndef SPANMALLOC_PAGES_PAGE_SUMMARY_H_
#define SPANMALLOC_PAGES_PAGE_SUMMARY_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// Three counts of 0 to 2^21 pages in one word: 21 bits each (start lowest, then max, then end),
// and bit 63 for the one case that does not fit, all three 2^21. The layout of Go's pallocSum.
// Zero means that nothing is free, which is also what memory that was never mapped says.
class PageSummary {
 public:
  static constexpr size_t kFieldBits = 21;
  static constexpr size_t kMaxPages = size_t{1} << kFieldBits;

  constexpr PageSummary() = default;

  // REQUIRES: start, end <= max <= kMaxPages; if one is kMaxPages, so are the others.
  constexpr PageSummary(size_t start, size_t max, size_t end)
      : packed_(max == kMaxPages ? kAllFree : start | max << kFieldBits | end << (2 * kFieldBits)) {
  }

  // A part of `pages` pages, all of them free.
  static constexpr PageSummary all_free(size_t pages) { return {pages, pages, pages}; }

  constexpr size_t start() const { return field(0); }
  constexpr size_t max() const { return field(kFieldBits); }
  constexpr size_t end() const { return field(2 * kFieldBits); }
  constexpr bool nothing_free() const { return packed_ == 0; }
  // Only an entry of the root can say so.
  constexpr bool is_all_free_root() const { return packed_ == kAllFree; }
  constexpr uint64_t packed() const { return packed_; }

  constexpr bool operator==(const PageSummary&) const = default;

 private:
  static constexpr uint64_t kAllFree = uint64_t{1} << 63;

  constexpr size_t field(size_t shift) const {
    return packed_ == kAllFree ? kMaxPages : (packed_ >> shift) & (kMaxPages - 1);
  }

  uint64_t packed_ = 0;
};

// Joins `count` neighbours of `pages_each` pages each. REQUIRES: pages_each < 2^21, count >= 1.
PageSummary merge_summaries(const PageSummary* parts, size_t count, size_t pages_each);

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_SUMMARY_H_
