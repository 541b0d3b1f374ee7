// The pages of one chunk: which are in use, which are released, and which the scavenger may take.
#ifndef SPANMALLOC_PAGES_CHUNK_BITS_H_
#define SPANMALLOC_PAGES_CHUNK_BITS_H_

#include <cstddef>
#include <cstdint>

#include "pages/page_bitmap.h"

namespace spanmalloc {

// Pages [first, first + count) of a chunk; count 0 means none.
struct RunInChunk {
  size_t first = 0;
  size_t count = 0;
  constexpr bool operator==(const RunInChunk&) const = default;
};

// A page is in use, or free and retained (backed by memory), or free and released (not backed,
// reads as zero). Invariant: in_use & released == 0. Protected by the page heap's lock.
struct alignas(64) ChunkBits {
  PageBitmap in_use;
  PageBitmap released;

  // Marks the run as in use; returns how many of its pages were released.
  size_t allocate(RunInChunk run);

  // Marks the run as free; nothing is said about backing. REQUIRES: all of it is in use.
  void free(RunInChunk run);

  // The highest run of free pages, cut to `max` pages at its upper end. Whole groups of `group`
  // pages only, the kernel's page, each with a retained page: the kernel backs a group as long as
  // one page of it may have content. A cut that would break a huge page of `huge_page` pages (0:
  // none) which is free and retained moves down to the start of that page. REQUIRES: group is a
  // power of two, at most 64.
  RunInChunk find_release_candidate(size_t group, size_t max, size_t huge_page) const;

  // The highest huge page that is free as a whole and retained in part.
  RunInChunk find_free_huge_page() const;
};

// Sets all bits of each aligned group of `group` bits that has a set bit.
// REQUIRES: group is a power of two, at most 64.
uint64_t widen_to_groups(uint64_t word, size_t group);

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_CHUNK_BITS_H_
