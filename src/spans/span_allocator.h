#ifndef SPANMALLOC_SPANS_SPAN_ALLOCATOR_H_
#define SPANMALLOC_SPANS_SPAN_ALLOCATOR_H_

#include <atomic>
#include <cstddef>

#include "base/metadata_arena.h"
#include "base/record_pool.h"
#include "pages/page_heap.h"
#include "spans/page_map.h"
#include "spans/span.h"
#include "spans/span_stack.h"

namespace spanmalloc {

// Makes and ends spans: pages, record and page map entries, together or not at all.
// Takes the locks of the page heap, which guards its records, and of the page map one after the
// other, never two at once.
class SpanAllocator {
 public:
  constexpr SpanAllocator(PageHeap& page_heap, PageMap& page_map, MetadataArena& arena)
      : page_heap_(page_heap), page_map_(page_map), records_(arena, sizeof(Span), alignof(Span)) {}

  // What hardening wants of spans: the memory of new spans zero, and pages that nobody may touch
  // around spans. REQUIRES: called before there are spans that others should have.
  struct Protection {
    bool zeroes_new_spans = false;
    PageCount most_guards;
    // False where memory that was given back may keep its content.
    bool released_reads_zero = true;
    // False where there should be many places to choose a block's from.
    bool has_short_spans = true;
  };
  void set_protection(Protection protection) {
    zeroes_new_spans_ = protection.zeroes_new_spans;
    released_reads_zero_ = protection.released_reads_zero;
    has_short_spans_ = protection.has_short_spans;
    guards_.set_most(protection.most_guards);
  }
  size_t guard_bytes() const { return guards_.pages().bytes().value; }

  // A span of free objects, of this length if there are short ones; nullptr when pages or metadata
  // are refused, or when the heap would have to grow and must not.
  Span* new_small(SizeClass size_class, SpanLength length, Growth growth);

  // Backs a span of free objects by memory that is not backed yet. Takes no lock.
  void populate(const Span* span) { page_heap_.populate(span->pages()); }

  // A span of one object of `count` pages that starts at a multiple of `alignment` pages; nullptr
  // as above.
  Span* new_large(PageCount count, PageCount alignment, Growth growth);

  // Notes that so much of spans was given back to the system, or is used again.
  void note_holes_released(Bytes bytes) { page_heap_.note_holes_released(bytes); }
  void note_holes_backed(Bytes bytes) { page_heap_.note_holes_backed(bytes); }
  // False when a hard limit forbids to use so much of what was given back.
  bool may_back_holes(Bytes bytes) const { return page_heap_.may_back_holes(bytes); }

  // Ends a span that holds no object and gives its pages back, those that were given back to the
  // system as released ones. REQUIRES: the caller owns it.
  void delete_small(Span* span);

  // Ends a large span; false when another thread already has.
  [[nodiscard]] bool delete_large(Span* span);

  // As delete_large(), for memory that the caller has already given back to the system: it reads as
  // zero and is not backed. REQUIRES: the caller owns the object.
  void delete_large_released(Span* span);

  // Tries once more to open the guards of ended spans that the system refused to open.
  void open_refused_guards();

  // Changes the length of a large span where it stands: shrinking always succeeds, growing only
  // when the pages behind it can be had; one with guards keeps the length it has. REQUIRES: the
  // caller owns the object.
  [[nodiscard]] bool resize_large(Span* span, PageCount count);

  // Shortens a large span whose pages from `count` on the caller has already given back to the
  // system. REQUIRES: the caller owns the object; count is less than the span's.
  void shrink_large_released(Span* span, PageCount count);

  // Spans of small objects that cannot end meanwhile.
  struct HeldSpans {
    size_t count = 0;
    PageCount pages;
    PageCount guards;
  };
  // Verifies that the counters cover these spans. Takes no lock; other spans may come and go.
  // REQUIRES: the caller holds the lock of their class, under which it found them listed.
  void check_counts(const HeldSpans& held) const;

  // Verifies the records of ended spans, to which no page may lead, and the counters.
  void check_invariants();

  // Bytes in spans of small objects.
  size_t small_span_bytes() const { return small_span_bytes_.load(std::memory_order_relaxed); }
  // Bytes in large spans, and how many there are: what is not small. So large blocks, each of which
  // changes them, need no counter of their own. About right while other threads work.
  size_t large_bytes() const {
    return difference(page_heap_.in_use_bytes(), small_span_bytes() + guard_bytes());
  }
  size_t large_count() const {
    return difference(records_.in_use(), small_span_count_.load(std::memory_order_relaxed) +
                                             refused_count_.load(std::memory_order_relaxed));
  }

 private:
  using Backing = PageHeap::Backing;
  static size_t difference(size_t all, size_t part) { return all > part ? all - part : 0; }
  struct Part {
    PageRange pages;
    Backing backing;
  };
  Part free_all_but_last_part(const Span* span);
  bool end_large(Span* span, Backing backing);
  void cut_large(Span* span, PageCount count, Backing backing);

  // Pages for a span with its guards, and a record; without guards when there is no room for them.
  PageHeap::Recorded allocate(PageCount count, PageCount alignment, Growth growth,
                              GuardPages& guards);
  void close_guards(Span* span, GuardPages guards);
  bool make_guard(PageRange range);
  bool free_guard(PageRange range);
  GuardPages free_guards(PageRange pages, GuardPages guards);
  void free_last(Span* span, Part last);
  uintptr_t address_of(PageNumber page) const { return page_heap_.window().address(page); }
  MemoryContent content_of(const PageAllocation& allocation) const;

  PageHeap& page_heap_;
  PageMap& page_map_;
  bool zeroes_new_spans_ = false;
  bool released_reads_zero_ = true;
  bool has_short_spans_ = true;
  GuardBudget guards_;
  // Guarded by the page heap's lock.
  RecordPool records_;
  std::atomic<size_t> small_span_bytes_{0};
  std::atomic<size_t> small_span_count_{0};
  // Ended spans whose guards the system did not open, and their number.
  SpanStack refused_;
  std::atomic<size_t> refused_count_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_SPAN_ALLOCATOR_H_
