#ifndef SPANMALLOC_CENTRAL_CENTRAL_LIST_H_
#define SPANMALLOC_CENTRAL_CENTRAL_LIST_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/mutex.h"
#include "central/depot.h"
#include "central/occupancy_lists.h"
#include "platform/compiler.h"
#include "spans/free_list.h"
#include "spans/span_allocator.h"

namespace spanmalloc {

struct CentralStats {
  size_t depot_bytes = 0;  // in magazines
  size_t free_bytes = 0;   // free objects of spans with room
  size_t partly_used_spans = 0;
  size_t spans = 0;
  size_t objects = 0;     // of all spans, used or free
  size_t span_bytes = 0;  // with what lies behind the last objects
};

// What is kept of one size class. All zero at first, so that the states of all classes cost a
// process that uses few of them nothing at its start.
struct alignas(platform::kCacheLineBytes) CentralState {
  Mutex mutex{LockRank::kCentral};
  OccupancyLists with_room SPANMALLOC_GUARDED_BY(mutex);
  // Free objects of those spans.
  size_t free_objects SPANMALLOC_GUARDED_BY(mutex) = 0;
  Depot depot SPANMALLOC_GUARDED_BY(mutex);
  std::atomic<size_t> depot_bytes{0};
  // Spans of the class, full ones too: the lower half counts all, the upper half the short ones.
  // One word, so that nobody, a child of a fork neither, sees a span counted in half.
  std::atomic<uint64_t> span_counts{0};
};

// Free objects of one span, lent to whoever gives back the memory that they lie on. `span` is
// nullptr in an empty one. Guarded by the lock of the span's class.
struct HoleLoan {
  Span* span = nullptr;
  SizeClass size_class = kNoSizeClass;
  uint64_t units = 0;
  Span::ObjectBits objects = {};
};

// What the lists of all classes work with.
struct CentralEnvironment {
  SpanAllocator& spans;
  const PageMap& page_map;
  MetadataArena& arena;
  // Ticks of the scavenger's clock and steps of the heap's growth, and whether objects were claimed
  // since the last one.
  std::atomic<uint16_t>& epoch;
  std::atomic<bool>& was_claimed_from;
};

// What the threads share of one size class: the spans with room and the depot of magazines.
// This is a view of the class's state, made where it is needed and passed by reference or by value.
//
// Memory comes to it as magazines and leaves it as magazines or claims. Draining a magazine puts
// its objects back into their spans' free bits; that makes them available to everybody, shows what
// was freed twice, and returns spans that became empty to the page heap. It is the sweep of the Go
// runtime, with frees in the place of marks.
//
// One lock, which is never held while spans are made or ended.
class CentralList {
 public:
  constexpr CentralList(SizeClass size_class, const CentralEnvironment& environment,
                        CentralState& state)
      : environment_(environment), state_(state), size_class_(size_class) {}

  // A magazine of the depot, full or not; top is nullptr when there is none.
  Magazine take_magazine() const SPANMALLOC_EXCLUDES(state_.mutex);

  // Hands over a list of free objects. It is kept whole, or drained when the depot has no room.
  void put_magazine(Magazine magazine, ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Free objects of the fullest span with room, at most `limit` and the class's claim limit. When
  // no span has room, a new one is made, if that is possible under `growth`; an empty claim
  // otherwise.
  Claim claim(Growth growth, size_t limit = SIZE_MAX) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Puts all objects of the list back into their spans. Reports misuse that shows here: an object
  // that is free in its span already, a pointer that is no object's start, a broken link.
  void drain(Magazine magazine, ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Puts back what is left of a claim.
  void give_back(const Claim& claim) const SPANMALLOC_EXCLUDES(state_.mutex);

  // How many objects may still be drained in one go; what is drained counts it down, and the last
  // magazine may bring it to 0 from less than its objects.
  using DrainAllowance = size_t;
  static constexpr DrainAllowance kDrainAll = SIZE_MAX;

  // Drains magazines of the depot until at most `keep` are left, and no more than there are now;
  // returns the bytes drained. With some of the allowance left the depot is done.
  size_t drain_depot(size_t keep, ListKey key, DrainAllowance* allowance) const
      SPANMALLOC_EXCLUDES(state_.mutex);
  size_t drain_depot(size_t keep, ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex) {
    DrainAllowance all = kDrainAll;
    return drain_depot(keep, key, &all);
  }

  // Drains the magazines that nobody needed since the depot was done with the last time; returns
  // the bytes drained. With some of the allowance left the depot is done.
  size_t drain_idle(ListKey key, DrainAllowance* allowance) const SPANMALLOC_EXCLUDES(state_.mutex);
  size_t drain_idle(ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex) {
    DrainAllowance all = kDrainAll;
    return drain_idle(key, &all);
  }

  // Lends the free objects that lie on backed holes of the span, if it is one of this class with
  // free objects. False when it is not, or has no such objects.
  [[nodiscard]] bool lend_holes(Span* span, HoleLoan& loan) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Ends a loan; `released` are the units of it whose memory was given back.
  void end_loan(HoleLoan& loan, uint64_t released) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Whether the object is free in its span or lies in the depot.
  bool is_free(uintptr_t address, ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex);

  // Bytes in the depot; read without the lock, so only about right.
  size_t depot_bytes() const { return state_.depot_bytes.load(std::memory_order_relaxed); }

  // Whether a magazine that came now would go into its spans; as inexact.
  bool depot_is_full() const { return depot_bytes() >= kMaxDepotBytes; }

  CentralStats stats() const SPANMALLOC_EXCLUDES(state_.mutex);
  void check_invariants() const SPANMALLOC_EXCLUDES(state_.mutex);
  Mutex& mutex() const { return state_.mutex; }

 private:
  // A depot that holds this much takes no more; the magazine is drained at once, while its objects
  // lie in the processor's caches. What is older than a second-level cache is better had from free
  // bits, in the order of addresses and without a look into each block: a program that frees and
  // rebuilds a tree of 100 MB takes 0.72 of the time, bursts of 3 MB the same.
  static constexpr size_t kMaxDepotBytes = size_t{4} << 20;

  // A class that has this many spans is growing in earnest: pages of a new span will all be written
  // soon, and are had for less in one call than fault by fault (0.80 of the time of a first touch).
  static constexpr size_t kSpansBeforePopulating = 16;

  // While a class has fewer spans than this, new ones are short.
  static constexpr size_t kShortSpans = 16;

  // Objects drained under one hold of the lock; a drain of a full magazine takes several.
  static constexpr size_t kDrainBatch = 64;

  // Magazines of the depot that are drained side by side. A link that has grown cold waits for
  // memory, and the next one waits for it: so the waits of several lists overlap.
  static constexpr size_t kDrainLanes = 4;

  size_t object_bytes() const { return kSizeClasses[size_class_].object_bytes; }
  Span* span_with_room() const SPANMALLOC_REQUIRES(state_.mutex);
  size_t span_count() const {
    return static_cast<uint32_t>(state_.span_counts.load(std::memory_order_relaxed));
  }
  // What a span adds to the counts.
  static uint64_t one_of(const Span* span) {
    return span->is_short() ? (uint64_t{1} << 32) + 1 : 1;
  }
  Claim claim_from(Span* span, size_t limit, size_t skip = 0) const;
  // Objects of magazines with their spans. They are looked up without the lock, since to follow
  // cold links and find records waits for memory, and whoever holds the lock lets others wait.
  struct Batch {
    struct Entry {
      uintptr_t address;
      Span* span;
    };
    // Objects of each magazine at most.
    size_t lane_size = 0;
    std::array<size_t, kDrainLanes> lane_counts = {};
    std::array<Entry, kDrainBatch + kDrainLanes> entries;

    // What is no object: the address of the first one, and no span. The objects follow it.
    Entry* start_of(size_t lane) { return &entries[lane * (lane_size + 1)]; }
    std::span<const Entry> objects_of(size_t lane) const {
      return {&entries[lane * (lane_size + 1) + 1], lane_counts[lane]};
    }
  };
  // Takes the first objects off the magazines. REQUIRES: one of them at least, and at most
  // kDrainLanes.
  Batch take_batch(std::span<Magazine> magazines, ListKey key) const;
  // Takes the top object off the magazine; `from` is the one that lay above it, with its span or
  // none.
  Batch::Entry take_object(Magazine& magazine, Batch::Entry from, ClassMapView class_map,
                           ListKey key) const;
  // Puts them into their spans; those that became empty are added to the list `emptied`.
  void put_back(const Batch& batch, Span** emptied) const SPANMALLOC_EXCLUDES(state_.mutex);
  void put_back_lane(std::span<const Batch::Entry> objects, Span** emptied) const
      SPANMALLOC_REQUIRES(state_.mutex);
  // As the drain of one magazine; changes the order of the array.
  void drain(std::span<Magazine> magazines, ListKey key) const SPANMALLOC_EXCLUDES(state_.mutex);
  // Drains what `take`, called under the lock, takes out of the depot, until that is an empty
  // magazine or the allowance is used up.
  template <typename Take>
  size_t drain_taken(Take take, ListKey key, DrainAllowance* allowance) const
      SPANMALLOC_EXCLUDES(state_.mutex);
  void after_give_back(Span* span, bool was_full, Span** emptied) const
      SPANMALLOC_REQUIRES(state_.mutex);
  void delete_spans(Span* emptied) const SPANMALLOC_EXCLUDES(state_.mutex);
  void note_depot() const SPANMALLOC_REQUIRES(state_.mutex) {
    state_.depot_bytes.store(state_.depot.object_count() * object_bytes(),
                             std::memory_order_relaxed);
  }

  const CentralEnvironment& environment_;
  CentralState& state_;
  const SizeClass size_class_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_CENTRAL_LIST_H_
