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

// A thread may only take a lock of a lower rank than all that it holds. A thread that holds all for
// a fork takes none that it would wait for.
void check_rank_before_lock(LockRank rank) {
  if constexpr (kDebugChecks) {
    if ((held_ranks & rank_bit(LockRank::kFork)) != 0) return;
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

}  // namespace

void Mutex::lock() {
  check_rank_before_lock(rank_);
  const uint32_t mine = platform::thread_number() << 1;
  uint32_t expected = 0;
  // Acquire: the section sees what the last holder wrote before its releasing unlock.
  if (!word_.compare_exchange_strong(expected, mine, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
    lock_slow(mine);
  }
  note_locked(rank_);
  count_lock(rank_, LockEvent::kTaken);
}

void Mutex::lock_slow(uint32_t mine) {
  if ((word_.load(std::memory_order_relaxed) & ~kContended) == mine) {
    if (!held_for_fork_) fatal("malloc or free called by a signal handler that interrupted it");
    ++locked_again_;
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
  uint32_t expected = 0;
  if (!word_.compare_exchange_strong(expected, platform::thread_number() << 1,
                                     std::memory_order_acquire, std::memory_order_relaxed)) {
    return false;
  }
  note_locked(rank_);
  count_lock(rank_, LockEvent::kTaken);
  return true;
}

void Mutex::unlock() {
  if (SPANMALLOC_UNLIKELY(locked_again_ > 0)) {
    --locked_again_;
    return;
  }
  note_unlocked(rank_);
  if ((word_.exchange(0, std::memory_order_release) & kContended) != 0) {
    platform::futex_wake_one(word_);
  }
}

bool Mutex::held_by_this_thread() const {
  return owner() == platform::thread_number();
}

bool Mutex::try_hold_for_fork() {
  if (!try_lock()) return false;
  held_for_fork_ = true;
  note_locked(LockRank::kFork);
  return true;
}

void Mutex::release_after_fork() {
  held_for_fork_ = false;
  note_unlocked(LockRank::kFork);
  unlock();
}

void Mutex::reset_in_child() {
  held_for_fork_ = false;
  locked_again_ = 0;
  note_unlocked(LockRank::kFork);
  note_unlocked(rank_);
  word_.store(0, std::memory_order_relaxed);
}

}  // namespace spanmalloc
