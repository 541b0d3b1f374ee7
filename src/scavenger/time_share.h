#ifndef SPANMALLOC_SCAVENGER_TIME_SHARE_H_
#define SPANMALLOC_SCAVENGER_TIME_SHARE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"

namespace spanmalloc {

// Keeps work that a program could do without at a share of the time that passes: arithmetic alone,
// as ScavengePacer, for work that comes in portions within calls of the program.
//
// What may be spent collects while nothing is done, up to a limit, so that a program whose sizes
// change once in a while has all the work done at once, and one that changes them every millisecond
// soon does without. The cost of a portion may be measured with a clock that is coarser than it:
// one of a tenth of the clock's step is charged the whole step once in ten times.
class TimeShare {
 public:
  // One part in `divisor` of the time, of which `most_ns` may collect. As much may be owed.
  constexpr TimeShare(uint64_t divisor, int64_t most_ns)
      : divisor_(divisor), most_ns_(most_ns), left_ns_(most_ns) {}

  // Whether work may begin at `now_ns` of a clock that never goes back.
  bool may_begin(uint64_t now_ns) {
    const uint64_t more = (now_ns - seen_ns_) / divisor_;
    // What is left of the time counts at the next call.
    seen_ns_ += more * divisor_;
    left_ns_ = std::min(left_ns_ + at_most_twice(more), most_ns_);
    return left_ns_ > 0;
  }

  // Work that began as may_begin() said, or had to be, has taken so long.
  void spend(uint64_t ns) { left_ns_ = std::max(left_ns_ - at_most_twice(ns), -most_ns_); }

  void check_invariants() const {
    SPANMALLOC_CHECK(left_ns_ <= most_ns_ && left_ns_ >= -most_ns_,
                     "more time has collected or is owed than may be");
  }

 private:
  // From one end of what left_ns_ may be to the other.
  int64_t at_most_twice(uint64_t ns) const {
    return static_cast<int64_t>(std::min(ns, static_cast<uint64_t>(most_ns_) * 2));
  }

  const uint64_t divisor_;
  const int64_t most_ns_;
  // What may be spent; negative: spent ahead.
  int64_t left_ns_;
  // Up to when time was counted.
  uint64_t seen_ns_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_TIME_SHARE_H_
