#ifndef SPANMALLOC_SCAVENGER_DRAIN_PACER_H_
#define SPANMALLOC_SCAVENGER_DRAIN_PACER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace spanmalloc {

// Keeps drains that a program could do without at a share of the time that passes, by the number of
// their objects: arithmetic alone, as ScavengePacer. Drains come in portions that take less time
// than the clock can tell, so their cost is assumed.
//
// What a program may spend collects while it drains nothing, up to a limit, so that one whose sizes
// change once in a while drains all at once, and one that changes them every millisecond soon keeps
// what it holds.
class DrainPacer {
 public:
  // Some 10 ns, or 70 where all objects are cold, and half as much again when the object is next
  // taken out of its span.
  static constexpr uint64_t kNsPerObject = 50;
  // One part in so many of the time.
  static constexpr uint64_t kShareOfTime = 16;
  static constexpr uint64_t kNsUntilNext = kNsPerObject * kShareOfTime;
  // Objects that may collect: 3 ms of drains. As many may be owed.
  static constexpr int64_t kMostObjects = int64_t{64} << 10;

  constexpr DrainPacer() = default;

  // Whether a drain may begin at `now_ns` of a clock that never goes back.
  bool may_begin(uint64_t now_ns) {
    const uint64_t more = (now_ns - seen_ns_) / kNsUntilNext;
    // What is left of the time counts at the next call.
    seen_ns_ += more * kNsUntilNext;
    constexpr uint64_t kEnough = uint64_t{kMostObjects} * 2;
    objects_ = std::min(objects_ + static_cast<int64_t>(std::min(more, kEnough)), kMostObjects);
    return objects_ > 0;
  }

  // So many were drained, in a drain that began as may_begin() said or had to be.
  void spend(size_t objects) {
    constexpr size_t kEnough = size_t{kMostObjects} * 2;
    objects_ -= static_cast<int64_t>(std::min(objects, kEnough));
    objects_ = std::max(objects_, -kMostObjects);
  }

  void check_invariants() const {
    SPANMALLOC_CHECK(objects_ <= kMostObjects && objects_ >= -kMostObjects,
                     "drains have collected or owe too much");
  }

 private:
  // Objects that may be drained; negative: drained ahead.
  int64_t objects_ = kMostObjects;
  // Up to when time was counted.
  uint64_t seen_ns_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_DRAIN_PACER_H_
