#include "pages/page_allocator.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"

namespace spanmalloc {

namespace {

// Calls visit(chunk, run) for the part of the pages that lies in each chunk.
template <typename Visitor>
void for_each_chunk(PageRange pages, Visitor visit) {
  size_t chunk = pages.first.chunk().value;
  size_t first = pages.first.index_in_chunk();
  for (size_t left = pages.count.value; left > 0; ++chunk) {
    const size_t here = std::min(left, kPagesPerChunk - first);
    visit(ChunkNumber{chunk}, RunInChunk{first, here});
    left -= here;
    first = 0;
  }
}

size_t last_chunk(PageRange pages) {
  return PageNumber{pages.end().value - 1}.chunk().value;
}

}  // namespace

bool PageAllocator::reserve(PageCount window) {
  constexpr size_t kChunksPerRoot = size_t{1} << chunks_shift(0);
  const size_t chunks = window.value / kPagesPerChunk;
  // Whole root entries, so that each entry has all of its eight children.
  const size_t roots = (chunks + kChunksPerRoot - 1) / kChunksPerRoot;
  size_t entries = 0;
  for (size_t level = 0; level < kLevels; ++level) {
    level_begin_[level] = entries;
    entries += roots << (level * kFanOutShift);
  }
  if (!summaries_.is_reserved_for(entries) && !summaries_.reserve(entries, arena_)) return false;
  if (!chunks_.is_reserved_for(chunks) && !chunks_.reserve(chunks, arena_)) return false;
  if (!index_.is_reserved_for(chunks) && !index_.reserve(chunks, arena_)) return false;
  window_chunks_ = chunks;
  return true;
}

bool PageAllocator::grow(PageRange pages) {
  const size_t begin = pages.first.chunk().value;
  const size_t end = begin + pages.count.value / kPagesPerChunk;
  SPANMALLOC_CHECK(pages.first.index_in_chunk() == 0 && pages.count.value % kPagesPerChunk == 0 &&
                       begin < end && end <= window_chunks_,
                   "heap grown by something else than chunks of the window");
  for (size_t level = 0; level < kLevels; ++level) {
    const size_t offset = level_begin_[level];
    const size_t last = (end - 1) >> chunks_shift(level);
    // A parent is computed from all of its children, which may be read but need not be writable.
    if (!summaries_.make_writable(offset + (begin >> chunks_shift(level)), offset + last + 1)) {
      return false;
    }
  }
  if (!chunks_.make_writable(begin, end) || !index_.make_writable(begin, end) ||
      !mapped_.reserve_one()) {
    return false;
  }
  mapped_.add(pages);
  for (size_t chunk = begin; chunk < end; ++chunk) {
    chunks_[chunk].released.set(0, kPagesPerChunk);
    entry(kLeaf, chunk) = PageSummary::all_free(kPagesPerChunk);
  }
  end_chunk_ = std::max(end_chunk_, end);
  index_.add_chunks(begin, end);
  update_parents(begin, end - 1);
  lower_search_address(pages.first);
  return true;
}

size_t PageAllocator::coarsest_level(size_t chunk) {
  if (chunk == 0) return 0;
  const size_t levels_up = static_cast<size_t>(std::countr_zero(chunk)) / kFanOutShift;
  return kLeaf - std::min(levels_up, kLeaf);
}

PageNumber PageAllocator::place(Run run, PageCount count, PageCount alignment) {
  const size_t first = align_up(run.first, alignment.value);
  return first + count.value <= run.first + run.count ? PageNumber{first} : kNoPage;
}

PageNumber PageAllocator::find_in_chunk(size_t chunk, PageCount count, PageCount alignment) const {
  const PageBitmap& bits = chunks_[chunk].in_use;
  const size_t base = chunk * kPagesPerChunk;
  if (!is_aligned(base, alignment.value)) return kNoPage;
  const size_t found = alignment.value == 1
                           ? bits.find_clear_run(count.value, 0)
                           : bits.find_aligned_clear_run(count.value, alignment.value);
  return found != PageBitmap::kNone ? PageNumber{base + found} : kNoPage;
}

// The first chunk at or above `chunk`, where a root entry starts, whose root entry cannot be passed
// by: with the free pages `run` directly below it, it may have a run of `count` pages. `run`
// becomes the run directly below the answer.
size_t PageAllocator::skip_roots(size_t chunk, PageCount count, Run& run) const {
  constexpr size_t kShift = chunks_shift(0);
  const size_t begin = chunk >> kShift;
  const size_t end = ((end_chunk_ - 1) >> kShift) + 1;
  size_t below = run.count;
  size_t root = begin;
  for (; root < end; ++root) {
    const PageSummary summary = entry(0, root);
    if (summary.is_all_free_root() || summary.max() >= count.value ||
        below + summary.start() >= count.value) {
      break;
    }
    below = summary.end();
  }
  if (root != begin) run = {root * pages_of_entry(0) - below, below};
  return root << kShift;
}

PageAllocator::Search PageAllocator::find(PageNumber from, PageCount count,
                                          PageCount alignment) const {
  Search search;
  Run run{0, 0};  // the free pages directly below the entry that is looked at
  size_t chunk = from.chunk().value;
  while (chunk < end_chunk_) {
    size_t level = coarsest_level(chunk);
    if (level == 0 && search.first_free != kNoPage) {
      chunk = skip_roots(chunk, count, run);
      if (chunk >= end_chunk_) break;
    }
    PageSummary summary = entry(level, chunk >> chunks_shift(level));
    while (level < kLeaf && summary.max() >= count.value && summary.max() < pages_of_entry(level)) {
      ++level;
      summary = entry(level, chunk >> chunks_shift(level));
    }
    const size_t first = chunk * kPagesPerChunk;
    const size_t pages = pages_of_entry(level);
    chunk += size_t{1} << chunks_shift(level);
    if (summary.nothing_free()) {
      run.count = 0;
      continue;
    }
    if (search.first_free == kNoPage) {
      const size_t inside = level == kLeaf ? chunks_[chunk - 1].in_use.find_clear(0) : 0;
      search.first_free = {first + inside};
    }
    if (run.count == 0) run.first = first;
    run.count += summary.start();
    if (run.count < count.value && summary.max() < count.value) {
      if (summary.start() != pages) run = {first + pages - summary.end(), summary.end()};
      continue;
    }
    search.found = place(run, count, alignment);
    if (search.found != kNoPage) return search;
    if (summary.start() == pages) continue;
    if (level == kLeaf && summary.max() >= count.value) {
      search.found = find_in_chunk(chunk - 1, count, alignment);
      if (search.found != kNoPage) return search;
    }
    run = {first + pages - summary.end(), summary.end()};
    search.found = place(run, count, alignment);
    if (search.found != kNoPage) return search;
  }
  return search;
}

// The common case: the chunk of the search address has a run that is long enough. Nothing below it
// is free, so its first such run is the first of all.
PageAllocator::Search PageAllocator::find_at_search_address(PageCount count) const {
  const size_t chunk = search_.chunk().value;
  const size_t from = search_.index_in_chunk();
  if (leaf(chunk).max() < count.value) return {};
  const PageBitmap& bits = chunks_[chunk].in_use;
  const PageNumber base = first_page({chunk});
  const size_t found = bits.find_clear_run(count.value, from);
  SPANMALLOC_CHECK(found != PageBitmap::kNone, "a chunk has no run of the length it tells");
  return {base + PageCount{found}, base + PageCount{bits.find_clear(from)}};
}

PageAllocation PageAllocator::allocate(PageCount count, PageCount alignment) {
  if (search_ == kNoPage) return {};
  if (alignment.value > 1) return allocate_aligned(count, alignment);
  Search search = find_at_search_address(count);
  if (search.found == kNoPage) search = find(search_, count, alignment);
  note_first_free(search);
  if (search.found == kNoPage) return {};
  const PageRange pages{search.found, count};
  return {pages, mark_in_use<Owner::kProgram>(pages)};
}

// Where `count` pages are free and aligned, so are fewer at a smaller alignment.
PageNumber PageAllocator::aligned_search_address(PageCount count, PageCount alignment) const {
  const bool is_stricter = count >= aligned_.count && alignment >= aligned_.alignment;
  return is_stricter ? std::max(search_, aligned_.from) : search_;
}

PageAllocation PageAllocator::allocate_aligned(PageCount count, PageCount alignment) {
  const PageNumber from = aligned_search_address(count, alignment);
  if (from == kNoPage) return {};
  const Search search = find(from, count, alignment);
  if (from == search_) note_first_free(search);
  const bool is_found = search.found != kNoPage;
  aligned_ = {count, alignment, is_found ? search.found + count : kNoPage};
  if (!is_found) return {};
  const PageRange pages{search.found, count};
  return {pages, mark_in_use<Owner::kProgram>(pages)};
}

bool PageAllocator::is_free(PageRange pages) const {
  if (pages.end().chunk().value > window_chunks_ || pages.end() < pages.first) return false;
  bool free = pages.count.value > 0;
  for_each_chunk(pages, [this, &free](ChunkNumber chunk, RunInChunk run) {
    // The summary of a chunk that is not mapped has no run of any length.
    free = free && chunk.value < end_chunk_ && leaf(chunk.value).max() >= run.count &&
           chunks_[chunk.value].in_use.all_clear(run.first, run.count);
  });
  return free;
}

PageAllocation PageAllocator::allocate_at(PageRange pages) {
  if (!is_free(pages)) return {};
  return {pages, mark_in_use<Owner::kProgram>(pages)};
}

template <PageAllocator::Owner kOwner>
PageCount PageAllocator::mark_in_use(PageRange pages) {
  PageCount released;
  bool changed = false;
  for_each_chunk(pages, [this, &released, &changed](ChunkNumber chunk, RunInChunk run) {
    ChunkBits& bits = chunks_[chunk.value];
    released.value += bits.allocate(run);
    PageSummary& summary = entry(kLeaf, chunk.value);
    const PageSummary before = summary;
    summary = bits.in_use.summary_after_set(before, run.first, run.count);
    changed |= summary != before;
    if constexpr (kOwner == Owner::kProgram) index_.allocated(chunk, run.count);
  });
  if (changed) update_parents(pages.first.chunk().value, last_chunk(pages));
  return released;
}

template <PageAllocator::Owner kOwner, PageAllocator::Backing kBacking>
void PageAllocator::mark_free(PageRange pages) {
  bool changed = false;
  for_each_chunk(pages, [this, &changed](ChunkNumber chunk, RunInChunk run) {
    ChunkBits& bits = chunks_[chunk.value];
    bits.free(run);
    if constexpr (kBacking == Backing::kReleased) bits.released.set(run.first, run.count);
    PageSummary& summary = entry(kLeaf, chunk.value);
    const PageSummary before = summary;
    summary = bits.in_use.summary_after_clear(before, run.first, run.count);
    changed |= summary != before;
    if constexpr (kOwner == Owner::kProgram) {
      if constexpr (kBacking == Backing::kReleased) {
        index_.freed_released(chunk, run.count);
      } else {
        index_.freed(chunk, run.first, run.count);
      }
    }
  });
  if (changed) update_parents(pages.first.chunk().value, last_chunk(pages));
  lower_search_address(pages.first);
}

void PageAllocator::free(PageRange pages) {
  mark_free<Owner::kProgram, Backing::kRetained>(pages);
}

void PageAllocator::free_released(PageRange pages) {
  mark_free<Owner::kProgram, Backing::kReleased>(pages);
}

PageCount PageAllocator::take_out(PageRange pages) {
  return mark_in_use<Owner::kScavenger>(pages);
}

void PageAllocator::put_back_retained(PageRange pages) {
  mark_free<Owner::kScavenger, Backing::kRetained>(pages);
}

void PageAllocator::put_back_released(PageRange pages) {
  mark_free<Owner::kScavenger, Backing::kReleased>(pages);
}

PageCache PageAllocator::allocate_to_cache() {
  if (search_ == kNoPage) return {};
  Search search = find_at_search_address({1});
  if (search.found == kNoPage) search = find(search_, {1}, {1});
  if (search.found == kNoPage) {
    search_ = kNoPage;
    return {};
  }
  const ChunkNumber chunk = search.found.chunk();
  const size_t first = align_down(search.found.index_in_chunk(), PageCache::kPages);
  ChunkBits& bits = chunks_[chunk.value];
  const uint64_t free = ~bits.in_use.word(first);
  const uint64_t released = bits.released.word(first) & free;
  bits.in_use.set_in_word(first, free);
  bits.released.clear_in_word(first, free);
  index_.allocated(chunk, static_cast<size_t>(std::popcount(free)));
  update_summary(chunk.value);
  // Nothing of the block is free any more. Its last page is the highest that is surely mapped.
  const PageNumber base = first_page(chunk) + PageCount{first};
  raise_search_address(base + PageCount{PageCache::kPages - 1});
  return {base, free, released};
}

void PageAllocator::flush(PageCache& cache) {
  if (cache.empty()) return;
  const ChunkNumber chunk = cache.base().chunk();
  const size_t first = cache.base().index_in_chunk();
  ChunkBits& bits = chunks_[chunk.value];
  bits.in_use.clear_in_word(first, cache.free());
  bits.released.set_in_word(first, cache.released());
  const size_t count = static_cast<size_t>(std::popcount(cache.free()));
  if (cache.released() == cache.free()) {
    index_.freed_released(chunk, count);
  } else {
    index_.freed(chunk, first + static_cast<size_t>(std::bit_width(cache.free())) - count, count);
  }
  update_summary(chunk.value);
  lower_search_address(cache.base());
  cache = PageCache();
}

void PageAllocator::lower_search_address(PageNumber page) {
  if (page < search_) search_ = page;
  // A run that the page is the last of begins so far below it.
  const size_t below = std::min(aligned_.count.value - 1, page.value);
  aligned_.from = std::min(aligned_.from, PageNumber{page.value - below});
}

void PageAllocator::note_first_free(const Search& search) {
  if (search.first_free == kNoPage) {
    search_ = kNoPage;
  } else {
    raise_search_address(search.first_free);
  }
}

void PageAllocator::raise_search_address(PageNumber first_free) {
  if (first_free <= search_) return;
  // The estimate may be the start of an entry of which the first part is a hole.
  search_ = mapped_.first_at_or_above(first_free);
}

void PageAllocator::update_summary(size_t chunk) {
  PageSummary& summary = entry(kLeaf, chunk);
  const PageSummary before = summary;
  summary = chunks_[chunk].in_use.summarize();
  if (summary != before) update_parents(chunk, chunk);
}

// The leaves [first, last] have changed: goes up as far as that changes anything.
void PageAllocator::update_parents(size_t first, size_t last) {
  bool changed = true;
  for (size_t level = kLeaf; level > 0 && changed; --level) {
    first >>= kFanOutShift;
    last >>= kFanOutShift;
    changed = false;
    for (size_t index = first; index <= last; ++index) {
      const PageSummary summary =
          merge_summaries(&entry(level, index << kFanOutShift), kFanOut, pages_of_entry(level));
      PageSummary& old = entry(level - 1, index);
      changed |= summary != old;
      old = summary;
    }
  }
}

PageAllocator::Totals PageAllocator::check_invariants() const {
  mapped_.check_invariants();
  Totals totals{};
  for (size_t i = 0; i < mapped_.size(); ++i) {
    for_each_chunk(mapped_[i], [this, &totals](ChunkNumber chunk, RunInChunk) {
      const ChunkBits& bits = chunks_[chunk.value];
      for (size_t index = 0; index < kPagesPerChunk; index += 64) {
        SPANMALLOC_CHECK((bits.in_use.word(index) & bits.released.word(index)) == 0,
                         "a page is in use and released");
      }
      const size_t in_use = bits.in_use.count_set(0, kPagesPerChunk);
      const size_t released = bits.released.count_set(0, kPagesPerChunk);
      totals.in_use.value += in_use;
      totals.released.value += released;
      totals.retained.value += kPagesPerChunk - in_use - released;
      SPANMALLOC_CHECK(leaf(chunk.value) == bits.in_use.summarize(), "stale summary of a chunk");
      SPANMALLOC_CHECK(search_ == kNoPage || search_.chunk() <= chunk || in_use == kPagesPerChunk,
                       "a page below the search address is free");
      SPANMALLOC_CHECK(search_ != kNoPage || in_use == kPagesPerChunk,
                       "no search address, but a page is free");
      for (size_t level = kLeaf; level > 0; --level) {
        const size_t parent = chunk.value >> chunks_shift(level - 1);
        SPANMALLOC_CHECK(
            entry(level - 1, parent) == merge_summaries(&entry(level, parent << kFanOutShift),
                                                        kFanOut, pages_of_entry(level)),
            "stale summary of the tree");
      }
    });
  }
  if (search_ != kNoPage) {
    SPANMALLOC_CHECK(find(search_, aligned_.count, aligned_.alignment).found >= aligned_.from,
                     "aligned pages below their search address are free");
    SPANMALLOC_CHECK(mapped_.contains(search_), "the search address points into a hole");
    const PageBitmap& bits = chunks_[search_.chunk().value].in_use;
    SPANMALLOC_CHECK(bits.find_clear(0) >= search_.index_in_chunk(),
                     "a page below the search address is free");
  }
  return totals;
}

}  // namespace spanmalloc
