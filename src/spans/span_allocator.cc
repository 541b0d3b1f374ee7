#include "spans/span_allocator.h"

#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/event_counts.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

MemoryContent SpanAllocator::content_of(const PageAllocation& allocation) const {
  if (allocation.is_zero() && released_reads_zero_) return MemoryContent::kZero;
  if (!zeroes_new_spans_) return MemoryContent::kUnknown;
  const uintptr_t base = page_heap_.window().address(allocation.pages.first);
  const size_t bytes = allocation.pages.count.bytes().value;
  if (platform::release(base, bytes) == platform::ReleaseResult::kRefused) {
    memset(reinterpret_cast<void*>(base), 0, bytes);
  }
  return MemoryContent::kZero;
}

PageHeap::Recorded SpanAllocator::allocate(PageCount count, PageCount alignment, Growth growth,
                                           GuardPages& guards) {
  const PageHeap::Recorded with_guards =
      page_heap_.allocate_recorded(count + guards.total(), alignment, growth, records_);
  if (with_guards.record != nullptr || !guards.any() || growth == Growth::kForbidden) {
    return with_guards;
  }
  guards = {};
  return page_heap_.allocate_recorded(count, alignment, growth, records_);
}

// Whether the pages are a guard; those that are none go back.
bool SpanAllocator::make_guard(PageRange range) {
  if (range.count.value == 0 || close_guard(address_of(range.first), range.count)) return true;
  page_heap_.free(range);
  return false;
}

void SpanAllocator::close_guards(Span* span, GuardPages guards) {
  if (!guards.any()) return;
  GuardPages made = guards;
  if (!make_guard(guards.before_range(span->pages()))) made.before = 0;
  if (!make_guard(guards.after_range(span->pages()))) made.after = 0;
  if (made.total() < guards.total()) guards_.note_refused();
  guards_.note_made(made);
  page_heap_.note_holes_released(made.total().bytes());
  span->set_guards(made);
}

// Whether the pages of a guard have gone back.
bool SpanAllocator::free_guard(PageRange range) {
  if (range.count.value == 0) return true;
  if (!open_guard(address_of(range.first), range.count)) return false;
  page_heap_.free_released(range);
  return true;
}

// Gives back the guards round `pages`; returns those that the system did not open.
GuardPages SpanAllocator::free_guards(PageRange pages, GuardPages guards) {
  if (!guards.any()) return {};
  GuardPages opened;
  if (free_guard(guards.before_range(pages))) opened.before = guards.before;
  if (free_guard(guards.after_range(pages))) opened.after = guards.after;
  page_heap_.note_holes_backed(opened.total().bytes());
  guards_.note_ended(opened);
  return {static_cast<uint8_t>(guards.before - opened.before),
          static_cast<uint8_t>(guards.after - opened.after)};
}

// Gives back an ended span's last pages, its guards and its record, which waits with guards that
// the system does not open.
void SpanAllocator::free_last(Span* span, Part last) {
  const GuardPages refused = free_guards(span->pages(), span->guards());
  if (!refused.any()) {
    return page_heap_.free_recorded(last.pages, last.backing, records_, span);
  }
  if (last.backing == Backing::kReleased) {
    page_heap_.free_released(last.pages);
  } else {
    page_heap_.free(last.pages);
  }
  span->set_guards(refused);
  refused_count_.fetch_add(1, std::memory_order_relaxed);
  refused_.push(span);
}

void SpanAllocator::open_refused_guards() {
  refused_.take_all([this](Span* span) {
    const GuardPages refused = free_guards(span->pages(), span->guards());
    if (refused.any()) {
      span->set_guards(refused);
      return refused_.push(span);
    }
    page_heap_.free_record(records_, span);
    refused_count_.fetch_sub(1, std::memory_order_relaxed);
  });
}

Span* SpanAllocator::new_small(SizeClass size_class, SpanLength length, Growth growth) {
  const PageCount count =
      kSizeClasses[size_class].pages_of(has_short_spans_ ? length : SpanLength::kLong);
  GuardPages guards = guards_.choose_small();
  const auto [allocation, record] = allocate(count, PageCount{1}, growth, guards);
  if (record == nullptr) return nullptr;
  if (!page_map_.prepare(allocation.pages)) {
    page_heap_.free_recorded(allocation.pages, Backing::kRetained, records_, record);
    return nullptr;
  }
  Span* span = static_cast<Span*>(record);
  const PageRange pages = guards.inside(allocation.pages);
  span->start_small(pages, address_of(pages.first), size_class, content_of(allocation));
  close_guards(span, guards);
  page_map_.set_small(pages, span, size_class);
  small_span_bytes_.fetch_add(count.bytes().value, std::memory_order_relaxed);
  small_span_count_.fetch_add(1, std::memory_order_relaxed);
  count_shared_write();
  return span;
}

Span* SpanAllocator::new_large(PageCount count, PageCount alignment, Growth growth) {
  GuardPages guards = guards_.choose_large();
  const auto [allocation, record] = allocate(count, alignment, growth, guards);
  if (record == nullptr) return nullptr;
  if (!page_map_.prepare({allocation.pages.first, PageCount{1}})) {
    page_heap_.free_recorded(allocation.pages, Backing::kRetained, records_, record);
    return nullptr;
  }
  Span* span = static_cast<Span*>(record);
  const PageRange pages = guards.inside(allocation.pages);
  // What is released may be the guard.
  PageCount zero = allocation.is_zero() ? pages.count
                   : guards.any()       ? PageCount{0}
                                        : allocation.released;
  if (!released_reads_zero_) zero = {};
  span->start_large(pages, address_of(pages.first), zero);
  close_guards(span, guards);
  page_map_.set_large(pages.first, span);
  count_shared_write();
  return span;
}

void SpanAllocator::delete_small(Span* span) {
  const PageRange pages = span->pages();
  const bool ended = span->end(SpanState::kSmall);
  SPANMALLOC_CHECK(ended, "a span ended twice");
  page_map_.clear_small(pages);
  Part last{pages, Backing::kRetained};
  if (span->has_released_units()) last = free_all_but_last_part(span);
  free_last(span, last);
  small_span_bytes_.fetch_sub(pages.count.bytes().value, std::memory_order_relaxed);
  small_span_count_.fetch_sub(1, std::memory_order_relaxed);
  count_shared_write();
}

// Of a span that the system backs in part, frees each run of pages as what it is, but for the last
// run, which it returns.
SpanAllocator::Part SpanAllocator::free_all_but_last_part(const Span* span) {
  const PageRange pages = span->pages();
  const uint64_t units = span->released_units();
  const size_t unit = span->unit_bytes();
  page_heap_.note_holes_backed({static_cast<size_t>(std::popcount(units)) * unit});
  const auto backing_of = [&](size_t page) {
    const size_t first = page * kPageBytes / unit;
    const size_t end = ((page + 1) * kPageBytes - 1) / unit + 1;
    const uint64_t mask = low_bits(end) & ~low_bits(first);
    return (units & mask) == mask ? Backing::kReleased : Backing::kRetained;
  };
  size_t done = 0;
  for (size_t end = 1; end < pages.count.value; ++end) {
    const Backing backing = backing_of(done);
    if (backing_of(end) == backing) continue;
    const PageRange run{pages.first + PageCount{done}, PageCount{end - done}};
    if (backing == Backing::kReleased) {
      page_heap_.free_released(run);
    } else {
      page_heap_.free(run);
    }
    done = end;
  }
  return {{pages.first + PageCount{done}, pages.count - PageCount{done}}, backing_of(done)};
}

bool SpanAllocator::end_large(Span* span, Backing backing) {
  const PageRange pages = span->pages();
  if (!span->end(SpanState::kLarge)) return false;
  page_map_.clear_large(pages.first);
  count_shared_write();
  free_last(span, {pages, backing});
  return true;
}

bool SpanAllocator::delete_large(Span* span) {
  return end_large(span, Backing::kRetained);
}

void SpanAllocator::delete_large_released(Span* span) {
  const bool ended = end_large(span, Backing::kReleased);
  SPANMALLOC_CHECK(ended, "a large block ended while its memory was given back");
}

void SpanAllocator::cut_large(Span* span, PageCount count, Backing backing) {
  const PageRange pages = span->pages();
  const PageRange tail{pages.first + count, pages.count - count};
  span->set_page_count(count);
  if (backing == Backing::kReleased) {
    page_heap_.free_released(tail);
  } else {
    page_heap_.free(tail);
  }
}

void SpanAllocator::shrink_large_released(Span* span, PageCount count) {
  cut_large(span, count, Backing::kReleased);
}

void SpanAllocator::check_counts(const HeldSpans& held) const {
  // A span is counted before it is listed and until it was taken off; the lock orders both.
  SPANMALLOC_CHECK(small_span_count_.load(std::memory_order_relaxed) >= held.count,
                   "more spans are listed than were made");
  SPANMALLOC_CHECK(small_span_bytes() >= held.pages.bytes().value,
                   "bytes of small spans miscounted");
  SPANMALLOC_CHECK(guards_.pages() >= held.guards, "guard pages miscounted");
}

void SpanAllocator::check_invariants() {
  page_heap_.check_records(records_, [this](const void* record) {
    const Span& span = *static_cast<const Span*>(record);
    SPANMALLOC_CHECK(span.state() == SpanState::kDead, "the record of a span counts as free");
    // As they were in its last life. They may be another span's by now, but never this one's.
    PageRange pages = span.pages();
    if (span.size_class() == kNoSizeClass) pages.count = PageCount{1};
    for (PageNumber page = pages.first; page < pages.end(); page = page + PageCount{1}) {
      SPANMALLOC_CHECK(page_map_.find(address_of(page)) != &span,
                       "a page leads to a span that has ended");
    }
  });
  const size_t bytes = small_span_bytes();
  SPANMALLOC_CHECK(!is_below_zero(bytes) && bytes % kPageBytes == 0,
                   "bytes of small spans miscounted");
  SPANMALLOC_CHECK(!is_below_zero(small_span_count_.load(std::memory_order_relaxed)),
                   "more small spans ended than were made");
  guards_.check_invariants();
  refused_.check_invariants([](const Span& span) {
    SPANMALLOC_CHECK(span.state() == SpanState::kDead, "a live span waits for its guards");
    SPANMALLOC_CHECK(span.guards().any(), "a span without guards waits for some to be opened");
  });
}

bool SpanAllocator::resize_large(Span* span, PageCount count) {
  const PageRange pages = span->pages();
  // A block with a guard stays as long as it is.
  if (span->guards().any()) return count == pages.count;
  if (count < pages.count) {
    cut_large(span, count, Backing::kRetained);
    return true;
  }
  if (count == pages.count) return true;
  const PageRange more{pages.end(), count - pages.count};
  if (!page_heap_.allocate_at(more, Growth::kAllowed).ok()) return false;
  span->set_page_count(count);
  return true;
}

}  // namespace spanmalloc
