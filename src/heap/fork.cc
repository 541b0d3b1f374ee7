// Fork with other threads at work, also from a signal handler that interrupted malloc.
//
// The child gets a copy of memory with one thread. It is usable if no other thread was inside a
// critical section, so prepare takes every lock of the heap. A lock that the forking thread holds
// itself (the handler interrupted it there) is left alone: when the handler returns, the section
// ends in parent and child alike. Since such a thread holds a lock while it waits for others,
// prepare only tries: if one lock of the heap cannot be had, it lets all go and begins again.
//
// Behind the handlers the C library takes locks of its own, whose holders may wait for malloc: for
// the list of streams and that of the handlers. These come first. A third, for the files that name
// the sources of users and hosts while it reads them, cannot be had from outside.
//
// Thread caches have no locks. A push or a pop ends in one store, so the child finds each list with
// or without the object; changes of several stores keep an order in which a cache that was copied
// between two of them can be repaired (ThreadCache::repair_if_orphaned). What was between two lists
// is lost to the child.

#include "heap/fork.h"

#include <atomic>

#include "heap/heap.h"
#include "heap/thread_end.h"
#include "platform/signal_block.h"
#include "platform/stream_list.h"
#include "platform/system.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// Long enough for a critical section to end, short beside a fork.
constexpr uint64_t kRetryNanoseconds = 20'000;
// From this attempt on, a lock whose owner waits to fork as well is taken for one that the owner
// was interrupted with, not one of its own attempts.
constexpr size_t kAttemptsBeforeLoss = 200;
// From this one on, who registers a handler of forks is taken for one that waits for this fork:
// older releases of the C library (glibc before 2.36) hold their lock while handlers run.
constexpr size_t kAttemptsForHandlers = 2000;

// A bare fork goes on without the locks after this many rounds, a second or two: it is what
// handlers of crashes call, where the thread that holds a lock may have been stopped for good. The
// child then has the heap as it was.
constexpr size_t kBareForkRounds = 20'000;

constexpr size_t kOtherLocks = 4;
constexpr size_t kLockCount = kSizeClassCount - 1 + kOtherLocks;

constexpr size_t kRegistryLock = 0;
constexpr size_t kGuardedLock = kLockCount - 3;
constexpr size_t kPageMapLock = kLockCount - 2;
constexpr size_t kPageHeapLock = kLockCount - 1;

Mutex& lock_at(size_t index) {
  switch (index) {
    case kRegistryLock:
      return heap.registry().mutex();
    case kGuardedLock:
      return heap.guarded_blocks().mutex();
    case kPageMapLock:
      return heap.page_map().mutex();
    case kPageHeapLock:
      return heap.page_heap().mutex();
    default:
      return heap.central(static_cast<SizeClass>(index)).mutex();
  }
}

struct TakenLocks {
  bool stream_list = false;
  bool handlers = false;
  bool central_and_others[kLockCount] = {};
  bool metadata = false;
};

// Held while a handler of forks is registered.
constinit Mutex handlers_mutex(LockRank::kForkHandlers);

// Which locks the fork under way took. Owned by the forking thread between prepare and after,
// while it holds them all.
constinit TakenLocks taken{};

// A signal handler may fork while its own thread is between prepare and after: the inner fork then
// finds everything locked by itself and leaves it so.
constinit std::atomic<uint32_t> forking_thread{0};
constinit size_t nested_forks = 0;

// Threads that wait to fork: so that a wait for each other can be seen, and that they get their
// turn in the order in which they came.
struct Waiting {
  std::atomic<uint32_t> thread{0};
  std::atomic<uint64_t> ticket{0};
};
constexpr size_t kMaxWaiting = 16;
constinit Waiting waiting[kMaxWaiting]{};
constinit std::atomic<uint64_t> next_ticket{1};

class WaitingThread {
 public:
  WaitingThread() : ticket_(next_ticket.fetch_add(1)) {
    for (Waiting& slot : waiting) {
      uint32_t expected = 0;
      if (slot.thread.compare_exchange_strong(expected, platform::thread_number())) {
        slot.ticket.store(ticket_);
        slot_ = &slot;
        return;
      }
    }
  }
  ~WaitingThread() {
    if (slot_ == nullptr) return;
    slot_->ticket.store(0);
    slot_->thread.store(0);
  }
  WaitingThread(const WaitingThread&) = delete;
  WaitingThread& operator=(const WaitingThread&) = delete;

  bool has_turn() const {
    for (const Waiting& slot : waiting) {
      const uint64_t ticket = slot.ticket.load();
      // A fork of the same thread that was interrupted waits for this one.
      const bool is_own = slot.thread.load() == platform::thread_number();
      if (ticket != 0 && ticket < ticket_ && !is_own) return false;
    }
    return true;
  }

 private:
  const uint64_t ticket_;
  Waiting* slot_ = nullptr;
};

bool waits_to_fork(uint32_t thread) {
  if (thread == 0) return false;
  for (const Waiting& slot : waiting) {
    if (slot.thread.load() == thread) return true;
  }
  return false;
}

// Whether a signal handler forks that interrupted this thread inside a critical section: then the
// others wait for it, and it must not wait for its turn.
bool holds_any_lock() {
  for (size_t index = 0; index < kLockCount; ++index) {
    if (lock_at(index).held_by_this_thread()) return true;
  }
  return heap.arena().mutex().held_by_this_thread();
}

// Two threads that were both interrupted inside critical sections and fork in their handlers would
// wait for each other for ever. Such a lock is given up: the child gets it free, with a section
// that was not finished.
bool is_lost(const Mutex& mutex, size_t attempt) {
  return attempt >= kAttemptsBeforeLoss && !mutex.is_held_for_fork() &&
         waits_to_fork(mutex.owner());
}

bool try_take(Mutex& mutex, bool* was_taken, size_t attempt) {
  if (mutex.held_by_this_thread()) return true;
  *was_taken = mutex.try_hold_for_fork();
  return *was_taken || is_lost(mutex, attempt);
}

void let_heap_go(TakenLocks& locks) {
  if (locks.metadata) heap.arena().mutex().release_after_fork();
  locks.metadata = false;
  for (size_t index = kLockCount; index > 0; --index) {
    bool& was_taken = locks.central_and_others[index - 1];
    if (was_taken) lock_at(index - 1).release_after_fork();
    was_taken = false;
  }
}

void let_go(TakenLocks& locks) {
  let_heap_go(locks);
  if (locks.handlers) handlers_mutex.release_after_fork();
  if (locks.stream_list) platform::release_stream_list();
  locks = {};
}

bool try_take_heap(TakenLocks& locks, size_t attempt) {
  for (size_t index = 0; index < kLockCount; ++index) {
    if (!try_take(lock_at(index), &locks.central_and_others[index], attempt)) {
      let_heap_go(locks);
      return false;
    }
  }
  if (try_take(heap.arena().mutex(), &locks.metadata, attempt)) return true;
  let_heap_go(locks);
  return false;
}

}  // namespace

bool was_interrupted_by_caller() {
  const ThreadCache* cache = own_thread_cache();
  return holds_any_lock() || (cache != nullptr && cache->is_used());
}

namespace {

enum class ForkKind { kWithHandlers, kBare };

// One attempt; what it leaves held is kept for the next one.
bool try_take_all(ForkKind kind, TakenLocks& locks, size_t attempt) {
  // Held from here on, since the C library takes it as well before it copies the process. Its
  // holder waits for no turn: who has it may wait for the list.
  if (kind == ForkKind::kWithHandlers && !locks.stream_list) {
    locks.stream_list = platform::hold_stream_list();
  }
  if (!locks.handlers && !try_take(handlers_mutex, &locks.handlers, attempt) &&
      attempt < kAttemptsForHandlers) {
    return false;
  }
  return try_take_heap(locks, attempt);
}

// False after some rounds in vain, if it is a bare fork; nothing is held then.
bool prepare(ForkKind kind) {
  if (forking_thread.load(std::memory_order_relaxed) == platform::thread_number()) {
    ++nested_forks;
    return true;
  }
  TakenLocks locks;
  {
    const WaitingThread self;
    const bool is_waited_for = holds_any_lock();
    for (size_t attempt = 0, round = 0;; ++round) {
      if (kind == ForkKind::kBare && round == kBareForkRounds) {
        let_go(locks);
        return false;
      }
      // Of two that gave each other's locks up, one goes first.
      uint32_t nobody = 0;
      if ((is_waited_for || locks.stream_list || self.has_turn()) &&
          try_take_all(kind, locks, attempt++)) {
        if (forking_thread.compare_exchange_strong(nobody, platform::thread_number())) break;
        let_heap_go(locks);
      }
      platform::sleep_ns(kRetryNanoseconds);
    }
  }
  // A handler that forks before this line leaves it to the fork it interrupted.
  taken = locks;
  return true;
}

}  // namespace

void prepare_fork() {
  (void)prepare(ForkKind::kWithHandlers);
}

bool prepare_bare_fork() {
  return prepare(ForkKind::kBare);
}

void after_fork_in_parent() {
  if (nested_forks > 0) {
    --nested_forks;
    return;
  }
  TakenLocks locks = taken;
  taken = {};
  // A handler that forks from here on finds the locks its own and leaves them so.
  forking_thread.store(0, std::memory_order_relaxed);
  let_go(locks);
}

HandlerRegistration::HandlerRegistration() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS
    : is_outermost_(!handlers_mutex.held_by_this_thread()) {
  if (is_outermost_) handlers_mutex.lock();
}

HandlerRegistration::~HandlerRegistration() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS {
  if (is_outermost_) handlers_mutex.unlock();
}

namespace {

// In any child, also of a fork within a fork.
void forget_parent() {
  Heap::note_new_identity();
  platform::number_threads_anew();
  // A thread that has not got a cache yet is counted when it does; one that gave its cache back
  // gets no other, and nobody would count it out.
  heap.scavenger().forget_thread(thread_is_counted ? 1 : 0);
  heap.holes().forget_thread();
  for (Waiting& slot : waiting) {
    if (slot.thread.load() == platform::thread_number()) continue;
    slot.ticket.store(0);
    slot.thread.store(0);
  }
}

// In any child as well. The locks are still held by this fork or by one of this thread that its
// handler interrupted, and may be locked again; but for those of sections that this thread was
// interrupted in, and of those that were given up as lost.
void repair_what_others_left() {
  using WaitingLists = ThreadCacheRegistry::WaitingLists;
  // A handler that allocates would enter the sections below a second time.
  const platform::SignalBlock no_handlers;
  ThreadCacheRegistry& registry = heap.registry();
  const bool is_lost = !registry.mutex().held_by_this_thread();
  if (is_lost) registry.mutex().reset_in_child();
  if (is_lost || registry.mutex().may_be_locked_again()) {
    registry.orphan_all_but(heap.keep_cache_in_child(),
                            is_lost ? WaitingLists::kTorn : WaitingLists::kWhole);
  } else {
    registry.orphan_later();
  }
  PageHeap& pages = heap.page_heap();
  if (pages.mutex().may_be_locked_again()) {
    pages.recover_in_child();
  } else if (pages.mutex().held_by_this_thread()) {
    pages.recover_later();
  }
}

}  // namespace

void after_fork_in_child() {
  platform::note_new_process();
  platform::reset_stream_list_in_child();
  after_bare_fork_in_child();
}

void after_bare_fork_in_child() {
  forget_parent();
  repair_what_others_left();
  if (nested_forks > 0) {
    --nested_forks;
    return;
  }
  // Nobody sleeps on a lock in the child: they are made free without a wake.
  if (!handlers_mutex.held_by_this_thread() || taken.handlers) handlers_mutex.reset_in_child();
  Mutex& metadata = heap.arena().mutex();
  if (!metadata.held_by_this_thread() || taken.metadata) metadata.reset_in_child();
  for (size_t index = 0; index < kLockCount; ++index) {
    if (!lock_at(index).held_by_this_thread() || taken.central_and_others[index]) {
      lock_at(index).reset_in_child();
    }
  }
  taken = {};
  forking_thread.store(0, std::memory_order_relaxed);
}

}  // namespace spanmalloc
