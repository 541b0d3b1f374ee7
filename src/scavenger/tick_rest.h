#ifndef SPANMALLOC_SCAVENGER_TICK_REST_H_
#define SPANMALLOC_SCAVENGER_TICK_REST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "scavenger/scavenger_clock.h"

namespace spanmalloc {

// How the parts of a tick rest in between, and what ends it before its time: that the thread was
// sent away, or that no thread of the program is left that could want memory.
class TickRest {
 public:
  constexpr TickRest(ScavengerClock& clock, std::atomic<uint32_t>& sent_away,
                     const std::atomic<size_t>& live_threads)
      : clock_(clock), sent_away_(sent_away), live_threads_(live_threads) {}

  ScavengerClock& clock() const { return clock_; }

  bool is_over() const {
    return sent_away_.load(std::memory_order_relaxed) != 0 ||
           live_threads_.load(std::memory_order_relaxed) == 0;
  }

  // Sleeps; who sends the thread away wakes it. False when the tick is to end instead.
  [[nodiscard]] bool sleep(uint64_t nanoseconds) const {
    if (nanoseconds > 0 && !is_over()) clock_.sleep_ns(nanoseconds, sent_away_);
    return !is_over();
  }

 private:
  ScavengerClock& clock_;
  std::atomic<uint32_t>& sent_away_;
  const std::atomic<size_t>& live_threads_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_TICK_REST_H_
