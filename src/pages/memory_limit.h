// How much memory the heap may hold: a figure that anyone may set and everybody reads.
#ifndef SPANMALLOC_PAGES_MEMORY_LIMIT_H_
#define SPANMALLOC_PAGES_MEMORY_LIMIT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace spanmalloc {

// A soft limit makes the heap give back more and sooner, and never refuses a request. A hard limit
// in addition refuses what cannot be had within it.
enum class LimitKind : uint8_t { kSoft, kHard };

// The limit that the program set counts; without one, the soft limit that its container implies.
class MemoryLimit {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  constexpr MemoryLimit() = default;

  // 0 bytes: the program sets no limit.
  void set_wanted(Bytes limit, LimitKind kind) {
    kind_.store(kind, std::memory_order_relaxed);
    wanted_.store(limit.value, std::memory_order_relaxed);
  }
  // kNone bytes: the container has no limit.
  void set_container(Bytes limit) { container_.store(limit.value, std::memory_order_relaxed); }

  // kNone when there is no limit.
  size_t bytes() const {
    const size_t wanted = wanted_.load(std::memory_order_relaxed);
    return wanted != 0 ? wanted : container_.load(std::memory_order_relaxed);
  }
  bool is_set() const { return bytes() != kNone; }
  bool is_hard() const {
    return kind_.load(std::memory_order_relaxed) == LimitKind::kHard &&
           wanted_.load(std::memory_order_relaxed) != 0;
  }

 private:
  std::atomic<size_t> container_{kNone};
  std::atomic<size_t> wanted_{0};
  std::atomic<LimitKind> kind_{LimitKind::kSoft};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_MEMORY_LIMIT_H_
