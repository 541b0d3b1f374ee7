#include "heap/heap.h"

#include <algorithm>

#include "heap/access_report.h"
#include "heap/fork.h"
#include "heap/hardened.h"
#include "heap/hardened_large.h"
#include "heap/thread_end.h"
#include "platform/errno_guard.h"
#include "platform/fault.h"
#include "platform/sleeping_thread.h"
#include "platform/system.h"
#include "platform/thread.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

constinit HeapTables heap_tables{};
constinit Heap heap{heap_tables};
constinit thread_local bool thread_cache_was_given SPANMALLOC_INITIAL_EXEC_TLS = false;
constinit thread_local bool thread_is_counted SPANMALLOC_INITIAL_EXEC_TLS = false;

namespace {

// What the lists of all thread caches, when full, hold beyond their first length is this part of
// the memory in use.
constexpr size_t kCacheShareOfHeap = 8;
// In small heaps it is more: for each cache a part of kCacheFloorsBytes, within these bounds.
constexpr size_t kCacheFloorsBytes = size_t{4} << 20;
constexpr size_t kLeastCacheFloorBytes = size_t{256} << 10;
constexpr size_t kMostCacheFloorBytes = size_t{1} << 20;
// With this much in spans of small blocks, most of them have left the processor's second-level
// cache. Checks are deferred then, since to look into a block that comes to free would be to wait.
constexpr size_t kColdHeapBytes = size_t{2} << 20;
// With this much, blocks go to other lists in an order that keeps neighbours together. In smaller
// heaps that costs about what it saves.
constexpr size_t kOrderedHeapBytes = size_t{8} << 20;

// What guards may take under the limits of the process.
PageCount most_guards() {
  const size_t address_space = platform::address_space_limit();
  const size_t data = platform::data_limit();
  return GuardBudget::most_under(address_space < data ? address_space : data);
}

}  // namespace

bool Heap::open() {
  if (is_open()) return true;
  platform::ErrnoGuard errno_guard;
  MutexLock lock(open_mutex_);
  if (is_open()) return true;
  if (key_.mark == 0) {
    key_ = ListKey::from_random(platform::process_random());
    block_ends_.set_secret(platform::process_random());
  }
  read_options();
  // Where arrays over the usual window are refused, those over a small one may do.
  if (!open_window(0) && !open_window(OsPageSource::kSmallestWindow)) return false;
  sentinels().open(key_);
  scavenger_.set_key(key_);
  platform::note_new_process();
  state_.store(State::kOpen, std::memory_order_release);
  return true;
}

bool Heap::open_window(size_t bytes) {
  if (!page_source_.open(bytes)) return false;
  const AddressWindow window = page_source_.window();
  // The page heap last, which keeps its window.
  if (page_map_.open(window.base + window.size.bytes().value) && page_heap_.open(window)) {
    return true;
  }
  page_source_.close();
  return false;
}

void Heap::read_options() {
  if (platform::environment_is_there()) settle_options();
}

void Heap::settle_options() {
  if (options_read_.exchange(true)) return;
  const char* text = platform::environment("SPANMALLOC_OPTIONS");
  if (text != nullptr) options_.parse(text);
  decide_hardening();
  apply_fixed_options();
  apply_options();
  // A cache that was made before has no more than every level needs.
  ThreadCache* cache = own_thread_cache();
  if (cache != nullptr && hardening_.is_on()) prepare_hardened(*cache);
}

void Heap::decide_hardening() {
  uint32_t interval = static_cast<uint32_t>(options_[Option::kSampleGuard]);
  if (interval != 0 && !guarded_blocks_.open(block_ends_)) interval = 0;
  hardening_.decide(static_cast<HardeningLevel>(options_[Option::kHardening]), interval);
}

void Heap::watch_faults() {
  if (hardening_.sample_interval() == 0 && !hardening_.has_guards()) return;
  // Without the handler a fault goes unexplained; nothing else is lost.
  (void)platform::watch_faults([](const platform::Fault& fault) {
    return heap.guarded_blocks_.describe_access(fault.address, fault.code) ||
           (heap.hardening_.has_guards() && describe_guard_access(heap.page_map_, fault));
  });
}

// Not again when another option is set: threads read this without order, and guards that the system
// has refused stay given up.
void Heap::apply_fixed_options() {
  // What lies in a freed block must not change while it is looked at.
  const bool releases_lazily = options_[Option::kRelease] != 0 && !hardening_.delays();
  // Before the options are known, blocks have ends as well.
  spans_.set_protection({.zeroes_new_spans = hardening_.has_ends(),
                         .most_guards = hardening_.has_guards() ? most_guards() : PageCount{},
                         .released_reads_zero = !releases_lazily,
                         .has_short_spans = !hardening_.delays()});
  page_source_.set_release_way(releases_lazily ? OsPageSource::ReleaseWay::kLazily
                                               : OsPageSource::ReleaseWay::kAtOnce);
}

void Heap::apply_options() {
  const auto huge_pages = static_cast<HugePagePolicy>(options_[Option::kHugePages]);
  page_heap_.set_huge_pages(huge_pages == HugePagePolicy::kNewMemory
                                ? platform::HugePages::kAsk
                                : platform::HugePages::kRefuse);
  page_heap_.limit().set_wanted(
      Bytes{options_[Option::kMemoryLimit]},
      options_[Option::kMemoryLimitHard] != 0 ? LimitKind::kHard : LimitKind::kSoft);
}

void Heap::set_memory_limit(Bytes limit, LimitKind kind) {
  (void)options_.set(Option::kMemoryLimit, limit.value);
  (void)options_.set(Option::kMemoryLimitHard, kind == LimitKind::kHard ? 1 : 0);
  apply_options();
  scavenger_.limit_keeper().start_epoch();
  if (is_open()) reduce_to_limit();
}

void Heap::reduce_to_limit() {
  page_heap_.forget_over_limit();
  if (!scavenger_.limit_keeper().should_reduce()) return;
  (void)flush_idle_lists();
  if (!scavenger_.limit_keeper().reduce(key_)) scavenger_.note_limit_passed();
}

size_t Heap::flush_idle_lists() {
  ThreadCache* cache = own_thread_cache();
  if (cache == nullptr) return 0;
  const CacheUse use(*cache);
  return cache->flush_idle(centrals_, sentinels());
}

// A thread that made its cache before the options were known gets it on the hot path if they ask
// for nothing.
ThreadCache* Heap::adopt_withheld_cache() {
  ThreadCache* cache = withheld_thread_cache;
  if (cache != nullptr && !hardening_.is_on()) {
    withheld_thread_cache = nullptr;
    set_current_cache(cache);
    tie_to_thread(cache);
  }
  return cache;
}

// From here on the cache may be borrowed while the thread sleeps, and is taken back if the thread
// ends unseen. Whoever borrows writes to the slot, which goes with the thread: so a thread whose
// end will not be told is not tied. Nor is the child of a vfork, for its parent goes on with the
// cache under another identity.
void Heap::tie_to_thread(ThreadCache* cache) {
  if (current_cache() != cache || !platform::thread_exit_is_registered()) return;
  if (platform::may_be_vfork_child()) return;
  cache->owner().attach(&current_thread_cache, platform::kernel_thread_id());
}

void Heap::note_new_identity() {
  ThreadCache* cache = own_thread_cache();
  if (cache == nullptr || !cache->owner().is_of(&current_thread_cache)) return;
  cache->owner().forget();
  tie_to_thread(cache);
}

ThreadCache* Heap::keep_cache_in_child() {
  if (ThreadCache* cache = own_thread_cache(); cache != nullptr) return cache;
  ThreadCache* cache = registry_.borrowed_from(&current_thread_cache);
  if (cache == nullptr) return nullptr;
  // Borrowed in the moment of the fork, and its lists perhaps between two steps.
  cache->note_orphaned();
  cache->repair_if_orphaned();
  set_current_cache(cache);
  cache->owner().forget();
  tie_to_thread(cache);
  return cache;
}

ThreadCache* Heap::attach_thread() {
  if (current_cache() != &empty_thread_cache) return own_thread_cache();
  if (ThreadCache* cache = adopt_withheld_cache(); cache != nullptr) return cache;
  if (thread_cache_was_given || !open()) return nullptr;
  ThreadCache* cache = registry_.acquire(key_, class_map().view(), sentinels());
  if (cache == nullptr) return nullptr;
  // From here on the calls below may use malloc.
  thread_cache_was_given = true;
  if (hardening_.is_on()) {
    withheld_thread_cache = cache;
    prepare_hardened(*cache);
  } else {
    set_current_cache(cache);
  }
  register_with_system();
  const bool is_told_of_end = platform::thread_exit_is_registered();
  if (!platform::arm_thread_exit(cache)) {
    // The cache of a thread whose end is not told would be lost with all it holds.
    set_current_cache(&empty_thread_cache);
    withheld_thread_cache = nullptr;
    thread_cache_was_given = false;
    registry_.release(cache, ThreadCacheRegistry::Contents::kKept);
    return nullptr;
  }
  if (is_told_of_end) tie_to_thread(cache);
  thread_is_counted = true;
  scavenger_.note_thread_start();
  scavenger_.note_unseen_ends();
  return cache;
}

void Heap::register_with_system() {
  if (registered_.load(std::memory_order_relaxed) ||
      registered_.exchange(true, std::memory_order_acquire)) {
    return;
  }
  // Without a key, threads that end keep their caches; nothing else is lost.
  if (!knows_thread_exit_) {
    knows_thread_exit_ = platform::register_thread_exit(&Heap::on_thread_exit);
  }
  if (!knows_forks_) {
    knows_forks_ = platform::register_fork_handlers(&prepare_fork, &after_fork_in_parent,
                                                    &after_fork_in_child);
  }
  // What was refused is asked for again by the next thread that starts.
  if (!knows_thread_exit_ || !knows_forks_) {
    registered_.store(false, std::memory_order_release);
  }
}

// What the key held is not looked at. A library that dlmopen() put into a namespace of its own has
// a C library of its own, which gives out the same keys anew, for the same places in the thread.
void Heap::on_thread_exit(void*) {
  ThreadCache* cache = own_thread_cache();
  // Also when it is borrowed in this moment.
  if (cache == nullptr) {
    cache = heap.registry_.owned_by(&current_thread_cache, platform::kernel_thread_id());
  }
  if (cache == nullptr) return;
  cache->owner().detach();
  empty_quarantine(*cache);
  // Frees and mallocs that still come from this thread go to the central lists one by one.
  set_current_cache(&empty_thread_cache);
  withheld_thread_cache = nullptr;
  if (heap.registry_.has_enough_warm()) {
    heap.centrals_.for_each([&](const CentralList& central, SizeClass size_class) {
      cache->flush(size_class, central, heap.sentinels(), ThreadCache::FlushTo::kDepot);
    });
    heap.registry_.release(cache, ThreadCacheRegistry::Contents::kEmptied);
  } else {
    heap.registry_.release(cache, ThreadCacheRegistry::Contents::kKept);
  }
  heap.scavenger_.note_thread_end();
  thread_is_counted = false;
}

SealCheck Heap::seal_check() {
  if (defers_checks_.load(std::memory_order_relaxed)) return SealCheck::kDeferred;
  if (spans_.small_span_bytes() < kColdHeapBytes) return SealCheck::kAtFree;
  defers_checks_.store(true, std::memory_order_relaxed);
  return SealCheck::kDeferred;
}

ThreadCache::ListRules Heap::list_rules() const {
  const size_t in_use = page_heap_.in_use_bytes();
  const size_t threads = scavenger_.live_threads();
  const size_t floor =
      std::clamp(kCacheFloorsBytes / threads, kLeastCacheFloorBytes, kMostCacheFloorBytes);
  const size_t budget = std::max(in_use / kCacheShareOfHeap / threads, floor);
  // Places are random under hardening.
  const bool is_ordered = spans_.small_span_bytes() >= kOrderedHeapBytes && !hardening_.has_ends();
  return {budget, is_ordered ? BlockOrder::kByAddress : BlockOrder::kAsFreed};
}

bool Heap::reclaim_before_growth() {
  // Nothing lies anywhere before the first span: a start touches none of the cache for it.
  if (page_heap_.in_use_bytes() == 0) return false;
  size_t drained = flush_idle_lists();
  drained += scavenger_.drain_for_growth();
  return drained > 0;
}

// Also where free pages are left, so that a program whose sizes change, round after round, does not
// come to hold the most that it ever had of each class.
void Heap::reclaim_as_spans_grow() {
  const size_t bytes = spans_.small_span_bytes();
  const ThreadCache* cache = own_thread_cache();
  if (spans_at_flush_.has_risen(bytes, std::max(bytes / kFlushDivisor, kLeastFlushStep)) &&
      cache != nullptr && cache->has_earned_flush()) {
    (void)flush_idle_lists();
    spans_at_flush_.move_to(spans_.small_span_bytes());
  }
  (void)scavenger_.drain_surplus();
  spans_at_reclaim_.move_to(spans_.small_span_bytes());
}

void Heap::reclaim_everything() {
  if (ThreadCache* cache = own_thread_cache(); cache != nullptr) {
    const CacheUse use(*cache);
    empty_quarantine(*cache);
    centrals_.for_each([&](const CentralList& central, SizeClass size_class) {
      cache->flush(size_class, central, sentinels(), ThreadCache::FlushTo::kSpans);
    });
  }
  (void)empty_large_queue();
  spans_.open_refused_guards();
  scavenger_.limit_keeper().drain(key_);
}

size_t Heap::release_everything() {
  if (!is_open()) return 0;
  reclaim_everything();
  return scavenger_.release_all();
}

void Heap::check_invariants() {
  if (!is_open()) return;
  arena_.check_invariants();
  page_heap_.check_invariants();
  spans_.check_invariants();
  centrals_.for_each([](const CentralList& central, SizeClass) { central.check_invariants(); });
  registry_.check_invariants();
  if (const ThreadCache* cache = own_thread_cache(); cache != nullptr) {
    cache->check_invariants(class_map());
  }
  scavenger_.check_invariants();
  guarded_blocks_.check_invariants();
  check_large_queue();
}

}  // namespace spanmalloc
