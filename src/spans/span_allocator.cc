#include "spans/span_allocator.h"

#include "base/check.h"

namespace spanmalloc {

namespace {

MemoryContent content_of(const PageAllocation& allocation) {
  return allocation.is_zero() ? MemoryContent::kZero : MemoryContent::kUnknown;
}

}  // namespace

RecordPool& SpanAllocator::pool_for(size_t words) {
  if (words <= kShortWords) return short_records_;
  return words <= kMediumWords ? medium_records_ : long_records_;
}

Span* SpanAllocator::take_record(size_t words) {
  MutexLock lock(mutex_);
  return static_cast<Span*>(pool_for(words).take());
}

void SpanAllocator::give_back_record(Span* span, size_t words) {
  MutexLock lock(mutex_);
  pool_for(words).give_back(span);
}

Span* SpanAllocator::new_small(SizeClass size_class, Growth growth) {
  const size_t words = Span::words_for(size_class);
  Span* span = take_record(words);
  if (span == nullptr) return nullptr;
  const PageCount count{kSizeClasses[size_class].span_pages};
  const PageAllocation allocation = page_heap_.allocate(count, PageCount{1}, growth);
  if (!allocation.ok()) {
    give_back_record(span, words);
    return nullptr;
  }
  if (!page_map_.prepare(allocation.pages)) {
    page_heap_.free(allocation.pages);
    give_back_record(span, words);
    return nullptr;
  }
  const uintptr_t base = page_heap_.window().address(allocation.pages.first);
  span->start_small(allocation.pages, base, size_class, content_of(allocation));
  page_map_.set_small(allocation.pages, span, size_class);
  small_span_bytes_.fetch_add(count.bytes().value, std::memory_order_relaxed);
  return span;
}

Span* SpanAllocator::new_large(PageCount count, PageCount alignment, Growth growth) {
  Span* span = take_record(0);
  if (span == nullptr) return nullptr;
  const PageAllocation allocation = page_heap_.allocate(count, alignment, growth);
  if (!allocation.ok()) {
    give_back_record(span, 0);
    return nullptr;
  }
  if (!page_map_.prepare({allocation.pages.first, PageCount{1}})) {
    page_heap_.free(allocation.pages);
    give_back_record(span, 0);
    return nullptr;
  }
  const uintptr_t base = page_heap_.window().address(allocation.pages.first);
  span->start_large(allocation.pages, base, content_of(allocation));
  page_map_.set_large(allocation.pages.first, span);
  large_bytes_.fetch_add(count.bytes().value, std::memory_order_relaxed);
  large_count_.fetch_add(1, std::memory_order_relaxed);
  return span;
}

void SpanAllocator::delete_small(Span* span) {
  const PageRange pages = span->pages();
  const size_t words = Span::words_for(span->size_class());
  const bool ended = span->end(SpanState::kSmall);
  SPANMALLOC_CHECK(ended, "a span ended twice");
  page_map_.clear_small(pages);
  give_back_record(span, words);
  page_heap_.free(pages);
  small_span_bytes_.fetch_sub(pages.count.bytes().value, std::memory_order_relaxed);
}

bool SpanAllocator::end_large(Span* span, Backing backing) {
  const PageRange pages = span->pages();
  if (!span->end(SpanState::kLarge)) return false;
  page_map_.clear_large(pages.first);
  give_back_record(span, 0);
  if (backing == Backing::kReleased) {
    page_heap_.free_released(pages);
  } else {
    page_heap_.free(pages);
  }
  large_bytes_.fetch_sub(pages.count.bytes().value, std::memory_order_relaxed);
  large_count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

bool SpanAllocator::delete_large(Span* span) { return end_large(span, Backing::kRetained); }

void SpanAllocator::delete_large_released(Span* span) {
  const bool ended = end_large(span, Backing::kReleased);
  SPANMALLOC_CHECK(ended, "a large block ended while its memory was given back");
}

bool SpanAllocator::resize_large(Span* span, PageCount count) {
  const PageRange pages = span->pages();
  if (count < pages.count) {
    const PageRange tail{pages.first + count, pages.count - count};
    span->set_page_count(count);
    page_heap_.free(tail);
    large_bytes_.fetch_sub(tail.count.bytes().value, std::memory_order_relaxed);
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
