// Counts of what threads cost one another: locks taken, and writes to cache lines that other
// threads write too. Kept in a build that is made for bench/micro/contention.cc; in all others the
// functions at the end are empty and there is no table. All is inline, so that nothing of it is in
// the library.
#ifndef SPANMALLOC_BASE_EVENT_COUNTS_H_
#define SPANMALLOC_BASE_EVENT_COUNTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "base/mutex.h"
#include "platform/compiler.h"
#include "platform/thread.h"

namespace spanmalloc {

enum class LockEvent : uint8_t {
  kTaken,
  kFoundTaken,  // of these, locks that another thread held at first
  kSlept,       // sleeps of threads that waited for a lock
};

struct EventTotals {
  static constexpr size_t kLockEvents = 3;
  static constexpr size_t kLockRanks = static_cast<size_t>(LockRank::kForkHandlers) + 1;

  uint64_t locks[kLockRanks][kLockEvents] = {};
  // Outside of locks: what is written under one moves between processors with the lock.
  uint64_t shared_writes = 0;

  uint64_t of(LockRank rank, LockEvent event) const {
    return locks[static_cast<size_t>(rank)][static_cast<size_t>(event)];
  }
  // Locks of all ranks.
  uint64_t of(LockEvent event) const {
    uint64_t sum = 0;
    for (const auto& of_rank : locks) sum += of_rank[static_cast<size_t>(event)];
    return sum;
  }

  EventTotals since(const EventTotals& earlier) const {
    EventTotals difference = *this;
    for (size_t rank = 0; rank < kLockRanks; ++rank) {
      for (size_t event = 0; event < kLockEvents; ++event) {
        difference.locks[rank][event] -= earlier.locks[rank][event];
      }
    }
    difference.shared_writes -= earlier.shared_writes;
    return difference;
  }
};

// Threads count in lines of their own, so that the counts add no traffic to what they count. Every
// count survives its thread, and one that a thread makes while it ends is not lost. The slot of a
// thread follows from its number; threads that share one are counted right all the same.
class EventCounts {
 public:
  constexpr EventCounts() = default;

  void add(LockRank rank, LockEvent event) {
    own_slot().locks[static_cast<size_t>(rank)][static_cast<size_t>(event)].fetch_add(
        1, std::memory_order_relaxed);
  }
  void add_shared_writes(size_t lines) {
    own_slot().shared_writes.fetch_add(lines, std::memory_order_relaxed);
  }

  // About right while other threads are at work.
  EventTotals totals() const {
    EventTotals totals;
    for (const Slot& slot : slots_) {
      for (size_t rank = 0; rank < EventTotals::kLockRanks; ++rank) {
        for (size_t event = 0; event < EventTotals::kLockEvents; ++event) {
          totals.locks[rank][event] += slot.locks[rank][event].load(std::memory_order_relaxed);
        }
      }
      totals.shared_writes += slot.shared_writes.load(std::memory_order_relaxed);
    }
    return totals;
  }

 private:
  static constexpr size_t kSlots = 128;

  struct alignas(platform::kCacheLineBytes) Slot {
    std::atomic<uint64_t> locks[EventTotals::kLockRanks][EventTotals::kLockEvents] = {};
    std::atomic<uint64_t> shared_writes{0};
  };
  Slot& own_slot() { return slots_[platform::thread_number() % kSlots]; }

  std::array<Slot, kSlots> slots_{};
};

inline constinit EventCounts event_counts;

inline void count_lock(LockRank rank, LockEvent event) {
  if constexpr (kCountEvents) event_counts.add(rank, event);
}

// A write, outside of locks, to `lines` cache lines that other threads write too.
inline void count_shared_write(size_t lines = 1) {
  if constexpr (kCountEvents) event_counts.add_shared_writes(lines);
}

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_EVENT_COUNTS_H_
