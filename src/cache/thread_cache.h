// What one thread keeps of each size class, so that most calls of malloc and free touch nothing
// that another thread touches.
//
//   head    the list that free pushes to and malloc pops from
//   spare   one more list, full or empty, so that a program that hovers at the edge of a full or
//           empty head does not trade with the central list at every step (Bonwick's two magazines)
//   claim   up to 64 free objects of a span, linked into no list, handed out in the order of their
//           addresses when the head list is empty
//
// The record lies in the metadata arena; thread-local storage holds one pointer to it. A thread
// without a record points to the empty cache, in which every list is both empty and full: malloc
// and free need no test for it, they leave the hot path by the exits they have anyway. So are the
// lists of a new cache, and all else in it is zero: a program that uses few classes writes little.
//
// Only the owning thread writes, or who has borrowed the cache while that thread sleeps (see
// CacheOwner). Statistics and the double-free check of other threads read the lists meanwhile; what
// they see may be stale but is always readable memory. Where a block's pages may become a guard
// once the owner has let go of it, others read what the owner notes instead.
#ifndef SPANMALLOC_CACHE_THREAD_CACHE_H_
#define SPANMALLOC_CACHE_THREAD_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cache/cache_owner.h"
#include "cache/hot_cache.h"
#include "cache/quarantine.h"
#include "cache/sentinel_table.h"
#include "central/central_lists.h"
#include "platform/compiler.h"
#include "spans/free_list.h"
#include "spans/misuse.h"
#include "spans/page_map.h"
#include "spans/size_class.h"
#include "spans/span.h"

namespace spanmalloc {

// A fork of another thread sees the stores before this point if it sees one of those after it: the
// compiler keeps their order, and while the kernel copies the memory of a process, a thread that
// writes to what is copied already waits. repair_if_orphaned() relies on it.
inline void step_for_fork() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Makes an object of a claim with such content one that the program owns. Ends the process if free
// has left it with a seal and the seal is gone: the object is in a list as well, out of which it
// was taken, or was written to.
SPANMALLOC_ALWAYS_INLINE void unseal(FreeNode* object, MemoryContent content, SizeClass size_class,
                                     ListKey key) {
  if (content == MemoryContent::kZero) return;
  if (SPANMALLOC_UNLIKELY(content == MemoryContent::kSealed && !object->has_mark_of(key.mark))) {
    report_changed_in_list(reinterpret_cast<uintptr_t>(object),
                           kSizeClasses[size_class].object_bytes);
  }
  // Other memory may carry the seal of an earlier life.
  object->remove_seal();
}

// In which order the blocks of a list that leaves its thread lie.
enum class BlockOrder {
  kAsFreed,   // the last one freed is the first one handed out
  kByAddress  // see cache/address_order.h
};

class alignas(platform::kCacheLineBytes) ThreadCache : public HotCache {
 public:
  ThreadCache() = delete;

  // Makes a record of zeros a cache with empty lists.
  void open(ListKey key, ClassMapView class_map, SentinelTable& sentinels);

  // An object after the head list was found empty: from the claim, the spare list or the depot.
  // nullptr when the central list must make a new claim; *content tells what is in the memory.
  // REQUIRES: the head list is empty; it is replaced.
  void* allocate_from_reserve(SizeClass size_class, const CentralList& central,
                              SentinelTable& sentinels, MemoryContent* content);
  bool has_spare(SizeClass size_class) const { return reserves_[size_class].spare.count() > 0; }
  // An object of the spare list, of unknown content; the list becomes the head. REQUIRES:
  // has_spare(size_class); the head list is empty.
  void* take_from_spare(SizeClass size_class);

  // For hardening. Exchanges a free object of `span`, which the caller owns, for a random one of
  // the claim, so that addresses are not handed out in order. Gives `object` itself when the claim
  // does not reach it, or has other content.
  void* exchange_with_claim(void* object, MemoryContent content, const Span& span, uint64_t random);

  bool has_claim(SizeClass size_class) const { return !reserves_[size_class].claim.empty(); }
  // The claimed object that comes next. REQUIRES: has_claim(size_class).
  void* take_from_claim(SizeClass size_class, MemoryContent* content) {
    Claim& claim = reserves_[size_class].claim;
    auto* object = reinterpret_cast<FreeNode*>(claim.take(kSizeClasses[size_class].object_bytes));
    step_for_fork();
    unseal(object, claim.content, size_class, key_);
    *content =
        claim.content == MemoryContent::kZero ? MemoryContent::kZero : MemoryContent::kUnknown;
    return object;
  }
  // Objects that the next claim should have at most: 8 KiB of them, and four if the class allows so
  // many. 16 KiB and then 32 after as many claims without a list that overflowed: such a thread
  // uses what it claims.
  size_t claim_limit(SizeClass size_class) const;
  // Takes over a claim, which is not empty. REQUIRES: !has_claim(size_class).
  void accept(SizeClass size_class, const Claim& claim);

  // When a second free of a block is noticed, by the lists of all classes: where they differ, each
  // free of a block of another class than the last is a branch that the processor cannot foresee.
  SealCheck seal_check() const { return check_; }
  // Makes that so for all lists from now on. Takes time in proportion to what they hold.
  void change_seal_check(SealCheck check, CentralLists& centrals, SentinelTable& sentinels);

  // How the lists of this cache are to be; what is there already stays as it is.
  struct ListRules {
    // Bytes that all lists together may hold beyond their first length.
    size_t budget;
    BlockOrder order = BlockOrder::kAsFreed;
  };
  // Makes the spare list the head, and the full head the spare, if the spare is empty and has the
  // length that a new list would get; false if not.
  bool exchange_for_empty_spare(SizeClass size_class, const SentinelTable& sentinels) {
    List& in_reserve = reserves_[size_class].spare;
    const List spare = in_reserve;
    if (spare.top != sentinels.place(size_class, levels_[size_class], check_)) return false;
    const List full = head_list(size_class);
    set_head_list(size_class, spare);
    step_for_fork();
    in_reserve = full;
    note_motion(size_class);
    return true;
  }
  // Makes the head list one that takes another object. Lists that overflow become longer ones while
  // the budget allows it. True when a magazine was handed to the central list.
  bool make_room(SizeClass size_class, const CentralList& central, SentinelTable& sentinels,
                 ListRules rules);

  // Gives all objects of a class back: whole lists to the depot, or into their spans.
  enum class FlushTo { kDepot, kSpans };
  void flush(SizeClass size_class, const CentralList& central, SentinelTable& sentinels,
             FlushTo to);

  // Puts the blocks of the quarantine back into their spans, unchecked: whoever gets one looks
  // whether it was written to.
  void flush_quarantine(CentralLists& centrals);

  // Puts the objects of all classes whose lists are as they were at the last look, this one or that
  // of note_handover(), back into their spans; returns the bytes. A list that rests keeps whole
  // spans from being given back.
  size_t flush_idle(CentralLists& centrals, SentinelTable& sentinels);

  // For the owner, when it has handed a list over. A thread that frees more than it allocates makes
  // no spans, and would never flush: now and then, blocks that are large, and whose lists are as
  // they were at the last call of this or of flush_idle(), go back to their spans.
  void note_handover(CentralLists& centrals, SentinelTable& sentinels);

  // For the owner: whether there were so many refills since the last flush_idle() that those which
  // it caused are few among them. A program whose lists are all in use, but each of them seldom,
  // would flush and refill for ever.
  bool has_earned_flush() const { return refills_ > flushed_classes_ * kRefillsPerFlushedClass; }
  // When the cache becomes another thread's.
  void forget_refills() {
    refills_ = 0;
    flushed_classes_ = 0;
  }

  // For the owner, under hardening with guards, after each change of the class's lists: notes how
  // long they are. From the first time on, other threads look into no object of any list.
  void note_lists(SizeClass size_class);

  // Whether the object lies in one of the class's lists or in its claim. Other threads may ask;
  // where lists are noted, they learn of the claim alone.
  bool holds(SizeClass size_class, uintptr_t address, const ClassMap& class_map) const;

  // Objects of the class that lie here. Other threads may ask and get a stale answer.
  size_t object_count(SizeClass size_class) const;

  // Bytes of the objects that lie here. Other threads may ask and get a stale answer.
  size_t held_bytes() const;

  // Whether the heads are as they were when this was last asked. For one other thread.
  bool rests();
  CacheOwner& owner() { return owner_; }
  // Whether the owner is at work on it outside of the hot path, see CacheUse.
  bool is_used() const { return is_used_.load(std::memory_order_relaxed); }

  // For a cache whose thread did not come along into the child of a fork, or ended unseen:
  // nobody is at work on it.
  void forget_owner() {
    owner_.forget();
    is_used_.store(false, std::memory_order_relaxed);
  }
  // For such a cache, whose thread may have been in the midst of a change: makes it whole before
  // anybody else uses it.
  void note_orphaned() { orphaned_ = true; }
  void repair_if_orphaned();

  // What only hardening uses, zero in other processes. The quarantine is made by whoever wants it.
  struct HardenedPart {
    Quarantine* quarantine;
    // State of the thread's generator; 0 before its first use.
    uint64_t random;
    // Blocks until one is sampled; 0: not chosen yet.
    uint32_t until_sample;
    bool lists_are_noted;
    // Objects in head and spare list, by class, where that is noted.
    std::array<uint16_t, kSizeClassCount> listed;
  };
  HardenedPart& hardened() { return hardened_; }

  // For the owner only; every list is walked.
  void check_invariants(const ClassMap& class_map) const;

  // The registry's. The first is constant once the cache is registered, the others are under its
  // lock.
  ThreadCache* next_registered;
  ThreadCache* next_waiting;
  // The number of the thread that uses it or is about to empty it; 0: it waits.
  uint32_t holder;

 private:
  friend class CacheUse;
  // A class's first claim is a quarter of the largest one, which comes after so many.
  static constexpr uint8_t kClaimsToGrow = 2;
  // A class that is flushed takes one more refill, or some where its lists were long. 1,000 buffers
  // that grow side by side peak at 16.7 MiB with this number (16.4 where every flush is made), at
  // 19 with twice it, at 26.7 without flushes.
  static constexpr uint32_t kRefillsPerFlushedClass = 8;
  // After so many handovers, or more where the last look flushed many classes, it is time to look
  // for lists that rest, of blocks of so many bytes or more: ten random servers peak at 0.94 of
  // what they do without. With blocks of any size it would be 0.90, but a pipeline whose threads
  // use forty classes in turn takes 1.06 of the time, and more memory.
  static constexpr uint32_t kHandoversPerLook = 32;
  static constexpr uint32_t kHandoversPerReturnedClass = 8;
  static constexpr size_t kReturnedAtHandoverBytes = size_t{16} << 10;
  // A list with the number of objects that fit into it: none before its class is first used.
  struct List {
    FreeNode* top = nullptr;
    uint32_t capacity = 0;

    size_t count() const { return top == nullptr ? 0 : capacity - top->room(); }
  };
  struct Reserve {
    List spare;
    Claim claim;
  };

  List head_list(SizeClass size_class) const {
    return {heads_[size_class], head_capacities_[size_class]};
  }
  void set_head_list(SizeClass size_class, List list) {
    heads_[size_class] = list.top;
    head_capacities_[size_class] = static_cast<uint16_t>(list.capacity);
  }
  void set_empty_head(SizeClass size_class, const CentralList& central, SentinelTable& sentinels);
  // Makes the class's lists longer from now on if the budget allows it.
  void grow_lists(SizeClass size_class, size_t budget);
  // Puts the blocks of a list, in their order, into an empty one that has room for them. Ends
  // the process if the program has changed one.
  List moved_to(List empty, SizeClass size_class, List list, const SentinelTable& sentinels);
  // The list, which nobody knows, with the check of this cache.
  List with_own_check(SizeClass size_class, List list, const CentralList& central,
                      SentinelTable& sentinels);
  // The top of a list that is about to become the head, which keeps the rest. REQUIRES: the head
  // list and the claim are empty, the list is not.
  void* take_top(SizeClass size_class, List list);
  // Bytes that a class's two lists hold, when full, beyond those of the first length.
  static size_t grown_bytes(SizeClass size_class, uint8_t level) {
    const size_t first = SentinelTable::capacity(size_class, 0);
    return 2 * (SentinelTable::capacity(size_class, level) - first) *
           kSizeClasses[size_class].object_bytes;
  }
  size_t grown_bytes(SizeClass size_class) const {
    return grown_bytes(size_class, levels_[size_class]);
  }
  // The class's lists do not rest. A program that takes and frees the same blocks in turn leaves
  // the same head behind whenever one looks.
  void note_motion(SizeClass size_class) { resting_heads_[size_class] = nullptr; }
  // Flushes the class into its spans if its head is as it was at the last call; returns the bytes.
  size_t flush_if_idle(SizeClass size_class, const CentralList& central, SentinelTable& sentinels);
  size_t capacity_from_end(const FreeNode* node) const;
  size_t listed_count(SizeClass size_class) const {
    return head_list(size_class).count() + reserves_[size_class].spare.count();
  }
  bool lists_are_noted() const {
    // Acquire: all lists were noted before.
    return __atomic_load_n(&hardened_.lists_are_noted, __ATOMIC_ACQUIRE);
  }
  void note_all_lists();

  // What every start writes lies close to the heads.
  CacheOwner owner_;
  std::atomic<bool> is_used_;
  bool orphaned_;
  SealCheck check_;
  // The sum of grown_bytes() over all classes.
  size_t grown_bytes_;
  // Claims and magazines since the last flush_idle(), and the classes that were flushed.
  uint32_t refills_;
  uint32_t flushed_classes_;
  // Lists handed over since the last look of note_handover(), and the classes that it flushed.
  uint32_t handovers_;
  uint32_t returned_classes_;
  // Objects that fit into the head list, from its sentinel up.
  std::array<uint16_t, kSizeClassCount> head_capacities_;
  std::array<uint8_t, kSizeClassCount> levels_;
  // Claims since the class's lists last overflowed, up to kClaimsToGrow.
  std::array<uint8_t, kSizeClassCount> claims_in_a_row_;
  std::array<Reserve, kSizeClassCount> reserves_;
  // The heads at the last look for lists that rest; nullptr where lists came or went since.
  std::array<const FreeNode*, kSizeClassCount> resting_heads_;
  // A sum over the heads, when rests() was last asked.
  uintptr_t seen_heads_;
  HardenedPart hardened_;
};

// Stands for as long as the owner works on its cache outside of the hot path: a thread may sleep
// there in the middle of a change.
class CacheUse {
 public:
  explicit CacheUse(ThreadCache& cache) : cache_(cache), was_used_(cache.is_used()) {
    cache_.is_used_.store(true, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~CacheUse() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    cache_.is_used_.store(was_used_, std::memory_order_relaxed);
  }
  CacheUse(const CacheUse&) = delete;
  CacheUse& operator=(const CacheUse&) = delete;

 private:
  ThreadCache& cache_;
  // A handler that interrupted a use has uses of its own.
  const bool was_used_;
};

// The cache of a thread whose calls must all leave the hot path, because hardening or sampling is
// on: the thread's current cache stays the empty one.
extern constinit thread_local ThreadCache* withheld_thread_cache SPANMALLOC_INITIAL_EXEC_TLS;

// The calling thread's cache; nullptr as long as it has none.
inline ThreadCache* own_thread_cache() {
  HotCache* cache = current_cache();
  return SPANMALLOC_UNLIKELY(cache == &empty_thread_cache) ? withheld_thread_cache
                                                           : static_cast<ThreadCache*>(cache);
}

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_THREAD_CACHE_H_
