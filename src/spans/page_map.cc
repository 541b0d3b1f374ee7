#include "spans/page_map.h"

#include <cstring>

#include "base/check.h"

namespace spanmalloc {

bool PageMap::open(uintptr_t end_address) {
  const size_t chunks = (end_address + kChunkBytes - 1) / kChunkBytes;
  if (!leaves_.reserve(chunks) || !classes_.reserve(chunks * kPagesPerChunk)) return false;
  class_map_.entries.store(classes_.data(), std::memory_order_relaxed);
  class_map_.page_count.store(classes_.size(), std::memory_order_release);
  return true;
}

Span* PageMap::find(uintptr_t address) const {
  const size_t page = address >> kPageShift;
  if (page >= class_map_.page_count.load(std::memory_order_acquire)) return nullptr;
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
    if (leaves_[chunk].load(std::memory_order_acquire) != nullptr) continue;
    MutexLock lock(mutex_);
    if (!prepare_chunk(chunk)) return false;
  }
  return true;
}

bool PageMap::prepare_chunk(size_t chunk) {
  if (leaves_[chunk].load(std::memory_order_relaxed) != nullptr) return true;
  const size_t first_page = chunk * kPagesPerChunk;
  if (!leaves_.make_writable(chunk, chunk + 1)) return false;
  if (!classes_.make_writable(first_page, first_page + kPagesPerChunk)) return false;
  void* leaf = arena_.allocate(sizeof(Leaf), alignof(Leaf));
  if (leaf == nullptr) return false;
  leaves_[chunk].store(static_cast<Leaf*>(leaf), std::memory_order_release);
  return true;
}

void PageMap::set(PageRange pages, Span* span, SizeClass size_class) {
  size_t page = pages.first.value;
  const size_t end = pages.end().value;
  memset(&classes_[page], size_class, pages.count.value);
  while (page < end) {
    Leaf* leaf = leaves_[page / kPagesPerChunk].load(std::memory_order_acquire);
    const size_t chunk_end = (page / kPagesPerChunk + 1) * kPagesPerChunk;
    for (; page < end && page < chunk_end; ++page) {
      // Release: whoever finds the span by a stray pointer reads a complete record.
      leaf->spans[page % kPagesPerChunk].store(span, std::memory_order_release);
    }
  }
}

}  // namespace spanmalloc
