#ifndef SPANMALLOC_SCAVENGER_HUGE_PAGE_KEEPER_H_
#define SPANMALLOC_SCAVENGER_HUGE_PAGE_KEEPER_H_

#include <cstdint>

#include "base/options.h"
#include "pages/huge_page_schedule.h"
#include "pages/page_heap.h"
#include "scavenger/scavenge_pacer.h"
#include "scavenger/tick_rest.h"

namespace spanmalloc {

// Moves what is dense and rests into huge pages, on the background thread and within its pace: the
// program never waits for a huge page to be found and cleared, and nothing is backed that it does
// not use.
//
// The page heap proposes chunks (see HugePageSchedule). The kernel has the last word: of each huge
// page's range all memory must be there but for pages that the page heap knows to be released, and
// none of it shared with another process, for the kernel would copy it.
//
// The way back is in platform::release(): before a part of a huge page is given back it is split.
//
// Used by one thread at a time, the one that ticks.
class HugePageKeeper {
 public:
  constexpr explicit HugePageKeeper(PageHeap& page_heap) : page_heap_(page_heap) {}

  // One round over the heap, in the time of an epoch at most; the next call goes on from there.
  // Returns the bytes that were moved into huge pages, or lay in them already. No lock is held.
  // Once the tick is over it ends before the next unit.
  Bytes run_epoch(const Options& options, const ScavengePacer& pacer, const TickRest& rest);

  void check_invariants() const { backoff_.check_invariants(); }

 private:
  // The mode is read so rarely: it changes hardly ever.
  static constexpr uint32_t kEpochsPerModeLook = 16;

  // Counts the epoch.
  platform::HugePageMode start_epoch();
  Bytes ask_for(PageRange chunk, const TickRest& rest);
  // False when the kernel gave none.
  [[nodiscard]] bool ask_for_unit(PageRange unit, Bytes& done);

  PageHeap& page_heap_;
  HugePageBackoff backoff_;
  ChunkNumber cursor_{};
  platform::HugePageMode mode_ = platform::HugePageMode::kNever;
  // Epochs so far.
  uint32_t epoch_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_HUGE_PAGE_KEEPER_H_
