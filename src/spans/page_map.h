// From an address to its size class and its span, for any 64-bit value, without touching what it
// points to.
//
// Two halves. The class map has one byte a page: the size class when an object of a span of small
// objects starts there, 0 otherwise (foreign, null, free or large, or only the middle of an object:
// the slow path asks further). It is all that a free on the hot path reads. The span leaves have
// one pointer a page, by chunk, and one byte that leads to the first page of a small span; slow
// paths read them.
//
// The address window starts at address 0, so a page's index is its address divided by 8 KiB and
// one comparison with the window's end answers every other 64-bit value.
//
// Readers take no lock. An entry is written only by the owner of its page, before the first object
// of the span is handed out and after the last one came back; the program itself orders those
// against any use of an object by another thread.
#ifndef SPANMALLOC_SPANS_PAGE_MAP_H_
#define SPANMALLOC_SPANS_PAGE_MAP_H_

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/metadata_arena.h"
#include "base/mutex.h"
#include "base/sparse_array.h"
#include "base/units.h"
#include "spans/size_class.h"
#include "spans/span.h"

namespace spanmalloc {

// Where the class map lies. Each thread cache has a copy, which is what the hot path reads.
struct ClassMapView {
  const SizeClass* entries = nullptr;
  // Blocks of kMinAlignment bytes that the map covers, counted from address 0.
  size_t block_count = 0;

  // The class of an address that is aligned as every block is; kNoSizeClass for any other value.
  // The rotation brings bits that must be zero to the top, so that one comparison refuses addresses
  // beyond the window and misaligned ones.
  SizeClass operator[](uintptr_t address) const {
    constexpr int kBlockShift = std::countr_zero(kMinAlignment);
    const size_t block = std::rotr(address, kBlockShift);
    if (SPANMALLOC_UNLIKELY(block >= block_count)) return kNoSizeClass;
    return entries[block >> (kPageShift - kBlockShift)];
  }
};

// The class map as all threads see it: empty until the window is known, then constant.
class ClassMap {
 public:
  ClassMapView view() const {
    // Acquire, free on x86-64: a reader that sees the size sees the entries.
    const size_t block_count = block_count_.load(std::memory_order_acquire);
    return {entries_.load(std::memory_order_relaxed), block_count};
  }
  SizeClass operator[](uintptr_t address) const { return view()[address]; }

  void publish(const SizeClass* entries, size_t block_count) {
    entries_.store(entries, std::memory_order_relaxed);
    block_count_.store(block_count, std::memory_order_release);
  }

 private:
  std::atomic<const SizeClass*> entries_{nullptr};
  std::atomic<size_t> block_count_{0};
};

class PageMap {
 public:
  constexpr explicit PageMap(MetadataArena& arena) : arena_(arena) {}

  // Reserves the map for addresses below `end_address`. False when address space is refused.
  [[nodiscard]] bool open(uintptr_t end_address);

  const ClassMap& class_map() const { return class_map_; }

  // The small span that contains `address`, the large one whose first page contains it, or nullptr.
  // The answer for an address that the caller does not own may be stale: read the span's state
  // first.
  Span* find(uintptr_t address) const;

  // As find(), for less. REQUIRES: the address has a class, or had one once.
  Span* small_span(uintptr_t address) const {
    const size_t page = address >> kPageShift;
    // Acquire: as in find().
    const Leaf* leaf = leaves_[page / kPagesPerChunk].load(std::memory_order_acquire);
    return leaf->spans[page % kPagesPerChunk].load(std::memory_order_acquire);
  }

  // Where the span of small objects begins that contains `address`. Reads neither the span's entry
  // nor its record. REQUIRES: the address has a class.
  uintptr_t small_span_base(uintptr_t address) const {
    const size_t page = address >> kPageShift;
    // Acquire: as in find().
    const Leaf* leaf = leaves_[page / kPagesPerChunk].load(std::memory_order_acquire);
    return (page - leaf->pages_before[page % kPagesPerChunk]) << kPageShift;
  }

  // Makes room for entries of these pages. False when memory is refused.
  [[nodiscard]] bool prepare(PageRange pages) SPANMALLOC_EXCLUDES(mutex_);

  // Maps all pages to a span of small objects, and those where an object starts to the class.
  // REQUIRES: prepared; the caller owns the pages.
  void set_small(PageRange pages, Span* span, SizeClass size_class);
  void clear_small(PageRange pages) { set_small(pages, nullptr, kNoSizeClass); }

  // Maps the first page of a large span, which is all that a valid pointer to its object needs.
  // REQUIRES: prepared; the caller owns the page.
  void set_large(PageNumber first, Span* span);
  void clear_large(PageNumber first) { set_large(first, nullptr); }

  // The large span that contains `address`, found by looking at every page below it; nullptr when
  // there is none. For the report of a misuse only.
  Span* find_large_around(uintptr_t address) const;

  // Verifies the entries of a small span's pages, and that its guards have none. Takes no lock.
  // REQUIRES: the span cannot end meanwhile, as none does that is listed while the lock of its
  // class is held.
  void check_invariants(const Span& span) const;

  Mutex& mutex() { return mutex_; }

 private:
  struct Leaf {
    // Of each page of a small span, how many pages of it lie before.
    uint8_t pages_before[kPagesPerChunk];
    std::atomic<Span*> spans[kPagesPerChunk];
  };

  // 0 until the map is open.
  size_t covered_pages() const {
    return class_map_.view().block_count / (kPageBytes / kMinAlignment);
  }
  [[nodiscard]] bool prepare_chunk(size_t chunk) SPANMALLOC_REQUIRES(mutex_);

  ClassMap class_map_;
  MetadataArena& arena_;
  // Orders the making of leaves; never held together with another lock than the arena's.
  Mutex mutex_{LockRank::kPageMap};
  SparseArray<SizeClass> classes_;
  SparseArray<std::atomic<Leaf*>> leaves_;
  std::atomic<bool> has_leaf_{false};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_PAGE_MAP_H_
