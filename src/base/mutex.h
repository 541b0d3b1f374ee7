#ifndef SPANMALLOC_BASE_MUTEX_H_
#define SPANMALLOC_BASE_MUTEX_H_

#include <atomic>
#include <cstdint>

#include "platform/compiler.h"

namespace spanmalloc {

// The order in which one thread may hold several locks, from high to low. Only opening the heap,
// preparing a fork and registering a handler of forks hold more than one above kMetadata;
// everything else one and the metadata's.
enum class LockRank : uint8_t {
  kMetadata,
  kGuarded,
  kPageHeap,
  kPageMap,
  kCentral,
  kRegistry,
  kOpen,
  kForkHandlers,
};

// A lock that spins for a short while, then sleeps. It needs no construction at run time and knows
// its owner, so that a fork from a signal handler can see which locks the interrupted thread holds.
class SPANMALLOC_CAPABILITY("mutex") Mutex {
 public:
  // Where nothing looks at the rank it is not kept, so that a free lock is all zero.
  constexpr explicit Mutex(LockRank rank) : rank_(kKeepsRank ? rank : LockRank{}) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() SPANMALLOC_ACQUIRE();
  bool try_lock() SPANMALLOC_TRY_ACQUIRE(true);
  void unlock() SPANMALLOC_RELEASE();

  bool held_by_this_thread() const;
  // The number of the thread that holds the lock; 0 for none. May be stale.
  uint32_t owner() const { return word_.load(std::memory_order_relaxed) >> kOwnerShift; }

  // For the preparation of a fork. The thread that holds a lock so may lock it again, once: the
  // section is not entered yet, and fork handlers of the program and signal handlers run meanwhile
  // that may allocate.
  [[nodiscard]] bool try_hold_for_fork() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS;
  void release_after_fork() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS;
  // Whether some thread holds the lock for a fork. May be stale.
  bool is_held_for_fork() const { return (word_.load(std::memory_order_relaxed) & kForFork) != 0; }
  // Whether this thread holds the lock for a fork and is not inside the section.
  bool may_be_locked_again() const;

  // Makes the lock free in the child of a fork, where nobody else can hold or await it.
  void reset_in_child() SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS;

 private:
  static constexpr bool kKeepsRank = platform::kDebugChecks || platform::kCountEvents;

  // Set when somebody may sleep on the word.
  static constexpr uint32_t kContended = 1;
  // Set when the owner holds the lock for a fork.
  static constexpr uint32_t kForFork = 2;
  static constexpr unsigned kOwnerShift = 2;

  bool try_take(uint32_t word);
  SPANMALLOC_COLD void lock_slow(uint32_t mine);
  void give_up();

  // 0 when free; otherwise the owner's number and the two bits. Owner and state are one word, so
  // that a signal handler always finds out whether it interrupted the holder, and in what.
  std::atomic<uint32_t> word_{0};
  const LockRank rank_;
  // Whether the holder, who holds it for a fork, is inside the section all the same. The holder's.
  bool locked_again_ = false;
};

class SPANMALLOC_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SPANMALLOC_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() SPANMALLOC_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_MUTEX_H_
