#ifndef SPANMALLOC_SCAVENGER_TICK_REST_H_
#define SPANMALLOC_SCAVENGER_TICK_REST_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "scavenger/scavenger_clock.h"

namespace spanmalloc {

// How the parts of a tick rest in between, and what ends it before its time: that the thread was
// sent away.
class TickRest {
 public:
  constexpr TickRest(ScavengerClock& clock, const std::atomic<uint32_t>& sent_away)
      : clock_(clock), sent_away_(sent_away) {}

  ScavengerClock& clock() const { return clock_; }

  bool is_over() const { return sent_away_.load(std::memory_order_relaxed) != 0; }

  // Sleeps. False when the tick is to end instead.
  [[nodiscard]] bool sleep(uint64_t nanoseconds) const {
    while (nanoseconds > 0 && !is_over()) {
      const uint64_t slice = std::min(nanoseconds, kLookNs);
      clock_.sleep_ns(slice);
      nanoseconds -= slice;
    }
    return !is_over();
  }

 private:
  // How often a sleeping thread looks whether it is to end.
  static constexpr uint64_t kLookNs = 250'000'000;

  ScavengerClock& clock_;
  const std::atomic<uint32_t>& sent_away_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_TICK_REST_H_
