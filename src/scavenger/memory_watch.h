// What the scavenger knows of the world around the process: limits of its container and pressure.
#ifndef SPANMALLOC_SCAVENGER_MEMORY_WATCH_H_
#define SPANMALLOC_SCAVENGER_MEMORY_WATCH_H_

#include <cstddef>
#include <cstdint>

#include "base/options.h"
#include "pages/memory_limit.h"
#include "platform/cgroup.h"

namespace spanmalloc {

// Tells from counters that only rise whether memory is short: arithmetic alone. Pressure begins at
// once and ends after some quiet readings, so that it does not flicker.
class PressureGauge {
 public:
  // Some task waited for memory in this part of the time: pressure begins; is not over.
  static constexpr uint64_t kBeginPercent = 5;
  static constexpr uint64_t kEndPercent = 1;
  // Readings below kEndPercent and without events at the limit until it is over.
  static constexpr unsigned kQuietReadings = 3;

  constexpr PressureGauge() = default;

  // A reading at a time. The first one only sets where counting begins.
  void update(const platform::MemoryPressure& reading, uint64_t now_ns);

  bool is_high() const { return is_high_; }

  // Forgets the counters, which may be another group's from now on, and the pressure.
  void reset() { *this = PressureGauge(); }

 private:
  platform::MemoryPressure last_{};
  uint64_t last_ns_ = 0;
  unsigned quiet_ = 0;
  bool has_last_ = false;
  bool is_high_ = false;
};

// Where the kernel's files are, and what is found of them, which is large and kept apart.
struct KernelFiles {
  platform::CgroupPlaces& places;
  const char* root = "";  // put before every path, for tests
};

// Belongs to the scavenger's tick under way; reads files on its thread alone.
class MemoryWatch {
 public:
  // From one look at limits, which costs some reads more than one at pressure, to the next.
  static constexpr uint32_t kEpochsBetweenLimits = 5;

  constexpr explicit MemoryWatch(KernelFiles files) : places_(files.places), root_(files.root) {}

  // Once an epoch: sets the container's part of the limit, and the pressure when `look` says so.
  // `consumed` is what the heap counts against the limit.
  enum class PressureLook : uint8_t { kSkip, kTake };
  void update(const Options& options, PressureLook look, uint64_t now_ns, size_t consumed,
              MemoryLimit& limit);

  bool is_pressed() const { return gauge_.is_high(); }

  // Processor time that the process may use, in percent of one processor; at least 1.
  uint64_t processor_percent() const { return processor_percent_; }

 private:
  void read_limits(const Options& options);

  platform::CgroupPlaces& places_;
  const char* const root_;
  PressureGauge gauge_;
  uint64_t container_bytes_ = platform::kNoLimit;
  uint64_t processor_percent_ = 100;
  uint32_t epochs_until_limits_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_MEMORY_WATCH_H_
