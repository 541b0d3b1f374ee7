#include "spans/span_allocator.h"

#include "base/check.h"

namespace spanmalloc {

namespace {

MemoryContent content_of(const PageAllocation& allocation) {
  return allocation.is_zero() ? MemoryContent::kZero : MemoryContent::kUnknown;
}

}  // namespace

Span* SpanAllocator::take_record() {
  MutexLock lock(mutex_);
  return static_cast<Span*>(records_.take());
}

void SpanAllocator::give_back_record(Span* span) {
  MutexLock lock(mutex_);
  records_.give_back(span);
}

Span* SpanAllocator::new_small(SizeClass size_class, Growth growth) {
  Span* span = take_record();
  if (span == nullptr) return nullptr;
  const PageCount count{kSizeClasses[size_class].span_pages};
  const PageAllocation allocation = page_heap_.allocate(count, PageCount{1}, growth);
  if (!allocation.ok()) {
    give_back_record(span);
    return nullptr;
  }
  if (!page_map_.prepare(allocation.pages)) {
    page_heap_.free(allocation.pages);
    give_back_record(span);
    return nullptr;
  }
  const uintptr_t base = page_heap_.window().address(allocation.pages.first);
  span->start_small(allocation.pages, base, size_class, content_of(allocation));
  page_map_.set_small(allocation.pages, span, size_class);
  small_span_bytes_.fetch_add(count.bytes().value, std::memory_order_relaxed);
  return span;
}

Span* SpanAllocator::new_large(PageCount count, PageCount alignment, Growth growth) {
  Span* span = take_record();
  if (span == nullptr) return nullptr;
  const PageAllocation allocation = page_heap_.allocate(count, alignment, growth);
  if (!allocation.ok()) {
    give_back_record(span);
    return nullptr;
  }
  if (!page_map_.prepare({allocation.pages.first, PageCount{1}})) {
    page_heap_.free(allocation.pages);
    give_back_record(span);
    return nullptr;
  }
  const uintptr_t base = page_heap_.window().address(allocation.pages.first);
  span->start_large(allocation.pages, base, allocation.released);
  page_map_.set_large(allocation.pages.first, span);
  large_bytes_.fetch_add(count.bytes().value, std::memory_order_relaxed);
  large_count_.fetch_add(1, std::memory_order_relaxed);
  return span;
}

void SpanAllocator::delete_small(Span* span) {
  const PageRange pages = span->pages();
  const bool ended = span->end(SpanState::kSmall);
  SPANMALLOC_CHECK(ended, "a span ended twice");
  page_map_.clear_small(pages);
  give_back_record(span);
  page_heap_.free(pages);
  small_span_bytes_.fetch_sub(pages.count.bytes().value, std::memory_order_relaxed);
}

void SpanAllocator::free_pages(PageRange pages, Backing backing) {
  if (backing == Backing::kReleased) {
    page_heap_.free_released(pages);
  } else {
    page_heap_.free(pages);
  }
}

bool SpanAllocator::end_large(Span* span, Backing backing) {
  const PageRange pages = span->pages();
  if (!span->end(SpanState::kLarge)) return false;
  page_map_.clear_large(pages.first);
  give_back_record(span);
  free_pages(pages, backing);
  large_bytes_.fetch_sub(pages.count.bytes().value, std::memory_order_relaxed);
  large_count_.fetch_sub(1, std::memory_order_relaxed);
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
  free_pages(tail, backing);
  large_bytes_.fetch_sub(tail.count.bytes().value, std::memory_order_relaxed);
}

void SpanAllocator::shrink_large_released(Span* span, PageCount count) {
  cut_large(span, count, Backing::kReleased);
}

bool SpanAllocator::resize_large(Span* span, PageCount count) {
  const PageRange pages = span->pages();
  if (count < pages.count) {
    cut_large(span, count, Backing::kRetained);
    return true;
  }
  if (count == pages.count) return true;
  const PageRange more{pages.end(), count - pages.count};
  if (!page_heap_.allocate_at(more, Growth::kAllowed).ok()) return false;
  span->set_page_count(count);
  large_bytes_.fetch_add(more.count.bytes().value, std::memory_order_relaxed);
  return true;
}

}  // namespace spanmalloc
