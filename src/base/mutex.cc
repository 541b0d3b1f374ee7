#include "base/mutex.h"

#include "base/check.h"
#include "platform/futex.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

// Sections under these locks take well under a microsecond; a sleep and a wake take several.
constexpr int kSpinRounds = 100;

// Ranks that the calling thread holds, as bits; kept in debug builds only.
[[maybe_unused]] thread_local uint32_t held_ranks SPANMALLOC_INITIAL_EXEC_TLS = 0;

[[maybe_unused]] constexpr uint32_t rank_bit(LockRank rank) {
  return uint32_t{1} << static_cast<unsigned>(rank); }

// A thread may only take a lock of a lower rank than all that it holds. Several central locks
// together are taken by try_lock alone.
void check_rank_before_lock(LockRank rank) {
  if constexpr (kDebugChecks) {
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
  uint32_t expected = kFree;
  // Acquire: the section sees what the last holder wrote before its releasing unlock.
  if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
    lock_slow();
  }
  owner_.store(platform::thread_identity(), std::memory_order_relaxed);
  note_locked(rank_);
}

void Mutex::lock_slow() {
  for (int round = 0; round < kSpinRounds; ++round) {
    platform::spin_pause();
    uint32_t expected = kFree;
    if (state_.load(std::memory_order_relaxed) == kFree &&
        state_.compare_exchange_weak(expected, kHeld, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return;
    }
  }
  // Once slept, the lock is taken as contended: others may sleep too, and the unlock must wake one.
  while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
    platform::futex_wait(state_, kContended, platform::kWaitForever);
  }
}

bool Mutex::try_lock() {
  uint32_t expected = kFree;
  if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
    return false;
  }
  owner_.store(platform::thread_identity(), std::memory_order_relaxed);
  note_locked(rank_);
  return true;
}

void Mutex::unlock() {
  owner_.store(nullptr, std::memory_order_relaxed);
  note_unlocked(rank_);
  if (state_.exchange(kFree, std::memory_order_release) == kContended) {
    platform::futex_wake_one(state_);
  }
}

bool Mutex::held_by_this_thread() const {
  return owner_.load(std::memory_order_relaxed) == platform::thread_identity();
}

void Mutex::reset_in_child() {
  owner_.store(nullptr, std::memory_order_relaxed);
  note_unlocked(rank_);
  state_.store(kFree, std::memory_order_relaxed);
}

}  // namespace spanmalloc
