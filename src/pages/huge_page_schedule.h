#ifndef SPANMALLOC_PAGES_HUGE_PAGE_SCHEDULE_H_
#define SPANMALLOC_PAGES_HUGE_PAGE_SCHEDULE_H_

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "pages/scavenge_index.h"

namespace spanmalloc {

// What is remembered of a chunk. All zero: it was never looked at. Epochs are those of the caller's
// clock, of which 2^32 never pass; generations those of the scavenge index, which may tick faster.
struct HugePageLook {
  // The word of the chunk was last written in this generation, and that was first seen in `since`.
  uint32_t generation = 0;
  uint32_t since = 0;
  // The kernel is not asked before this epoch.
  uint32_t due = 0;
  // Epochs between the last time and that one.
  uint32_t wait = 0;
};

// Which chunks are worth huge pages, and when: arithmetic alone, it knows neither pages nor clocks
// nor the kernel.
//
// A huge page is worth its cost where all of it is used and will be for a while. That is a chunk
// which is dense by the rule of the scavenge index, so that background scavenging leaves its few
// free pages alone, and in which no page came into use or became free for some epochs; holes inside
// spans are given back sooner than that, so what is left rests.
//
// Asking costs time, and so does taking the memory apart again when a part of it is released.
// Each time it is asked for a chunk, whatever came of it, the next time comes after twice as many
// epochs: what changes between dense and sparse costs less and less, what was refused gets a chance
// again, and a chunk that lies in huge pages already is hardly asked about.
class HugePageSchedule {
 public:
  // Longer than holes rest before they are given back (HoleReleaser::Rest::kIdle).
  static constexpr uint32_t kRestEpochs = 5;
  static constexpr uint32_t kFirstWait = 8;
  static constexpr uint32_t kLongestWait = 512;
  // A heap with less in use has few misses of the processor's translation cache: a second-level
  // one of 1536 entries covers 6 MiB, and what lies behind it is found in the data caches.
  static constexpr size_t kMinHeapBytes = size_t{64} << 20;

  // Whether to ask for the chunk in the epoch `now`; what was seen is remembered.
  // REQUIRES: is_dense().
  static bool should_ask(const ChunkActivity& activity, HugePageLook& look, uint32_t now) {
    if (look.since == 0 || look.generation != activity.generation) {
      look.generation = activity.generation;
      look.since = now;
    }
    if (now - look.since < kRestEpochs || now < look.due) return false;
    look.wait = std::clamp(look.wait * 2, kFirstWait, kLongestWait);
    look.due = now + look.wait;
    return true;
  }

  static bool is_dense(const ChunkActivity& activity) {
    return activity.in_use >= ChunkActivity::kDensePages;
  }
};

// What the kernel's answers say about asking on.
class HugePageBackoff {
 public:
  // Refusals in a row after which nothing more is asked for, for a long time: an old kernel, or a
  // process that must not have huge pages. Then one more refusal is enough.
  static constexpr uint32_t kMaxRefusals = 8;
  static constexpr uint32_t kPauseAfterRefusals = 1024;
  static constexpr uint32_t kLongestPause = 64;

  // Whether to ask in the epoch that begins. Called once an epoch.
  bool may_ask() {
    if (pause_left_ == 0) return true;
    --pause_left_;
    return false;
  }

  void note_done() {
    refusals_ = 0;
    pause_ = 0;
  }
  void note_refused() {
    if (++refusals_ < kMaxRefusals) return;
    refusals_ = kMaxRefusals - 1;
    pause_left_ = kPauseAfterRefusals;
  }
  // There is no huge page to be had: this epoch's work ends, and each time in a row the pause is
  // twice as long.
  void note_not_now() {
    pause_ = std::clamp<uint32_t>(pause_ * 2, 1, kLongestPause);
    pause_left_ = pause_;
  }
  bool is_pausing() const { return pause_left_ > 0; }

  void check_invariants() const {
    SPANMALLOC_CHECK(refusals_ < kMaxRefusals, "refusals of huge pages without a pause");
    const uint32_t longest = refusals_ + 1 == kMaxRefusals ? kPauseAfterRefusals : pause_;
    SPANMALLOC_CHECK(pause_left_ <= longest && pause_ <= kLongestPause,
                     "a pause between huge pages is longer than it was made");
  }

 private:
  uint32_t refusals_ = 0;
  uint32_t pause_ = 0;
  uint32_t pause_left_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_HUGE_PAGE_SCHEDULE_H_
