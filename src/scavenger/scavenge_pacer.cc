#include "scavenger/scavenge_pacer.h"

#include <algorithm>

namespace spanmalloc {

size_t PeakWindow::highest() const {
  return *std::max_element(peaks_.begin(), peaks_.end());
}

uint64_t ScavengePacer::sleep_after(uint64_t worked_ns) const {
  if (worked_ns > kLongestSleepNs) return kLongestSleepNs;
  const uint64_t sleep = cpu_percent_ >= 100 ? 0 : worked_ns * (100 - cpu_percent_) / cpu_percent_;
  return std::min(sleep, kLongestSleepNs);
}

}  // namespace spanmalloc
