#include "scavenger/scavenge_pacer.h"

#include <algorithm>

namespace spanmalloc {

size_t PeakWindow::highest() const {
  return std::max(unfinished_, *std::max_element(peaks_.begin(), peaks_.end()));
}

uint64_t ScavengePacer::sleep_after(uint64_t worked_ns) const {
  if (worked_ns > kLongestSleepNs) return kLongestSleepNs;
  // In ten-thousandths of one processor.
  constexpr uint64_t kWhole = 100 * 100;
  uint64_t share;
  if (__builtin_mul_overflow(cpu_percent_, processor_percent_, &share) || share >= kWhole) return 0;
  return std::min(worked_ns * (kWhole - share) / share, kLongestSleepNs);
}

}  // namespace spanmalloc
