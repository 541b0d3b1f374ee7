#include "spans/page_map.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/event_counts.h"

namespace spanmalloc {

static_assert(std::all_of(kSizeClasses.begin(), kSizeClasses.end(),
                          [](const SizeClassInfo& info) { return info.span_pages <= 256; }),
              "how many pages of a span lie before one is a byte");

bool PageMap::open(uintptr_t end_address) {
  const size_t chunks = (end_address + kChunkBytes - 1) / kChunkBytes;
  const size_t pages = chunks * kPagesPerChunk;
  if (!leaves_.is_reserved_for(chunks) && !leaves_.reserve(chunks, arena_)) return false;
  if (!classes_.is_reserved_for(pages) && !classes_.reserve(pages, arena_)) return false;
  class_map_.publish(classes_.data(), pages * (kPageBytes / kMinAlignment));
  return true;
}

Span* PageMap::find(uintptr_t address) const {
  const size_t page = address >> kPageShift;
  if (page >= covered_pages()) return nullptr;
  // Acquire: the leaf was installed with its memory set to zero.
  const Leaf* leaf = leaves_[page / kPagesPerChunk].load(std::memory_order_acquire);
  if (leaf == nullptr) return nullptr;
  return leaf->spans[page % kPagesPerChunk].load(std::memory_order_acquire);
}

bool PageMap::prepare(PageRange pages) {
  const size_t first = pages.first.chunk().value;
  const size_t last = PageNumber{pages.end().value - 1}.chunk().value;
  SPANMALLOC_CHECK(last < leaves_.size(), "pages beyond the address window");
  for (size_t chunk = first; chunk <= last; ++chunk) {
    // The first leaf's entry is written before it is read, which would cost a page fault more.
    if (has_leaf_.load(std::memory_order_relaxed) &&
        leaves_[chunk].load(std::memory_order_acquire) != nullptr) {
      continue;
    }
    MutexLock lock(mutex_);
    if (!prepare_chunk(chunk)) return false;
  }
  return true;
}

bool PageMap::prepare_chunk(size_t chunk) {
  if (!leaves_.make_writable(chunk, chunk + 1)) return false;
  if (leaves_[chunk].load(std::memory_order_relaxed) != nullptr) return true;
  const size_t first_page = chunk * kPagesPerChunk;
  if (!classes_.make_writable(first_page, first_page + kPagesPerChunk)) return false;
  void* leaf = arena_.allocate(sizeof(Leaf), alignof(Leaf));
  if (leaf == nullptr) return false;
  leaves_[chunk].store(static_cast<Leaf*>(leaf), std::memory_order_release);
  has_leaf_.store(true, std::memory_order_relaxed);
  return true;
}

void PageMap::set_small(PageRange pages, Span* span, SizeClass size_class) {
  const size_t object_bytes = kSizeClasses[size_class].object_bytes;
  if (object_bytes <= kPageBytes) {
    memset(&classes_[pages.first.value], size_class, pages.count.value);
  } else {
    const size_t bytes = pages.count.bytes().value;
    for (size_t start = 0; start + object_bytes <= bytes; start += object_bytes) {
      classes_[pages.first.value + start / kPageBytes] = size_class;
    }
  }
  // A line of the class map and, of most spans, two of the leaf.
  count_shared_write(3);
  for (size_t page = pages.first.value; page < pages.end().value; ++page) {
    const PageNumber number{page};
    Leaf* leaf = leaves_[number.chunk().value].load(std::memory_order_acquire);
    leaf->pages_before[number.index_in_chunk()] = static_cast<uint8_t>(page - pages.first.value);
    set_large(number, span);
  }
}

void PageMap::set_large(PageNumber first, Span* span) {
  Leaf* leaf = leaves_[first.chunk().value].load(std::memory_order_acquire);
  // Release: whoever finds the span by a stray pointer reads a complete record.
  leaf->spans[first.index_in_chunk()].store(span, std::memory_order_release);
}

void PageMap::check_invariants(const Span& span) const {
  const SizeClass size_class = span.size_class();
  const size_t object_bytes = kSizeClasses[size_class].object_bytes;
  for (size_t offset = 0; offset < span.bytes().value; offset += kPageBytes) {
    const uintptr_t address = span.base() + offset;
    SPANMALLOC_CHECK(find(address) == &span, "a page of a span leads elsewhere");
    SPANMALLOC_CHECK(small_span_base(address) == span.base(), "a page of a span with another base");
    const size_t start = (offset + object_bytes - 1) / object_bytes * object_bytes;
    const bool has_class =
        object_bytes <= kPageBytes ||
        (start < offset + kPageBytes && start + object_bytes <= span.bytes().value);
    SPANMALLOC_CHECK(class_map_[address] == (has_class ? size_class : kNoSizeClass),
                     "a page of a span has a wrong class");
  }
  const GuardPages guards = span.guards();
  for (const PageRange range :
       {guards.before_range(span.pages()), guards.after_range(span.pages())}) {
    for (PageNumber page = range.first; page < range.end(); page = page + PageCount{1}) {
      const uintptr_t address = page.value << kPageShift;
      SPANMALLOC_CHECK(find(address) == nullptr && class_map_[address] == kNoSizeClass,
                       "a guard page leads to a span");
    }
  }
}

Span* PageMap::find_large_around(uintptr_t address) const {
  size_t page = address >> kPageShift;
  if (page >= covered_pages()) return nullptr;
  while (page > 0) {
    if (leaves_[page / kPagesPerChunk].load(std::memory_order_acquire) == nullptr) {
      // No span begins in this chunk.
      page = page / kPagesPerChunk * kPagesPerChunk;
      if (page > 0) --page;
      continue;
    }
    if (Span* span = find(page << kPageShift); span != nullptr) {
      const bool inside = span->state() == SpanState::kLarge && address >= span->base() &&
                          address - span->base() < span->bytes().value;
      return inside ? span : nullptr;
    }
    --page;
  }
  return nullptr;
}

}  // namespace spanmalloc
