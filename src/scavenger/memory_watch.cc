#include "scavenger/memory_watch.h"

#include <algorithm>

#include "platform/system.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

namespace {

// What the heap may hold of the container's limit; the rest is for stacks, code and neighbours.
constexpr uint64_t kHeapPercent = 95;

}  // namespace

void PressureGauge::update(const platform::MemoryPressure& reading, uint64_t now_ns) {
  const bool comparable = has_last_ && now_ns > last_ns_ &&
                          reading.stalled_us >= last_.stalled_us &&
                          reading.limit_events >= last_.limit_events;
  if (comparable) {
    const uint64_t elapsed_us = (now_ns - last_ns_) / 1000 + 1;
    const uint64_t stalled_us = reading.stalled_us - last_.stalled_us;
    const bool at_limit = reading.limit_events > last_.limit_events;
    // Divided, not multiplied, so that no reading overflows.
    if (at_limit || stalled_us >= elapsed_us / 100 * kBeginPercent + 1) {
      is_high_ = true;
      quiet_ = 0;
    } else if (stalled_us > elapsed_us / 100 * kEndPercent) {
      quiet_ = 0;
    } else if (++quiet_ >= kQuietReadings) {
      is_high_ = false;
    }
  }
  last_ = reading;
  last_ns_ = now_ns;
  has_last_ = true;
}

void MemoryWatch::update(const Options& options, PressureLook look, uint64_t now_ns,
                         size_t consumed, MemoryLimit& limit) {
  if (epochs_until_limits_ == 0) {
    epochs_until_limits_ = kEpochsBetweenLimits;
    read_limits(options);
  }
  --epochs_until_limits_;
  size_t allowed = MemoryLimit::kNone;
  if (container_bytes_ != platform::kNoLimit) {
    allowed = static_cast<size_t>(container_bytes_ / 100 * kHeapPercent);
    // A program may own much memory that it never touches. The container counts what is resident.
    if (consumed > allowed && platform::resident_bytes() < allowed / 2) {
      allowed = MemoryLimit::kNone;
    }
  }
  limit.set_container(Bytes{allowed});
  if (options[Option::kPressure] == 0) {
    gauge_.reset();
  } else if (look == PressureLook::kTake) {
    gauge_.update(platform::read_memory_pressure(root_, places_), now_ns);
  }
}

void MemoryWatch::read_limits(const Options& options) {
  platform::locate_cgroups(root_, &places_);
  container_bytes_ = platform::kNoLimit;
  if (options[Option::kCgroup] != 0) container_bytes_ = platform::cgroup_memory_limit(places_);
  processor_percent_ =
      std::max<uint64_t>(1, std::min<uint64_t>(uint64_t{100} * platform::usable_processors(),
                                               platform::cgroup_processor_percent(places_)));
}

}  // namespace spanmalloc
