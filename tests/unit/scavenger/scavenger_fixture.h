// The scavenger over all that lies below it, with a clock and files that tests write.
#ifndef SPANMALLOC_TESTS_UNIT_SCAVENGER_SCAVENGER_FIXTURE_H_
#define SPANMALLOC_TESTS_UNIT_SCAVENGER_SCAVENGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

#include "platform/system.h"
#include "scavenger/scavenger.h"
#include "support/cache_parts.h"
#include "support/fake_clock.h"
#include "support/fake_root.h"

namespace spanmalloc {

using testing::CacheParts;
using testing::FakeClock;
using testing::FakeRoot;
using testing::kTestKey;
using testing::make_magazine;

inline constexpr size_t kMiB = size_t{1} << 20;
inline constexpr uint64_t kNsPerMs = 1'000'000;
inline constexpr size_t kAllWork = SIZE_MAX;
// More than the scavenger remembers a peak for.
inline constexpr size_t kManyEpochs = PeakWindow::kEpochs + 3;

inline const SizeClass kClass = size_class_of(1024);

// The scavenger with what it works on, which outlives its thread where it gets one.
template <typename Clock>
struct ScavengerParts : CacheParts {
  explicit ScavengerParts(size_t bytes = 256 * kMiB) : CacheParts(bytes) {
    scavenger.set_key(kTestKey);
  }

  Span* new_large(size_t bytes) {
    return spans.new_large(pages_for(bytes), PageCount{1}, Growth::kAllowed);
  }

  Options options;
  Clock clock;
  HoleReleaser holes{centrals, page_map, page_heap};
  FakeRoot root;
  platform::CgroupPlaces places;
  Scavenger scavenger{page_heap, centrals, holes, registry,
                      sentinels, options,  clock, {places, root.path()}};
};

struct Fixture : ScavengerParts<FakeClock> {
  explicit Fixture(size_t bytes = 256 * kMiB) : ScavengerParts(bytes) {
    scavenger.note_thread_start();
  }

  // The program takes a little memory in each epoch, so that it is not quiet.
  size_t run_busy_epochs(size_t count) {
    size_t released = 0;
    for (size_t epoch = 0; epoch < count; ++epoch) {
      EXPECT_TRUE(spans.delete_large(new_large(kPageBytes)));
      released += run_epochs(1);
    }
    return released;
  }
  size_t run_epochs(size_t count) {
    size_t released = 0;
    for (size_t epoch = 0; epoch < count; ++epoch) {
      released += scavenger.run_epoch(kAllWork).released_bytes;
      page_heap.check_invariants();
      scavenger.check_invariants();
    }
    return released;
  }
  // Puts `count` objects into the depot as one magazine.
  void fill_depot(size_t count, FreeNode* sentinel) {
    centrals[kClass].put_magazine(
        make_magazine(testing::claim_objects(centrals[kClass], kClass, count), sentinel), kTestKey);
  }
};

// With a real thread and a real clock.
struct Threaded : ScavengerParts<SystemScavengerClock> {
  Threaded() {
    EXPECT_TRUE(options.set(Option::kEpochMilliseconds, 10));
    EXPECT_TRUE(options.set(Option::kScavengerCpuPercent, 100));
    scavenger.note_thread_start();
  }

  // Frees go on meanwhile, so that a parked thread has somebody who wakes it.
  template <typename Condition>
  bool wait_for(Condition condition) {
    for (int round = 0; round < 4000; ++round) {
      if (condition()) return true;
      for (int call = 0; call < 100; ++call) scavenger.note_pages_freed();
      platform::sleep_ns(5 * kNsPerMs);
    }
    return false;
  }
  // Whether no free memory stays, while the program makes no call.
  bool is_all_given_back() const {
    for (int round = 0; round < 4000 && page_heap.free_retained_bytes() > 0; ++round) {
      platform::sleep_ns(5 * kNsPerMs);
    }
    return page_heap.free_retained_bytes() == 0;
  }
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_TESTS_UNIT_SCAVENGER_SCAVENGER_FIXTURE_H_
