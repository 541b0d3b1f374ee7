// A scavenger clock that tests turn: work costs what they say and sleeping takes no time.
#ifndef SPANMALLOC_TESTS_SUPPORT_FAKE_CLOCK_H_
#define SPANMALLOC_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "scavenger/scavenger.h"

namespace spanmalloc::testing {

class FakeClock final : public ScavengerClock {
 public:
  uint64_t monotonic_ns() override { return now_ns_; }
  // Between two readings the thread has worked for the time that was set.
  uint64_t thread_cpu_ns() override {
    ++readings_;
    cpu_ns_ += work_ns_;
    now_ns_ += work_ns_;
    return cpu_ns_;
  }
  void sleep_ns(uint64_t nanoseconds, std::atomic<uint32_t>&) override {
    ++sleeps_;
    slept_ns_ += nanoseconds;
    now_ns_ += nanoseconds;
  }

  void set_work_between_readings(uint64_t nanoseconds) { work_ns_ = nanoseconds; }
  void advance(uint64_t nanoseconds) { now_ns_ += nanoseconds; }
  void set(uint64_t nanoseconds) { now_ns_ = nanoseconds; }

  size_t readings() const { return readings_; }
  size_t sleeps() const { return sleeps_; }
  uint64_t slept_ns() const { return slept_ns_; }

 private:
  uint64_t now_ns_ = 1;
  uint64_t cpu_ns_ = 0;
  uint64_t work_ns_ = 0;
  uint64_t slept_ns_ = 0;
  size_t readings_ = 0;
  size_t sleeps_ = 0;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_FAKE_CLOCK_H_
