#include "base/mutex.h"

#include "base/check.h"
#include "base/event_counts.h"
#include "platform/futex.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// Sections under these locks take well under a microsecond; a sleep and a wake take several.
constexpr int kSpinRounds = 100;

// A sleeper looks again after this time by itself, so that a wake that never comes (a system call
// filter may refuse it) delays it and does not stop it.
constexpr uint64_t kSleepNanoseconds = 100'000'000;

// Ranks that the calling thread holds, as bits; kept in debug builds only.
[[maybe_unused]] thread_local uint32_t held_ranks SPANMALLOC_INITIAL_EXEC_TLS = 0;

[[maybe_unused]] constexpr uint32_t rank_bit(LockRank rank) {
  return uint32_t{1} << static_cast<unsigned>(rank);
}

// Locks that the calling thread holds for a fork, or is about to; kept in debug builds only.
[[maybe_unused]] thread_local uint32_t held_for_fork SPANMALLOC_INITIAL_EXEC_TLS = 0;

// A thread may only take a lock of a lower rank than all that it holds. Those that it holds for a
// fork do not count, nor does then what it was interrupted in: nobody waits for a lock in there.
void check_rank_before_lock(LockRank rank) {
  if constexpr (kDebugChecks) {
    if (held_for_fork != 0) return;
    const uint32_t lower_or_same = (rank_bit(rank) << 1) - 1;
    SPANMALLOC_CHECK((held_ranks & lower_or_same) == 0, "lock taken out of order");
  }
}

void note_locked(LockRank rank) {
  if constexpr (kDebugChecks) held_ranks |= rank_bit(rank);
}

void note_unlocked(LockRank rank) {
  if constexpr (kDebugChecks) held_ranks &= ~rank_bit(rank);
}

// Noted before a lock is held for a fork and until after it was: handlers come in between.
void note_held_for_fork() {
  if constexpr (kDebugChecks) ++held_for_fork;
}

void note_released_after_fork() {
  if constexpr (kDebugChecks) --held_for_fork;
}

}  // namespace

bool Mutex::try_take(uint32_t word) {
  uint32_t expected = 0;
  // Acquire: the section sees what the last holder wrote before its releasing unlock.
  return word_.compare_exchange_strong(expected, word, std::memory_order_acquire,
                                       std::memory_order_relaxed);
}

void Mutex::lock() {
  check_rank_before_lock(rank_);
  const uint32_t mine = platform::thread_number() << kOwnerShift;
  if (!try_take(mine)) lock_slow(mine);
  note_locked(rank_);
  count_lock(rank_, LockEvent::kTaken);
}

void Mutex::lock_slow(uint32_t mine) {
  if (held_by_this_thread()) {
    if (!may_be_locked_again()) {
      fatal("malloc or free called by a signal handler that interrupted it");
    }
    locked_again_ = true;
    return;
  }
  count_lock(rank_, LockEvent::kFoundTaken);
  for (int round = 0; round < kSpinRounds; ++round) {
    platform::spin_pause();
    uint32_t expected = 0;
    if (word_.load(std::memory_order_relaxed) == 0 &&
        word_.compare_exchange_weak(expected, mine, std::memory_order_acquire,
                                    std::memory_order_relaxed)) {
      return;
    }
  }
  uint32_t seen = word_.load(std::memory_order_relaxed);
  while (true) {
    if (seen == 0) {
      // Whoever slept takes the lock as contended: others may sleep too, and must be woken.
      if (word_.compare_exchange_weak(seen, mine | kContended, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return;
      }
      continue;
    }
    if ((seen & kContended) == 0 &&
        !word_.compare_exchange_weak(seen, seen | kContended, std::memory_order_relaxed,
                                     std::memory_order_relaxed)) {
      continue;
    }
    count_lock(rank_, LockEvent::kSlept);
    platform::futex_wait(word_, seen | kContended, kSleepNanoseconds);
    seen = word_.load(std::memory_order_relaxed);
  }
}

bool Mutex::try_lock() {
  if (!try_take(platform::thread_number() << kOwnerShift)) return false;
  note_locked(rank_);
  count_lock(rank_, LockEvent::kTaken);
  return true;
}

void Mutex::unlock() {
  note_unlocked(rank_);
  if (SPANMALLOC_UNLIKELY(locked_again_)) {
    locked_again_ = false;
    return;
  }
  give_up();
}

void Mutex::give_up() {
  if ((word_.exchange(0, std::memory_order_release) & kContended) != 0) {
    platform::futex_wake_one(word_);
  }
}

bool Mutex::held_by_this_thread() const {
  return owner() == platform::thread_number();
}

bool Mutex::may_be_locked_again() const {
  return held_by_this_thread() && (word_.load(std::memory_order_relaxed) & kForFork) != 0 &&
         !locked_again_;
}

bool Mutex::try_hold_for_fork() {
  note_held_for_fork();
  if (try_take(platform::thread_number() << kOwnerShift | kForFork)) {
    count_lock(rank_, LockEvent::kTaken);
    return true;
  }
  note_released_after_fork();
  return false;
}

void Mutex::release_after_fork() {
  give_up();
  note_released_after_fork();
}

void Mutex::reset_in_child() {
  const bool was_mine = held_by_this_thread();
  const bool was_for_fork = (word_.load(std::memory_order_relaxed) & kForFork) != 0;
  locked_again_ = false;
  word_.store(0, std::memory_order_relaxed);
  if (was_mine && was_for_fork) note_released_after_fork();
  if (was_mine && !was_for_fork) note_unlocked(rank_);
}

}  // namespace spanmalloc
