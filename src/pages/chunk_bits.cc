#include "pages/chunk_bits.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"

namespace spanmalloc {

size_t ChunkBits::allocate(RunInChunk run) {
  in_use.set(run.first, run.count);
  if (released.all_clear(run.first, run.count)) return 0;
  const size_t were_released = released.count_set(run.first, run.count);
  released.clear(run.first, run.count);
  return were_released;
}

void ChunkBits::free(RunInChunk run) {
  SPANMALLOC_CHECK(in_use.all_set(run.first, run.count), "pages freed that are not in use");
  in_use.clear(run.first, run.count);
}

uint64_t widen_to_groups(uint64_t word, size_t group) {
  if (group <= 1 || word == 0) return word;
  // Gather each group in its lowest bit, then spread that bit over the group.
  for (size_t step = 1; step < group; step *= 2) word |= word >> step;
  const uint64_t lowest_of_each = ~uint64_t{0} / low_bits(group);
  return (word & lowest_of_each) * low_bits(group);
}

RunInChunk ChunkBits::find_release_candidate(size_t group, size_t max, size_t huge_page) const {
  max = max == 0 ? group : align_up(max, group);
  // A group can be released unless a page of it is in use or all are released.
  const auto taken = [this, group](size_t index) {
    const uint64_t all_released = ~widen_to_groups(~released.word(index), group);
    return widen_to_groups(in_use.word(index), group) | all_released;
  };

  size_t block = kPagesPerChunk / 64;  // one above the block that is looked at
  while (block > 0 && ~taken((block - 1) * 64) == 0) --block;
  if (block == 0) return {};

  // The run may end inside the block or go on below it.
  const uint64_t word = taken((block - 1) * 64);
  const size_t above = static_cast<size_t>(std::countl_one(word));
  const size_t end = block * 64 - above;
  size_t run = static_cast<size_t>(std::countl_zero(word << above));
  if (run + above >= 64) {
    run = 64 - above;
    for (size_t below = block - 1; below > 0; --below) {
      const uint64_t next = taken((below - 1) * 64);
      run += static_cast<size_t>(std::countl_zero(next));
      if (next != 0) break;
    }
  }

  size_t first = end - std::min(run, max);
  if (huge_page > group && align_up(first, huge_page) <= end) {
    const size_t huge_page_start = align_down(first, huge_page);
    if (huge_page_start >= end - run) first = huge_page_start;
  }
  return {first, end - first};
}

RunInChunk ChunkBits::find_free_huge_page() const {
  for (size_t first = kPagesPerChunk; first > 0;) {
    first -= kPagesPerHugePage;
    if (in_use.all_clear(first, kPagesPerHugePage) && !released.all_set(first, kPagesPerHugePage)) {
      return {first, kPagesPerHugePage};
    }
  }
  return {};
}

}  // namespace spanmalloc
