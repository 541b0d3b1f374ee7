#ifndef SPANMALLOC_SCAVENGER_SCAVENGER_CLOCK_H_
#define SPANMALLOC_SCAVENGER_SCAVENGER_CLOCK_H_

#include <atomic>
#include <cstdint>

namespace spanmalloc {

// Where the scavenger's time comes from; tests bring their own.
class ScavengerClock {
 public:
  virtual uint64_t monotonic_ns() = 0;
  virtual uint64_t thread_cpu_ns() = 0;
  // Ends before its time when `word` is not 0 and its sleepers are woken.
  virtual void sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>& word) = 0;

 protected:
  ~ScavengerClock() = default;
};

class SystemScavengerClock final : public ScavengerClock {
 public:
  uint64_t monotonic_ns() override;
  uint64_t thread_cpu_ns() override;
  void sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>& word) override;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_SCAVENGER_CLOCK_H_
