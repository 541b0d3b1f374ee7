#include "pages/page_heap.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "platform/system.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// Up to a quarter of a page cache block a request has a good chance in it; as in Go.
constexpr size_t kMaxCachedRequest = PageCache::kPages / 4;

// Growing in steps saves calls into the kernel; since new memory counts as released and is not
// backed, a large step costs address space alone.
constexpr PageCount kMaxGrowthStep = pages_for(size_t{64} << 20);
constexpr size_t kGrowthDivisor = 8;

// A process that never needs more than this stays without huge pages.
constexpr PageCount kHugePageThreshold{kPagesPerChunk};

// How often a request that would be refused waits for pages that other threads are giving back to
// the system: a quarter of a second in all, with what the kernel adds.
constexpr int kMostWaits = 2000;

PageCount round_up_to_chunks(PageCount count) {
  return {align_up(count.value, kPagesPerChunk)};
}

// What the records of a heap of this size can come to at most: spans of one page with a record of
// 128 bytes each, page map leaves and bitmaps, and something for thread caches.
size_t metadata_for(PageCount heap) {
  constexpr size_t kHeapBytesPerByte = 56;
  constexpr size_t kFixedBytes = size_t{256} << 10;
  return heap.bytes().value / kHeapBytesPerByte + kFixedBytes;
}

}  // namespace

bool PageHeap::open(AddressWindow window) {
  MutexLock lock(mutex_);
  if (open_) return true;
  SPANMALLOC_CHECK(is_aligned(window.base, kChunkBytes) && window.size.value >= kPagesPerChunk,
                   "address window is not made of chunks");
  if (!pages_.reserve(window.size)) return false;
  window_ = window;
  open_ = true;
  return true;
}

PageAllocation PageHeap::allocate(PageCount count, PageCount alignment, Growth growth) {
  PageAllocation allocation;
  {
    MutexLock lock(mutex_);
    allocation = allocate_locked(count, alignment, growth);
  }
  return paid_for(allocation);
}

PageAllocation PageHeap::paid_for(const PageAllocation& allocation) {
  if (!must_pay_for(allocation.released) || pay_for(allocation.released)) return allocation;
  take_back_allocation(allocation.pages, nullptr, nullptr);
  return {};
}

PageHeap::Recorded PageHeap::allocate_recorded(PageCount count, PageCount alignment, Growth growth,
                                               RecordPool& records) {
  Recorded taken;
  for (int waits = 0;; ++waits) {
    {
      MutexLock lock(mutex_);
      // What the system has refused once it would refuse again.
      taken = take_recorded(count, alignment, waits == 0 ? growth : Growth::kForbidden, records);
      const bool is_refused = taken.record == nullptr && growth == Growth::kAllowed;
      if (!is_refused || waits == kMostWaits || !may_wait_for(count)) break;
    }
    platform::sleep_ns(kWaitNs);
  }
  const PageAllocation& pages = taken.pages;
  if (must_pay_for(pages.released) && !pay_for(pages.released)) {
    take_back_allocation(pages.pages, &records, taken.record);
    return {};
  }
  return taken;
}

PageHeap::Recorded PageHeap::take_recorded(PageCount count, PageCount alignment, Growth growth,
                                           RecordPool& records) {
  void* record = records.take();
  if (record == nullptr) return {};
  const PageAllocation pages = allocate_locked(count, alignment, growth);
  if (pages.ok()) return {pages, record};
  records.give_back(record);
  return {};
}

bool PageHeap::may_wait_for(PageCount count) {
  recover_if_due();
  PageCount in_hands;
  for (const Release& release : releases_) {
    // A handler may have interrupted this thread with pages in its hands.
    if (release.thread != platform::thread_number()) in_hands += release.pages.count;
  }
  return in_hands.value > 0 && may_come_into_use(count) &&
         count <= count_of(free_retained_) + count_of(released_);
}

PageAllocation PageHeap::allocate_locked(PageCount count, PageCount alignment, Growth growth) {
  SPANMALLOC_DCHECK(is_power_of_two(alignment.value), "page alignment is not a power of two");
  if (!open_ || count.value == 0 || count > window_.size || alignment > window_.size) return {};
  // Page numbers are aligned as far as the window's base is.
  if (!is_aligned(window_.base, alignment.bytes().value)) return {};
  // What cannot come into use takes no pages on trial: until they were put back, requests of other
  // threads would find the limit passed.
  if (!may_come_into_use(count)) return {};

  PageAllocation allocation = take(count, alignment);
  if (!allocation.ok() && growth == Growth::kAllowed) {
    // A chunk boundary meets any alignment up to a chunk.
    PageCount needed = count;
    if (alignment.value > kPagesPerChunk) needed += alignment - PageCount{kPagesPerChunk};
    if (grow(needed)) allocation = take(count, alignment);
  }
  if (allocation.ok()) count_allocation(allocation);
  return allocation;
}

PageAllocation PageHeap::take(PageCount count, PageCount alignment) {
  if (count.value < kMaxCachedRequest && alignment.value == 1) {
    if (cache_.empty()) cache_ = pages_.allocate_to_cache();
    const PageAllocation cached = cache_.take(count);
    if (cached.ok()) return cached;
  }
  PageAllocation allocation = pages_.allocate(count, alignment);
  if (!allocation.ok() && !cache_.empty()) {
    pages_.flush(cache_);
    allocation = pages_.allocate(count, alignment);
  }
  return allocation;
}

PageAllocation PageHeap::allocate_at(PageRange wanted, Growth growth) {
  PageAllocation allocation;
  {
    MutexLock lock(mutex_);
    allocation = allocate_at_locked(wanted, growth);
  }
  return paid_for(allocation);
}

PageAllocation PageHeap::allocate_at_locked(PageRange wanted, Growth growth) {
  if (!open_ || wanted.count.value == 0 || wanted.count > window_.size ||
      wanted.end().value > window_.size.value || !may_come_into_use(wanted.count)) {
    return {};
  }
  PageAllocation allocation = pages_.allocate_at(wanted);
  if (!allocation.ok() && !cache_.empty()) {
    pages_.flush(cache_);
    allocation = pages_.allocate_at(wanted);
  }
  if (!allocation.ok() && growth == Growth::kAllowed) {
    // Where the mapped part of the wanted pages ends: they must be free up to there.
    const size_t above = pages_.mapped().find_successor(wanted.first);
    const PageNumber end = above > 0 ? pages_.mapped()[above - 1].end() : PageNumber{0};
    const bool reaches_end = wanted.first <= end && end < wanted.end();
    const PageRange inside{wanted.first, {reaches_end ? end.value - wanted.first.value : 0}};
    if (reaches_end && (inside.count.value == 0 || pages_.is_free(inside)) &&
        grow_at(end, wanted.end() - end)) {
      allocation = pages_.allocate_at(wanted);
    }
  }
  if (allocation.ok()) count_allocation(allocation);
  return allocation;
}

void PageHeap::count_allocation(const PageAllocation& allocation) {
  ++allocations_;
  add(in_use_, allocation.pages.count);
  peak_in_use_ = std::max(peak_in_use_, count_of(in_use_).value);
  subtract(released_, allocation.released);
  subtract(free_retained_, allocation.pages.count - allocation.released);
  if constexpr (kParanoid) {
    const bool accessible = platform::prepare(window_.address(allocation.pages.first),
                                              allocation.pages.count.bytes().value);
    SPANMALLOC_CHECK(accessible, "released pages stay inaccessible");
  }
}

void PageHeap::free(PageRange pages) {
  MutexLock lock(mutex_);
  free_locked(pages, Backing::kRetained);
}

void PageHeap::free_released(PageRange pages) {
  MutexLock lock(mutex_);
  free_locked(pages, Backing::kReleased);
}

void PageHeap::free_recorded(PageRange pages, Backing backing, RecordPool& records, void* record) {
  MutexLock lock(mutex_);
  records.give_back(record);
  free_locked(pages, backing);
}

void PageHeap::free_locked(PageRange pages, Backing backing) {
  subtract(in_use_, pages.count);
  if (backing == Backing::kReleased) {
    pages_.free_released(pages);
    add(released_, pages.count);
  } else {
    pages_.free(pages);
    add(free_retained_, pages.count);
  }
}

// Pages by which the heap grows when it needs `needed` ones.
PageCount PageHeap::growth_step(PageCount needed) const {
  const PageCount eighth{mapped_pages().value / kGrowthDivisor};
  return round_up_to_chunks(std::max(needed, std::min(eighth, kMaxGrowthStep)));
}

bool PageHeap::grow(PageCount needed) {
  const PageCount exact = round_up_to_chunks(needed);
  const PageCount step = growth_step(needed);
  if (add_from_source(step) || (exact < step && add_from_source(exact))) return true;
  ++grow_refusals_;
  return false;
}

bool PageHeap::grow_at(PageNumber end, PageCount needed) {
  const PageCount exact = round_up_to_chunks(needed);
  return source_.continues_at(end, exact) && add_from_source(exact);
}

bool PageHeap::ensure_metadata(size_t bytes) {
  if (arena_.ensure_mapped(bytes)) return true;
  // Another thread that needs a record may have mapped a block meanwhile.
  const size_t mapped = arena_.mapped_bytes();
  if (mapped >= bytes) return true;
  const platform::MemoryPiece memory = source_.grow_for_records(Bytes{bytes - mapped});
  if (memory.bytes == 0) return false;
  arena_.add_memory(memory.address, memory.bytes);
  return true;
}

bool PageHeap::add_from_source(PageCount wanted) {
  // The records of much memory are much themselves: what is mapped for them meanwhile, other
  // threads and processes are refused. So it is not mapped for what cannot be had.
  if (wanted > kMaxGrowthStep && not_added_.count < wanted && !source_.can_grow(wanted)) {
    return false;
  }
  const size_t records_before = arena_.mapped_bytes();
  const bool is_added =
      ensure_metadata(metadata_for(mapped_pages() + wanted)) && add_pages_from_source(wanted);
  // A request that is refused leaves nothing behind, however large it was.
  if (!is_added) arena_.unmap_spare(records_before);
  return is_added;
}

bool PageHeap::add_pages_from_source(PageCount wanted) {
  PageCount got;
  while (got < wanted) {
    // What an earlier call could not add goes first, and no more is asked for until it is in.
    if (not_added_.count.value == 0) {
      not_added_ = source_.grow(wanted);
      if (not_added_.count.value == 0) return false;
      ++grow_calls_;
    }
    if (!pages_.grow(not_added_)) return false;
    got = not_added_.count;
    add(released_, got);
    advise_new_memory(not_added_);
    not_added_ = {};
  }
  return true;
}

// A huge page saves page faults and TLB misses but is backed as a whole at the first touch. First
// fit fills low addresses densely, so that in a heap that grows, new memory will be filled too; a
// small process, on the other hand, would only get larger. So the first chunk is left alone.
void PageHeap::advise_new_memory(PageRange pages) {
  if (huge_pages_.load(std::memory_order_relaxed) != platform::HugePages::kAsk) return;
  const PageCount in_use = count_of(in_use_);
  PageCount left_alone;
  if (in_use < kHugePageThreshold) left_alone = round_up_to_chunks(kHugePageThreshold - in_use);
  if (pages.count <= left_alone) return;
  source_.advise_huge_pages({pages.first + left_alone, pages.count - left_alone},
                            platform::HugePages::kAsk);
}

void PageHeap::advise_again(PageRange pages) {
  if (huge_pages_.load(std::memory_order_relaxed) == platform::HugePages::kAsk) {
    source_.advise_huge_pages(pages, platform::HugePages::kAsk);
  }
  source_.advise_again(pages);
}

void PageHeap::start_epoch() {
  MutexLock lock(mutex_);
  if (!open_) return;
  // Pages in the cache are hidden from the scavenger; an idle process must not keep them.
  pages_.flush(cache_);
  pages_.scavenge_index().start_epoch();
}

PageHeap::Use PageHeap::take_use() {
  MutexLock lock(mutex_);
  const Use use{peak_in_use_ << kPageShift, allocations_};
  peak_in_use_ = count_of(in_use_).value;
  allocations_ = 0;
  return use;
}

PageHeapStats PageHeap::stats() const {
  MutexLock lock(mutex_);
  PageHeapStats stats;
  stats.in_use = count_of(in_use_);
  stats.free_retained = count_of(free_retained_);
  stats.released = count_of(released_);
  stats.mapped = stats.in_use + stats.free_retained + stats.released;
  stats.grow_calls = grow_calls_;
  stats.grow_refusals = grow_refusals_;
  stats.scavenged_pages = scavenged_pages_;
  stats.scavenge_refusals = scavenge_refusals_;
  return stats;
}

void PageHeap::check_invariants() const {
  MutexLock lock(mutex_);
  if (!open_) return;
  cache_.check_invariants();
  const PageAllocator::Totals totals = pages_.check_invariants();

  // Pages in the cache and pages that are being released are in use in the bitmaps only.
  PageCount hidden{static_cast<size_t>(std::popcount(cache_.free()))};
  PageCount hidden_released{static_cast<size_t>(std::popcount(cache_.released()))};
  for (const Release& release : releases_) {
    hidden += release.pages.count;
    hidden_released += release.already_released;
  }
  SPANMALLOC_CHECK(totals.in_use == count_of(in_use_) + hidden, "pages in use miscounted");
  SPANMALLOC_CHECK(totals.released + hidden_released == count_of(released_),
                   "released pages miscounted");
  SPANMALLOC_CHECK(totals.retained + (hidden - hidden_released) == count_of(free_retained_),
                   "retained pages miscounted");
  SPANMALLOC_CHECK(
      pages_.mapped().total() == count_of(in_use_) + count_of(free_retained_) + count_of(released_),
      "mapped pages are neither in use nor retained nor released");
}

}  // namespace spanmalloc
