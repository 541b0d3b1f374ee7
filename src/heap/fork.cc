// Fork with other threads at work, also from a signal handler that interrupted malloc.
//
// The child gets a copy of memory with one thread. It is usable if no other thread was inside a
// critical section, so prepare takes every lock. A lock that the forking thread holds itself (the
// handler interrupted it there) is left alone: when the handler returns, the section ends in parent
// and child alike. Since such a thread holds a lock while it waits for others, prepare only tries:
// if one lock cannot be had, it lets all go and begins again.
//
// The locks of all thread caches need none of this, for there are none: every change to a list
// ends in one store, so the child finds each list with or without the object, never torn. An object
// between two lists is lost to the child.

#include <atomic>

#include "heap/heap.h"
#include "platform/system.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// Long enough for a critical section to end, short beside a fork.
constexpr uint64_t kRetryNanoseconds = 20'000;
constexpr size_t kMaxAttempts = 50'000;

constexpr size_t kOtherLocks = 4;
constexpr size_t kLockCount = kSizeClassCount - 1 + kOtherLocks;

constexpr size_t kRegistryLock = 0;
constexpr size_t kSpansLock = kLockCount - 3;
constexpr size_t kPageMapLock = kLockCount - 2;
constexpr size_t kPageHeapLock = kLockCount - 1;

Mutex& lock_at(size_t index) {
  switch (index) {
    case kRegistryLock: return heap.registry().mutex();
    case kSpansLock: return heap.spans().mutex();
    case kPageMapLock: return heap.page_map().mutex();
    case kPageHeapLock: return heap.page_heap().mutex();
    default: return heap.central(static_cast<SizeClass>(index)).mutex();
  }
}

struct TakenLocks {
  bool central_and_others[kLockCount] = {};
  bool metadata = false;
};

// Which locks the fork under way took. Owned by the forking thread between prepare and after,
// while it holds them all.
constinit TakenLocks taken{};

// A signal handler may fork while its own thread is between prepare and after: the inner fork then
// finds everything locked by itself and leaves it so.
constinit std::atomic<const void*> forking_thread{nullptr};
constinit size_t nested_forks = 0;

bool try_take(Mutex& mutex, bool* was_taken) SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS {
  if (mutex.held_by_this_thread()) return true;
  *was_taken = mutex.try_lock();
  return *was_taken;
}

void let_go(TakenLocks& locks) SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS {
  if (locks.metadata) heap.arena().mutex().unlock();
  for (size_t index = kLockCount; index > 0; --index) {
    if (locks.central_and_others[index - 1]) lock_at(index - 1).unlock();
  }
  locks = {};
}

enum class Demand { kAllLocks, kWhatCanBeHad };

bool try_take_all(TakenLocks& locks, Demand demand) {
  bool complete = true;
  for (size_t index = 0; index < kLockCount && (complete || demand == Demand::kWhatCanBeHad);
       ++index) {
    complete &= try_take(lock_at(index), &locks.central_and_others[index]);
  }
  complete &= try_take(heap.arena().mutex(), &locks.metadata);
  if (complete || demand == Demand::kWhatCanBeHad) return true;
  let_go(locks);
  return false;
}

}  // namespace

void prepare_fork() {
  if (forking_thread.load(std::memory_order_relaxed) == platform::thread_identity()) {
    ++nested_forks;
    return;
  }
  TakenLocks locks;
  for (size_t attempt = 0;; ++attempt) {
    // Two threads that were both interrupted inside critical sections and fork wait for each other
    // for ever. Then the child takes its chance with a section that was not finished.
    const Demand demand = attempt < kMaxAttempts ? Demand::kAllLocks : Demand::kWhatCanBeHad;
    if (try_take_all(locks, demand)) break;
    platform::sleep_ns(kRetryNanoseconds);
  }
  taken = locks;
  forking_thread.store(platform::thread_identity(), std::memory_order_relaxed);
}

void after_fork_in_parent() {
  if (nested_forks > 0) {
    --nested_forks;
    return;
  }
  forking_thread.store(nullptr, std::memory_order_relaxed);
  TakenLocks locks = taken;
  taken = {};
  let_go(locks);
}

void after_fork_in_child() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS {
  if (nested_forks > 0) {
    --nested_forks;
    return;
  }
  forking_thread.store(nullptr, std::memory_order_relaxed);
  const bool registry_is_whole = taken.central_and_others[kRegistryLock];
  const bool page_heap_is_whole = taken.central_and_others[kPageHeapLock];
  // Nobody sleeps on a lock in the child: they are made free without a wake.
  if (taken.metadata) heap.arena().mutex().reset_in_child();
  for (size_t index = 0; index < kLockCount; ++index) {
    if (!lock_at(index).held_by_this_thread() || taken.central_and_others[index]) {
      lock_at(index).reset_in_child();
    }
  }
  taken = {};
  platform::note_new_process();
  heap.scavenger().forget_thread();
  if (registry_is_whole) heap.registry().orphan_all_but(current_thread_cache);
  if (page_heap_is_whole) heap.page_heap().recover_in_child();
}

}  // namespace spanmalloc
