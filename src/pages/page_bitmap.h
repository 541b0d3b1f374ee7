// One bit per page of a chunk, with the searches for runs of clear bits.
#ifndef SPANMALLOC_PAGES_PAGE_BITMAP_H_
#define SPANMALLOC_PAGES_PAGE_BITMAP_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "pages/page_summary.h"

namespace spanmalloc {

// Removes the `count` highest bits of each run of ones in the word; shorter runs vanish.
constexpr uint64_t shorten_runs(uint64_t word, size_t count) {
  // With `gap` zeros at least between runs, a shift by up to `gap` never joins two runs; each step
  // widens the gaps by as much, so that the steps double.
  size_t gap = 1;
  while (count > 0 && word != 0) {
    const size_t step = count < gap ? count : gap;
    word &= word >> step;
    count -= step;
    gap *= 2;
    if (gap > 32) gap = 32;
  }
  return word;
}

// The lowest bit at which `count` ones start; 64 when there is no such run.
// REQUIRES: 1 <= count <= 64.
constexpr size_t find_run_of_ones(uint64_t word, size_t count) {
  return static_cast<size_t>(std::countr_zero(shorten_runs(word, count - 1)));
}

// 512 bits, one for each page of a chunk. What a set bit says is the owner's affair; searches look
// for clear bits. Protected by the page heap's lock.
class PageBitmap {
 public:
  static constexpr size_t kBits = kPagesPerChunk;
  static constexpr size_t kWords = kBits / 64;
  // The answer of a search that finds nothing.
  static constexpr size_t kNone = kBits;

  constexpr bool test(size_t index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }

  // These work on the bits [first, first + count). REQUIRES: first + count <= kBits.
  void set(size_t first, size_t count);
  void clear(size_t first, size_t count);
  size_t count_set(size_t first, size_t count) const;
  bool all_clear(size_t first, size_t count) const;
  bool all_set(size_t first, size_t count) const;

  // The 64 bits of the aligned block that `index` lies in, bit 0 being the lowest page.
  uint64_t word(size_t index) const { return words_[index / 64]; }
  void set_in_word(size_t index, uint64_t bits) { words_[index / 64] |= bits; }
  void clear_in_word(size_t index, uint64_t bits) { words_[index / 64] &= ~bits; }

  // The first index at or after `from` at which `count` clear bits start; kNone when there are
  // none. REQUIRES: count >= 1, from <= kBits.
  size_t find_clear_run(size_t count, size_t from) const;

  // The same from the start on, of the indices that are multiples of `alignment`, a power of two.
  size_t find_aligned_clear_run(size_t count, size_t alignment) const;

  // The first set (clear) bit at or after `from`; kNone when there is none.
  size_t find_set(size_t from) const;
  size_t find_clear(size_t from) const;

  // How many clear bits lie directly below `index`.
  size_t clear_run_below(size_t index) const;

  // The runs of clear bits.
  PageSummary summarize() const;

  // The same, when it was `before` until the bits [first, first + count) were cleared (set), all
  // of them. Looks at the surroundings of these bits only, as far as that tells.
  PageSummary summary_after_clear(PageSummary before, size_t first, size_t count) const;
  PageSummary summary_after_set(PageSummary before, size_t first, size_t count) const;

  bool operator==(const PageBitmap&) const = default;

 private:
  bool starts_clear_run(size_t index, size_t count) const {
    return index + count <= kBits && all_clear(index, count);
  }

  uint64_t words_[kWords] = {};
};

static_assert(sizeof(PageBitmap) == 64, "one cache line");

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_BITMAP_H_
