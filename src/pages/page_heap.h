// The page heap: all pages of the process, under one lock.
//
// A mapped page is in use, or free and retained (backed by memory), or free and released (not
// backed, reads as zero). Always: in_use + free_retained + released == mapped. New memory from the
// source is released memory.
//
//   allocate   page cache (small requests) -> first fit in the page allocator -> page source
//   free       page allocator; the pages are retained until the scavenger comes
//   scavenge   the scavenge index names a chunk; pages of it are taken out as if allocated, the
//              lock is dropped, the source releases them, and they are put back as released
#ifndef SPANMALLOC_PAGES_PAGE_HEAP_H_
#define SPANMALLOC_PAGES_PAGE_HEAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/metadata_arena.h"
#include "base/mutex.h"
#include "base/record_pool.h"
#include "base/units.h"
#include "pages/huge_page_schedule.h"
#include "pages/memory_limit.h"
#include "pages/page_allocator.h"
#include "pages/page_cache.h"
#include "pages/page_source.h"
#include "pages/scavenge_index.h"

namespace spanmalloc {

// Whether a request may get memory from the page source.
enum class Growth { kForbidden, kAllowed };

struct PageHeapStats {
  PageCount mapped;
  PageCount in_use;
  PageCount free_retained;
  PageCount released;
  uint64_t grow_calls = 0;         // ranges got from the source
  uint64_t grow_refusals = 0;      // requests for growth that failed
  uint64_t scavenged_pages = 0;    // retained pages given back, ever
  uint64_t scavenge_refusals = 0;  // release calls that the source refused
};

class PageHeap {
 public:
  constexpr PageHeap(PageSource& source, MetadataArena& arena)
      : source_(source), arena_(arena), pages_(arena) {}
  PageHeap(const PageHeap&) = delete;
  PageHeap& operator=(const PageHeap&) = delete;

  // Reserves the metadata for the window. False when address space is refused; may be tried again.
  // Until it succeeded every allocation fails. Does nothing once open.
  [[nodiscard]] bool open(AddressWindow window) SPANMALLOC_EXCLUDES(mutex_);

  // `count` pages whose address is a multiple of `alignment` pages (a power of two; 1 for any).
  // Not ok() when there are none and the heap must not or cannot grow.
  PageAllocation allocate(PageCount count, PageCount alignment, Growth growth)
      SPANMALLOC_EXCLUDES(mutex_);

  // Pages as above and a record of the pool for them, both or neither, under one hold of the lock,
  // which guards the pool as well. As in Go, where the heap's lock guards the span records. What
  // may grow and is refused waits for pages that other threads are giving back, a while at most.
  struct Recorded {
    PageAllocation pages;
    void* record = nullptr;
  };
  Recorded allocate_recorded(PageCount count, PageCount alignment, Growth growth,
                             RecordPool& records) SPANMALLOC_EXCLUDES(mutex_);

  // Exactly these pages if they are free, or if the part of them that is mapped is free and the
  // heap may grow by the rest right there. Not ok() otherwise. For growing a block in place.
  PageAllocation allocate_at(PageRange wanted, Growth growth) SPANMALLOC_EXCLUDES(mutex_);

  // Backs pages that were allocated as released by memory, for a caller who will write to all of
  // them at once: one call of the kernel in the place of a fault for each page. Takes no lock.
  void populate(PageRange pages) { source_.populate(pages); }

  // Gives pages back; they count as retained. Any part of what was allocated may be freed alone.
  // REQUIRES: all of them are in use.
  void free(PageRange pages) SPANMALLOC_EXCLUDES(mutex_);

  // Gives back pages that read as zero and that the system does not back; they count as released.
  void free_released(PageRange pages) SPANMALLOC_EXCLUDES(mutex_);

  // Gives back what allocate_recorded() gave. Backing: whether the pages are still backed.
  enum class Backing : uint8_t { kRetained, kReleased };
  void free_recorded(PageRange pages, Backing backing, RecordPool& records, void* record)
      SPANMALLOC_EXCLUDES(mutex_);
  // Gives back the record alone.
  void free_record(RecordPool& records, void* record) SPANMALLOC_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    records.give_back(record);
  }

  // Gives free, retained pages back to the system, huge pages that are free as a whole first, then
  // the highest ones, until `at_least` bytes are done or nothing is left that the mode allows.
  // Returns the bytes given back. The lock is not held during the system calls. Does nothing when
  // kMaxReleases other threads are at it. Refused: whether the mode, but for the background, tries
  // what the system refused to take before.
  enum class Refused : uint8_t { kTriedAgain, kLeftAlone };
  Bytes scavenge(Bytes at_least, ScavengeMode mode, Refused refused = Refused::kTriedAgain)
      SPANMALLOC_EXCLUDES(mutex_);

  // For pages in use whose memory was mapped anew, and lost the wish for or against huge pages.
  void advise_again(PageRange pages);

  // Whether memory that the heap grows by is asked for as huge pages; it is not unless told so.
  void set_huge_pages(platform::HugePages wish) {
    huge_pages_.store(wish, std::memory_order_relaxed);
  }

  // A chunk for which huge pages should be asked for in this epoch, see HugePageSchedule; it is not
  // found again soon. pages.count is 0 when none was found yet; go on at `next` unless the search
  // is over. Epochs count from 1.
  enum class SearchEnd : uint8_t { kOver, kGoesOn };
  struct DenseChunk {
    PageRange pages{};
    ChunkNumber next{};
    SearchEnd end = SearchEnd::kOver;
  };
  DenseChunk next_dense_chunk(ChunkNumber from, uint32_t epoch) SPANMALLOC_EXCLUDES(mutex_);
  // Bytes of the pages, which lie in one chunk, that are not known to be released.
  Bytes expected_resident_bytes(PageRange pages) const SPANMALLOC_EXCLUDES(mutex_);
  // Huge pages of the system, see PageSource. These take no lock.
  platform::HugePageMode huge_page_mode() { return source_.huge_page_mode(); }
  Bytes own_resident_bytes(PageRange pages) { return source_.own_resident_bytes(pages); }
  platform::CollapseResult collapse(PageRange pages) { return source_.collapse(pages); }
  // The pages, which lie in one chunk, are backed to the last: released ones count as retained.
  void note_backed(PageRange pages) SPANMALLOC_EXCLUDES(mutex_);

  // The limit on consumed_bytes(). An allocation that is about to use released memory beyond it
  // first gives back as much free memory; under a hard limit it fails where that is not enough.
  MemoryLimit& limit() { return limit_; }
  // What is consumed beyond the limit.
  size_t excess_bytes() const;
  // Whether an allocation, or the use of a hole, has passed the limit since it was last forgotten.
  bool was_over_limit() const { return over_limit_.load(std::memory_order_relaxed); }
  void forget_over_limit() { over_limit_.store(false, std::memory_order_relaxed); }

  // Backed memory, in use and free, of which the scavenger would leave the free part alone; an
  // allocation that is about to use released memory while more is backed gives back as much as it
  // will use. SIZE_MAX: no goal.
  void set_retention_goal(Bytes goal) {
    retention_goal_.store(goal.value, std::memory_order_relaxed);
  }

  // Epochs without use after which scavenging by idle age takes the free pages of a chunk.
  void set_idle_age(uint32_t epochs) { pages_.scavenge_index().set_idle_age(epochs); }

  // One tick of the scavenger's clock: what was freed until now becomes visible to background
  // scavenging, and the peaks of pages in use roll over.
  void start_epoch() SPANMALLOC_EXCLUDES(mutex_);

  // A consistent set of figures.
  PageHeapStats stats() const SPANMALLOC_EXCLUDES(mutex_);

  // Approximate while other threads work; no lock.
  size_t in_use_bytes() const { return bytes_of(in_use_); }
  // What happened since the last call: the most bytes in use at once, and requests for pages.
  struct Use {
    size_t peak_bytes = 0;
    uint64_t allocations = 0;
  };
  Use take_use() SPANMALLOC_EXCLUDES(mutex_);

  // Bytes that are part of spans and given back: holes of spans that are used otherwise, guards,
  // and freed blocks that wait before they can be used again. They count as in use in all figures
  // but those of what is backed. No lock is needed.
  void note_holes_released(Bytes bytes) {
    holes_.fetch_add(bytes.value, std::memory_order_relaxed);
  }
  void note_holes_backed(Bytes bytes) {
    holes_.fetch_sub(bytes.value, std::memory_order_relaxed);
    if (consumed_bytes() > limit_.bytes()) over_limit_.store(true, std::memory_order_relaxed);
  }
  size_t hole_bytes() const { return holes_.load(std::memory_order_relaxed); }
  // False when a hard limit forbids to use holes of so many bytes. Nothing is given back for them.
  bool may_back_holes(Bytes bytes) const {
    return !limit_.is_hard() || consumed_bytes() + bytes.value <= limit_.bytes();
  }
  // Gives memory inside spans back, see PageSource. Takes no lock.
  size_t release_pieces(const platform::MemoryPiece* pieces, size_t count) {
    return source_.release_pieces(pieces, count);
  }
  // The first mapped page at or above `page`; kNoPage when there is none.
  PageNumber first_mapped_page(PageNumber page) const SPANMALLOC_EXCLUDES(mutex_);

  size_t free_retained_bytes() const { return bytes_of(free_retained_); }
  size_t released_bytes() const { return bytes_of(released_); }
  // Bytes in use that are backed, as far as they were ever touched.
  size_t backed_in_use_bytes() const {
    const size_t in_use = in_use_bytes();
    const size_t holes = hole_bytes();
    return in_use > holes ? in_use - holes : 0;
  }
  size_t backed_bytes() const { return backed_in_use_bytes() + free_retained_bytes(); }
  // What a limit bounds: backed pages and the allocator's records.
  size_t consumed_bytes() const { return backed_bytes() + arena_.used_bytes(); }

  // The window that open() was given. REQUIRES: open() succeeded.
  AddressWindow window() const { return window_; }

  Mutex& mutex() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS { return mutex_; }

  // For the child of a fork, after mutex().reset_in_child(): takes back the pages that threads
  // which are no longer there were releasing.
  void recover_in_child() SPANMALLOC_EXCLUDES(mutex_);
  // For one whose thread is inside a section of this lock: the same before anybody scavenges again.
  void recover_later();

  // Verifies a pool that the lock guards, see RecordPool. check() is called under the lock.
  template <typename Check>
  void check_records(const RecordPool& records, Check check) const SPANMALLOC_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    records.check_invariants(check);
  }

  // Verifies all structures; takes time in proportion to the heap.
  void check_invariants() const SPANMALLOC_EXCLUDES(mutex_);

 private:
  // A thread that scavenges, and the pages it is releasing without holding the lock: in the bitmaps
  // they are in use, in the counts still what they were. Written under the lock.
  struct Release {
    uint32_t thread = 0;  // its number; 0: the slot is free
    PageRange pages{};
    PageCount already_released{};
  };
  static constexpr size_t kMaxReleases = 4;
  // How long a thread sleeps that waits for pages in the hands of others, before it looks again.
  static constexpr uint64_t kWaitNs = 50'000;

  static size_t bytes_of(const std::atomic<size_t>& pages) {
    return pages.load(std::memory_order_relaxed) << kPageShift;
  }
  PageCount mapped_pages() const {
    return count_of(in_use_) + count_of(free_retained_) + count_of(released_);
  }
  static PageCount count_of(const std::atomic<size_t>& pages) {
    return {pages.load(std::memory_order_relaxed)};
  }
  // Counts are written under the lock alone, so no read-modify-write is needed.
  static void add(std::atomic<size_t>& pages, PageCount count) {
    pages.store(pages.load(std::memory_order_relaxed) + count.value, std::memory_order_relaxed);
  }
  static void subtract(std::atomic<size_t>& pages, PageCount count) {
    pages.store(pages.load(std::memory_order_relaxed) - count.value, std::memory_order_relaxed);
  }

  PageAllocation allocate_locked(PageCount count, PageCount alignment, Growth growth)
      SPANMALLOC_REQUIRES(mutex_);
  Recorded take_recorded(PageCount count, PageCount alignment, Growth growth, RecordPool& records)
      SPANMALLOC_REQUIRES(mutex_);
  // Whether so many pages are free, some of them in the hands of other threads that give them back.
  bool may_wait_for(PageCount count) SPANMALLOC_REQUIRES(mutex_);
  PageAllocation allocate_at_locked(PageRange wanted, Growth growth) SPANMALLOC_REQUIRES(mutex_);
  void free_locked(PageRange pages, Backing backing) SPANMALLOC_REQUIRES(mutex_);
  PageAllocation take(PageCount count, PageCount alignment) SPANMALLOC_REQUIRES(mutex_);
  void count_allocation(const PageAllocation& allocation) SPANMALLOC_REQUIRES(mutex_);
  bool grow(PageCount needed) SPANMALLOC_REQUIRES(mutex_);
  bool grow_at(PageNumber end, PageCount needed) SPANMALLOC_REQUIRES(mutex_);
  bool ensure_metadata(size_t bytes) SPANMALLOC_REQUIRES(mutex_);
  bool add_from_source(PageCount wanted) SPANMALLOC_REQUIRES(mutex_);
  bool add_pages_from_source(PageCount wanted) SPANMALLOC_REQUIRES(mutex_);
  PageCount growth_step(PageCount needed) const SPANMALLOC_REQUIRES(mutex_);
  void advise_new_memory(PageRange pages) SPANMALLOC_REQUIRES(mutex_);

  // False when a hard limit forbids it whatever is given back.
  bool may_come_into_use(PageCount count) const {
    return !limit_.is_hard() || backed_in_use_bytes() + count.bytes().value <= limit_.bytes();
  }
  // Whether memory should be given back before these released pages are backed.
  bool must_pay_for(PageCount backed) const {
    return backed.value > 0 && (consumed_bytes() > limit_.bytes() ||
                                backed_bytes() > retention_goal_.load(std::memory_order_relaxed));
  }
  // The allocation, or what is not ok() after undoing it when a hard limit forbids to use it.
  PageAllocation paid_for(const PageAllocation& allocation) SPANMALLOC_EXCLUDES(mutex_);
  // Gives memory back for it. False when a hard limit forbids to use the pages.
  [[nodiscard]] bool pay_for(PageCount backed) SPANMALLOC_EXCLUDES(mutex_);
  [[nodiscard]] bool pay_some(PageCount backed, size_t excess) SPANMALLOC_EXCLUDES(mutex_);
  [[nodiscard]] bool pay_all(PageCount backed) SPANMALLOC_EXCLUDES(mutex_);
  // Undoes an allocation that nobody has used. records may be nullptr.
  void take_back_allocation(PageRange pages, RecordPool* records, void* record)
      SPANMALLOC_EXCLUDES(mutex_);

  Release* free_release_slot() SPANMALLOC_REQUIRES(mutex_);
  PageCount scavenge_unit(Release& release, PageCount goal, ScavengeMode mode, ScavengeUnit unit)
      SPANMALLOC_EXCLUDES(mutex_);
  bool begin_release(Release& release, ChunkNumber chunk, ScavengeUnit unit, PageCount max)
      SPANMALLOC_REQUIRES(mutex_);
  PageCount finish_release(Release& release, platform::ReleaseResult result)
      SPANMALLOC_REQUIRES(mutex_);
  void take_back(Release& release) SPANMALLOC_REQUIRES(mutex_);
  void take_back_all_but(uint32_t survivor) SPANMALLOC_REQUIRES(mutex_);
  void recover_if_due() SPANMALLOC_REQUIRES(mutex_);
  // Puts the chunks back on the list that were taken off it by a refusal.
  void offer_refused_pages() SPANMALLOC_REQUIRES(mutex_);

  PageSource& source_;
  MetadataArena& arena_;
  mutable Mutex mutex_{LockRank::kPageHeap};
  AddressWindow window_;
  bool open_ SPANMALLOC_GUARDED_BY(mutex_) = false;
  PageAllocator pages_;  // guarded by mutex_, but for find() of its scavenge index
  PageCache cache_ SPANMALLOC_GUARDED_BY(mutex_);
  Release releases_[kMaxReleases] SPANMALLOC_GUARDED_BY(mutex_);
  // The thread whose release goes on in the child of a fork, while those of others are still to be
  // taken back; 0: there are none.
  std::atomic<uint32_t> survivor_{0};
  // Chunks are off the list because the system refused to take their pages.
  bool has_refused_pages_ SPANMALLOC_GUARDED_BY(mutex_) = false;
  // By chunk; reserved at the first search for dense chunks.
  SparseArray<HugePageLook> looks_ SPANMALLOC_GUARDED_BY(mutex_);
  // Memory of the source for which there was no metadata yet; added before anything else.
  PageRange not_added_ SPANMALLOC_GUARDED_BY(mutex_){};

  std::atomic<platform::HugePages> huge_pages_{platform::HugePages::kRefuse};
  // Written under mutex_, read by anyone.
  std::atomic<size_t> in_use_{0};
  // The most pages in use since take_use() was called.
  size_t peak_in_use_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> free_retained_{0};
  std::atomic<size_t> released_{0};
  // In bytes; added to and taken from without this lock.
  std::atomic<size_t> holes_{0};

  MemoryLimit limit_;
  std::atomic<size_t> retention_goal_{SIZE_MAX};
  std::atomic<bool> over_limit_{false};

  uint64_t allocations_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  uint64_t grow_calls_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  uint64_t grow_refusals_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  uint64_t scavenged_pages_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  uint64_t scavenge_refusals_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_HEAP_H_
