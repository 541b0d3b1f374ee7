#include "pages/page_bitmap.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace spanmalloc {

namespace {

size_t trailing_zeros(uint64_t word) {
  return static_cast<size_t>(std::countr_zero(word));
}
size_t leading_zeros(uint64_t word) {
  return static_cast<size_t>(std::countl_zero(word));
}
size_t ones(uint64_t word) {
  return static_cast<size_t>(std::popcount(word));
}

// Calls visit(word index, mask) for each word that the bits [first, first + count) touch.
template <typename Visitor>
void for_each_word(size_t first, size_t count, Visitor visit) {
  size_t bit = first % 64;
  for (size_t word = first / 64; count > 0; ++word) {
    const size_t here = std::min(count, 64 - bit);
    visit(word, low_bits(here) << bit);
    count -= here;
    bit = 0;
  }
}

}  // namespace

void PageBitmap::set(size_t first, size_t count) {
  for_each_word(first, count, [this](size_t word, uint64_t mask) { words_[word] |= mask; });
}

void PageBitmap::clear(size_t first, size_t count) {
  for_each_word(first, count, [this](size_t word, uint64_t mask) { words_[word] &= ~mask; });
}

size_t PageBitmap::count_set(size_t first, size_t count) const {
  size_t total = 0;
  for_each_word(first, count,
                [this, &total](size_t word, uint64_t mask) { total += ones(words_[word] & mask); });
  return total;
}

bool PageBitmap::all_clear(size_t first, size_t count) const {
  uint64_t set = 0;
  for_each_word(first, count,
                [this, &set](size_t word, uint64_t mask) { set |= words_[word] & mask; });
  return set == 0;
}

bool PageBitmap::all_set(size_t first, size_t count) const {
  uint64_t clear = 0;
  for_each_word(first, count,
                [this, &clear](size_t word, uint64_t mask) { clear |= ~words_[word] & mask; });
  return clear == 0;
}

size_t PageBitmap::find_clear_run(size_t count, size_t from) const {
  size_t run = 0;                         // clear bits directly below the word
  uint64_t hidden = low_bits(from % 64);  // bits of the first word that are below `from`
  for (size_t i = from / 64; i < kWords; ++i) {
    const uint64_t word = words_[i] | hidden;
    hidden = 0;
    if (run + trailing_zeros(word) >= count) return i * 64 - run;
    if (word == 0) {
      run += 64;
      continue;
    }
    if (count < 64) {
      const size_t bit = find_run_of_ones(~word, count);
      if (bit < 64) return i * 64 + bit;
    }
    run = leading_zeros(word);
  }
  return kNone;
}

size_t PageBitmap::find_aligned_clear_run(size_t count, size_t alignment) const {
  if (alignment >= 64) {
    size_t index = 0;
    while (index < kBits && !starts_clear_run(index, count)) index += alignment;
    return std::min(index, kNone);
  }
  const uint64_t aligned = ~uint64_t{0} / low_bits(alignment);
  for (size_t i = 0; i < kWords; ++i) {
    if (count <= 64) {
      const uint64_t starts = shorten_runs(~words_[i], count - 1) & aligned;
      if (starts != 0) return i * 64 + trailing_zeros(starts);
    }
    // Of the run that goes on in the next word, the lowest place reaches least far.
    const size_t index = i * 64 + align_up(64 - leading_zeros(words_[i]), alignment);
    if (index < (i + 1) * 64 && starts_clear_run(index, count)) return index;
  }
  return kNone;
}

size_t PageBitmap::find_set(size_t from) const {
  uint64_t hidden = low_bits(from % 64);
  for (size_t i = from / 64; i < kWords; ++i) {
    const uint64_t word = words_[i] & ~hidden;
    if (word != 0) return i * 64 + trailing_zeros(word);
    hidden = 0;
  }
  return kNone;
}

size_t PageBitmap::find_clear(size_t from) const {
  uint64_t hidden = low_bits(from % 64);
  for (size_t i = from / 64; i < kWords; ++i) {
    const uint64_t word = ~words_[i] & ~hidden;
    if (word != 0) return i * 64 + trailing_zeros(word);
    hidden = 0;
  }
  return kNone;
}

size_t PageBitmap::clear_run_below(size_t index) const {
  size_t i = index / 64;
  if (index % 64 != 0) {
    const size_t above = 64 - index % 64;
    const uint64_t below = words_[i] << above;
    if (below != 0) return leading_zeros(below);
  }
  for (; i > 0; --i) {
    if (words_[i - 1] != 0) return index - i * 64 + leading_zeros(words_[i - 1]);
  }
  return index;
}

PageSummary PageBitmap::summarize() const {
  // First the runs that touch a border of a word, which alone can be longer than 62.
  size_t start = kNone;
  size_t max = 0;
  size_t run = 0;
  for (const uint64_t word : words_) {
    if (word == 0) {
      run += 64;
      continue;
    }
    run += trailing_zeros(word);
    if (start == kNone) start = run;
    max = std::max(max, run);
    run = leading_zeros(word);
  }
  if (start == kNone) return PageSummary::all_free(kBits);
  max = std::max(max, run);
  // Then the runs inside words, as far as they are longer than what is known.
  for (size_t i = 0; i < kWords && max < 62; ++i) {
    uint64_t longer = shorten_runs(~words_[i], max);
    for (; longer != 0; longer &= longer >> 1) ++max;
  }
  return {start, max, run};
}

PageSummary PageBitmap::summary_after_clear(PageSummary before, size_t first, size_t count) const {
  // The only run that is new is the one that the bits have become part of.
  const size_t run_first = first - clear_run_below(first);
  const size_t run_end = find_set(first + count);
  const size_t run = run_end - run_first;
  return {run_first == 0 ? run : before.start(), std::max(before.max(), run),
          run_end == kBits ? run : before.end()};
}

PageSummary PageBitmap::summary_after_set(PageSummary before, size_t first, size_t count) const {
  const size_t run_first = first - clear_run_below(first);
  const size_t run_end = find_set(first + count);
  // A run of the greatest length was cut: whether there is another one, only a full look tells.
  if (run_end - run_first == before.max()) return summarize();
  return {run_first == 0 ? first : before.start(), before.max(),
          run_end == kBits ? kBits - (first + count) : before.end()};
}

}  // namespace spanmalloc
