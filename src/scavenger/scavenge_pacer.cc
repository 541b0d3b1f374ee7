#include "scavenger/scavenge_pacer.h"

#include <algorithm>

#include "base/check.h"

namespace spanmalloc {

size_t PeakWindow::highest() const {
  return std::max(unfinished_, *std::max_element(peaks_.begin(), peaks_.end()));
}

void PeakWindow::check_invariants(size_t quiet_epochs) const {
  SPANMALLOC_CHECK(next_ < kEpochs, "the next peak lies outside the window");
  const size_t last = (next_ + kEpochs - 1) % kEpochs;
  for (size_t back = 0; back < std::min(quiet_epochs, kEpochs - 1); ++back) {
    const size_t later = peaks_[(last + kEpochs - back) % kEpochs];
    const size_t earlier = peaks_[(last + kEpochs - back - 1) % kEpochs];
    SPANMALLOC_CHECK(later <= earlier, "memory in use grew without an allocation");
  }
}

uint64_t ScavengePacer::sleep_after(uint64_t worked_ns) const {
  if (worked_ns > kLongestSleepNs) return kLongestSleepNs;
  // In ten-thousandths of one processor.
  constexpr uint64_t kWhole = uint64_t{100} * 100;
  uint64_t share;
  if (__builtin_mul_overflow(cpu_percent_, processor_percent_, &share) || share >= kWhole) return 0;
  return std::min(worked_ns * (kWhole - share) / share, kLongestSleepNs);
}

}  // namespace spanmalloc
