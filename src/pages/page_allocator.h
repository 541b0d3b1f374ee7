// Address-ordered first fit over the whole address window.
//
// Every chunk has two bitmaps (in use, released) and a summary of its free runs: how many pages are
// free at its start, in its longest run, at its end. Eight neighbours are summarised by one entry
// of the level above, and so on for five levels; an entry of the root stands for 16 GiB. A search
// walks in address order over the coarsest entries that start where it stands, adds up the run
// that crosses their borders, and goes down a level only where an entry has a long enough run
// inside. Root entries that hold nothing are passed by in a loop of a few instructions each, since
// a terabyte has 64 of them: a search there takes less than twice what it takes in a gigabyte.
//
// The search address is a page below which nothing is free; searches start there. It never points
// into a hole of the address window. Searches for aligned pages may start higher, where the last
// one of them ended.
//
// Memory that was never mapped has summaries of zero, which say "nothing free", so holes need no
// test. The arrays cover the whole window and cost memory only for mapped chunks.
//
// The arithmetic is that of the Go runtime's pageAlloc; the walk is one loop instead of Go's
// descent level by level, so that aligned requests can continue it after a run that does not fit.
#ifndef SPANMALLOC_PAGES_PAGE_ALLOCATOR_H_
#define SPANMALLOC_PAGES_PAGE_ALLOCATOR_H_

#include <cstddef>

#include "base/metadata_arena.h"
#include "base/sparse_array.h"
#include "base/units.h"
#include "pages/address_ranges.h"
#include "pages/chunk_bits.h"
#include "pages/page_cache.h"
#include "pages/page_summary.h"
#include "pages/scavenge_index.h"

namespace spanmalloc {

// Protected by the page heap's lock as a whole.
class PageAllocator {
 public:
  constexpr explicit PageAllocator(MetadataArena& arena) : arena_(arena), mapped_(arena) {}
  PageAllocator(const PageAllocator&) = delete;
  PageAllocator& operator=(const PageAllocator&) = delete;

  // Reserves the arrays for a window of so many pages. False when address space is refused.
  // REQUIRES: not reserved before, or refused.
  [[nodiscard]] bool reserve(PageCount window);

  // Adds whole chunks, free and released. False when metadata cannot be made writable; nothing has
  // changed then. REQUIRES: the pages are not mapped yet and lie in the window.
  [[nodiscard]] bool grow(PageRange pages);

  // The lowest free pages of this size whose first page number is a multiple of `alignment`.
  // REQUIRES: count >= 1, alignment is a power of two.
  PageAllocation allocate(PageCount count, PageCount alignment);

  // Exactly these pages, if all are mapped and free.
  PageAllocation allocate_at(PageRange pages);

  // True when all of the pages are mapped and free.
  bool is_free(PageRange pages) const;

  // Makes pages in use free. They are retained; with free_released, they count as released.
  void free(PageRange pages);
  void free_released(PageRange pages);

  // All free pages of the aligned 64-page block that the first free page lies in.
  PageCache allocate_to_cache();
  // Puts back what is left in the cache and empties it.
  void flush(PageCache& cache);

  // Takes pages of one chunk out of reach of allocations while they are being released, and puts
  // them back. The scavenge index sees neither. take_out returns how many were released already.
  PageCount take_out(PageRange pages);
  void put_back_retained(PageRange pages);
  void put_back_released(PageRange pages);

  // Pages of the longest free run in a chunk.
  size_t longest_run(ChunkNumber chunk) const { return leaf(chunk.value).max(); }
  ChunkBits& chunk(ChunkNumber number) { return chunks_[number.value]; }
  const ChunkBits& chunk(ChunkNumber number) const { return chunks_[number.value]; }
  ScavengeIndex& scavenge_index() { return index_; }
  const AddressRanges& mapped() const { return mapped_; }
  PageNumber search_address() const { return search_; }

  struct Totals {
    PageCount in_use;
    PageCount retained;
    PageCount released;
  };
  // Verifies all structures against the bitmaps and returns the sums over them.
  Totals check_invariants() const;

 private:
  static constexpr size_t kLevels = 5;
  static constexpr size_t kLeaf = kLevels - 1;
  static constexpr size_t kFanOut = 8;
  static constexpr size_t kFanOutShift = 3;

  // log2 of the chunks below an entry of a level.
  static constexpr size_t chunks_shift(size_t level) { return (kLeaf - level) * kFanOutShift; }
  static constexpr size_t pages_of_entry(size_t level) {
    return kPagesPerChunk << chunks_shift(level);
  }
  static_assert((kPagesPerChunk << ((kLevels - 1) * kFanOutShift)) == PageSummary::kMaxPages);

  struct Search {
    PageNumber found = kNoPage;
    PageNumber first_free = kNoPage;  // no page below it is free; may lie in a hole
  };
  struct Run {
    size_t first;
    size_t count;
  };

  PageSummary& entry(size_t level, size_t index) { return summaries_[level_begin_[level] + index]; }
  const PageSummary& entry(size_t level, size_t index) const {
    return summaries_[level_begin_[level] + index];
  }
  const PageSummary& leaf(size_t chunk) const { return entry(kLeaf, chunk); }

  static size_t coarsest_level(size_t chunk);
  size_t skip_roots(size_t chunk, PageCount count, Run& run) const;
  static PageNumber place(Run run, PageCount count, PageCount alignment);
  // Looks from the chunk of `from` on. REQUIRES: no such pages begin below `from`.
  Search find(PageNumber from, PageCount count, PageCount alignment) const;
  PageNumber aligned_search_address(PageCount count, PageCount alignment) const;
  PageAllocation allocate_aligned(PageCount count, PageCount alignment);
  PageNumber find_in_chunk(size_t chunk, PageCount count, PageCount alignment) const;
  Search find_at_search_address(PageCount count) const;

  // Whom pages come from and go to. The scavenger's doings are not use in the sense of its index.
  enum class Owner { kProgram, kScavenger };
  enum class Backing { kRetained, kReleased };
  template <Owner kOwner>
  PageCount mark_in_use(PageRange pages);
  template <Owner kOwner, Backing kBacking>
  void mark_free(PageRange pages);
  void lower_search_address(PageNumber page);
  // After a search from the search address on.
  void note_first_free(const Search& search);
  void raise_search_address(PageNumber first_free);
  void update_summary(size_t chunk);
  void update_parents(size_t first, size_t last);

  MetadataArena& arena_;
  // All levels in one array, the root first: summaries of level L start at level_begin_[L].
  SparseArray<PageSummary> summaries_;
  size_t level_begin_[kLevels] = {};
  size_t window_chunks_ = 0;
  SparseArray<ChunkBits> chunks_;
  ScavengeIndex index_;
  AddressRanges mapped_;
  // No free page is below it; mapped, or kNoPage when nothing is free.
  PageNumber search_ = kNoPage;
  // What was learned by the last search for aligned pages: no such run begins below `from`, where
  // blocks smaller than their alignment may have left many that are free.
  struct AlignedSearch {
    PageCount count{1};
    PageCount alignment{1};
    PageNumber from{};
  };
  AlignedSearch aligned_;
  // One above the highest mapped chunk.
  size_t end_chunk_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_ALLOCATOR_H_
