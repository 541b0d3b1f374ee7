// The composition root: all state of the allocator in one constant-initialised object that hands
// each part references to the parts below it.
#ifndef SPANMALLOC_HEAP_HEAP_H_
#define SPANMALLOC_HEAP_HEAP_H_

#include <atomic>
#include <cstddef>

#include "base/metadata_arena.h"
#include "base/mutex.h"
#include "base/options.h"
#include "base/rise_mark.h"
#include "cache/thread_cache.h"
#include "cache/thread_cache_registry.h"
#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "heap/guarded_blocks.h"
#include "heap/hardening.h"
#include "pages/os_page_source.h"
#include "pages/page_heap.h"
#include "platform/cgroup.h"
#include "platform/compiler.h"
#include "scavenger/scavenger.h"
#include "spans/block_end.h"
#include "spans/page_map.h"
#include "spans/span_allocator.h"

namespace spanmalloc {

// What the heap keeps of each size class, and what is rarely used. All zero at first and apart from
// the rest of the heap, so that loading the library touches none of it.
struct HeapTables {
  SentinelTable sentinels;
  CentralStates centrals;
  platform::CgroupPlaces cgroups;
};

class Heap {
 public:
  constexpr explicit Heap(HeapTables& tables) : tables_(tables) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // Makes the heap usable at the first call; cheap afterwards. False when the system refuses even
  // the address space for metadata; the next call tries again.
  [[nodiscard]] bool open();
  bool is_open() const { return state_.load(std::memory_order_acquire) == State::kOpen; }

  // Reads the options if the environment was not there when the heap was opened.
  void read_options();
  // The same once the C library is ready: an environment that is not there then is empty.
  void settle_options();
  // Has faults explained where the options ask for guards. The program may have a sigaction() of
  // its own, which allocates. REQUIRES: the options are read; called once, without a lock.
  void watch_faults();
  // Tells the parts below what the options say that may change.
  void apply_options();

  const ClassMap& class_map() const { return page_map_.class_map(); }
  PageMap& page_map() { return page_map_; }
  PageHeap& page_heap() { return page_heap_; }
  SpanAllocator& spans() { return spans_; }
  CentralList central(SizeClass size_class) { return centrals_[size_class]; }
  CentralLists& centrals() { return centrals_; }
  HoleReleaser& holes() { return holes_; }
  ThreadCacheRegistry& registry() { return registry_; }
  SentinelTable& sentinels() { return tables_.sentinels; }
  Scavenger& scavenger() { return scavenger_; }
  MetadataArena& arena() { return arena_; }
  Options& options() { return options_; }
  const Hardening& hardening() const { return hardening_; }
  const BlockEnds& block_ends() const { return block_ends_; }
  GuardedBlocks& guarded_blocks() { return guarded_blocks_; }
  ListKey key() const { return key_; }

  // The calling thread's cache, made if it has none; nullptr when the thread has given its cache
  // back already, when another thread has borrowed it, and when the system refuses what a cache
  // takes. Under hardening the cache is withheld from the hot path.
  ThreadCache* attach_thread();

  // In the child of a fork: the thread that came along has another identity.
  static void note_new_identity();
  // The cache of that thread, also if it was borrowed.
  ThreadCache* keep_cache_in_child();

  // When free is to notice a second one: of blocks of all threads alike, and once deferred for
  // good.
  SealCheck seal_check();
  // How the lists are to be that a thread cache makes next.
  ThreadCache::ListRules list_rules() const;

  // Makes free memory available before the heap grows: what rests in the calling thread's cache,
  // and, if there is enough of it, a part of what lies in depots and waiting caches. True when
  // something was.
  bool reclaim_before_growth();

  // Makes all free memory available that can be reached from this thread, at the edge of failure.
  void reclaim_everything();

  // For malloc, which has taken pages and not yet used them: where they pass the memory limit,
  // gives back what this thread can reach; where spans of small blocks grow, reclaims some of what
  // rests. Starts the scavenger's thread again where it is wanted. Called without a lock.
  void after_allocation() {
    if (SPANMALLOC_UNLIKELY(page_heap_.was_over_limit())) reduce_to_limit();
    scavenger_.note_allocation();
    const size_t bytes = spans_.small_span_bytes();
    if (SPANMALLOC_UNLIKELY(spans_at_reclaim_.has_risen(bytes, kReclaimStepBytes))) {
      reclaim_as_spans_grow();
    }
  }
  // Sets the limit on what the heap holds, and gives back what is beyond it. 0 bytes: no limit.
  void set_memory_limit(Bytes limit, LimitKind kind);

  // Gives all free memory back to the system; returns the bytes.
  size_t release_everything();

  // Verifies what all parts keep; ends the process when something is damaged. Called without a
  // lock.
  void check_invariants();

 private:
  enum class State : uint8_t { kClosed, kOpen };

  // Below this much in spans of small blocks there is too little in depots, and in lists, to
  // reclaim for what it costs. The second at 1 MiB: strings and vectors of a heap of 4 MiB
  // take 1.25 of the time.
  static constexpr size_t kReclaimFloorBytes = size_t{1} << 20;
  static constexpr size_t kFlushFloorBytes = size_t{2} << 20;
  // How much such spans grow from one look at the depots to the next, and, as a part of them and
  // the least of it, from one look at the lists that rest.
  static constexpr size_t kReclaimStepBytes = GrowthPayment::kAheadBytes;
  static constexpr size_t kFlushDivisor = 16;
  static constexpr size_t kLeastFlushStep = size_t{256} << 10;

  // Reserves all that is needed for a window of this size (0: the usual one). False when refused;
  // nothing stands in the way of another try then.
  [[nodiscard]] bool open_window(size_t bytes);
  static void on_thread_exit(void* cache);
  static void tie_to_thread(ThreadCache* cache);
  ThreadCache* adopt_withheld_cache();
  void register_with_system();
  void decide_hardening();
  void apply_fixed_options();
  void reduce_to_limit();
  // Gives back the calling thread's lists that rest; returns the bytes.
  size_t flush_idle_lists();
  void reclaim_as_spans_grow();

  HeapTables& tables_;
  MetadataArena arena_;
  OsPageSource page_source_;
  PageHeap page_heap_{page_source_, arena_};
  PageMap page_map_{arena_};
  SpanAllocator spans_{page_heap_, page_map_, arena_};
  CentralLists centrals_{tables_.centrals, spans_, page_map_, arena_};
  HoleReleaser holes_{centrals_, page_map_, page_heap_};
  ThreadCacheRegistry registry_{arena_};
  Options options_;
  SystemScavengerClock clock_;
  Scavenger scavenger_{page_heap_,        centrals_, holes_, registry_,
                       tables_.sentinels, options_,  clock_, {tables_.cgroups}};
  ListKey key_{};
  BlockEnds block_ends_;
  Hardening hardening_;
  GuardedBlocks guarded_blocks_{arena_};
  Mutex open_mutex_{LockRank::kOpen};
  std::atomic<State> state_{State::kClosed};
  // Set while a thread registers, and when all is registered. The next two belong to that thread.
  std::atomic<bool> registered_{false};
  bool knows_thread_exit_ = false;
  bool knows_forks_ = false;
  std::atomic<bool> options_read_{false};
  // Bytes in spans of small blocks when depots were last drained as they grew, and when a thread
  // last gave back lists that rested.
  RiseMark spans_at_reclaim_{kReclaimFloorBytes};
  RiseMark spans_at_flush_{kFlushFloorBytes};
  // Set once the heap has been large enough for deferred checks.
  std::atomic<bool> defers_checks_{false};
};

extern constinit Heap heap;

// Whether the calling thread is in the midst of the heap, off the hot path, so that this is a
// signal handler that interrupted it and may not call it.
bool was_interrupted_by_caller();

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_HEAP_H_
