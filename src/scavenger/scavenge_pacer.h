#ifndef SPANMALLOC_SCAVENGER_SCAVENGE_PACER_H_
#define SPANMALLOC_SCAVENGER_SCAVENGE_PACER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// The highest use of memory in each of the last epochs.
class PeakWindow {
 public:
  // Epochs over which a peak is remembered.
  static constexpr size_t kEpochs = 5;

  constexpr PeakWindow() = default;

  // Ends an epoch in which at most `peak_in_use` bytes were in use.
  void end_epoch(size_t peak_in_use) {
    peaks_[next_] = std::max(peak_in_use, unfinished_);
    next_ = (next_ + 1) % kEpochs;
    unfinished_ = 0;
  }

  // Notes a peak within an epoch that goes on.
  void note(size_t peak_in_use) { unfinished_ = std::max(peak_in_use, unfinished_); }

  size_t highest() const;

  // `quiet_epochs`: how many of the last epochs passed without an allocation, so that none of them
  // has a higher peak than the one before it.
  void check_invariants(size_t quiet_epochs) const;

 private:
  std::array<size_t, kEpochs> peaks_{};
  size_t unfinished_ = 0;
  size_t next_ = 0;
};

// How much memory the scavenger gives back and how fast: arithmetic alone, it knows neither pages
// nor clocks nor threads.
//
// The goal is the recent peak in use and some percent of it: what a program needed a moment ago it
// may need again, and giving it back in between would only cost page faults. Go's scavenger takes
// the heap goal of the last collection for the peak; without a collector the peak is measured.
//
// The pace keeps the work at a share of the processor time that the process may use: after work
// that took t of processor time the scavenger sleeps t * (1 / share - 1). The cost is measured, not
// assumed, for a page given back alone costs fifteen times what it costs in a run of 2 MiB.
class ScavengePacer {
 public:
  // One sleep is at most this long, so that one slow call does not stop the work.
  static constexpr uint64_t kLongestSleepNs = 1'000'000'000;

  // The scavenger works `cpu_percent` of the time of `processor_percent` percent of a processor.
  // REQUIRES: both are greater than 0.
  constexpr ScavengePacer(uint64_t retain_percent, uint64_t cpu_percent,
                          uint64_t processor_percent = 100)
      : retain_percent_(retain_percent),
        cpu_percent_(cpu_percent),
        processor_percent_(processor_percent) {}

  // Bytes in use or free that are kept for a recent peak of `peak` bytes in use.
  size_t goal(size_t peak) const {
    size_t kept;
    size_t goal;
    if (__builtin_mul_overflow(peak / 100, retain_percent_, &kept) ||
        __builtin_add_overflow(peak, kept, &goal)) {
      return SIZE_MAX;
    }
    return goal;
  }

  // Bytes to give back now, of `backed` bytes in use or free: what is beyond the goal.
  size_t surplus(size_t peak, size_t backed) const {
    const size_t kept = goal(peak);
    return backed > kept ? backed - kept : 0;
  }

  // How long to sleep after work that took `worked_ns` of processor time.
  uint64_t sleep_after(uint64_t worked_ns) const;

 private:
  const uint64_t retain_percent_;
  const uint64_t cpu_percent_;
  const uint64_t processor_percent_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_SCAVENGE_PACER_H_
