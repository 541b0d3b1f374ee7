#ifndef SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_
#define SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "pages/page_heap.h"
#include "scavenger/scavenge_pacer.h"
#include "scavenger/scavenger_clock.h"
#include "scavenger/time_share.h"

namespace spanmalloc {

// Pays for growth of the heap with what lies idle in depots and spans, a little at a time: a malloc
// that takes memory from spans or pages, when some has come into use since the last payment.
//
// A program whose sizes change leaves spans behind with a few live objects in each, and grows by
// spans of other classes beside them, faster than seconds tell what rests. So growth is a clock as
// well. It steps when backed memory is a part above where it stepped last, and all spans are a step
// older. Then the depots' magazines that nobody needed since the last step are drained, and where
// spans have much free by then, holes of those that rested are given back, as much as came into use
// meanwhile, until the end of the heap or where there are none far and wide. Where threads run on
// several processors, each call of the system for it interrupts them all, so it has a share of the
// time and no more.
//
// Only new heights are steps. A program that returns to its first sizes backs their holes again,
// and may pay for that with those of its second ones; but between two ticks of the scavenger it
// must first grow by two steps for it, so that in rounds within a second it soon holds both.
//
// Depots are in the way of growth where they hold much when the heap must grow, and as spans of
// small blocks grow, where that costs little of the time. Of these all is drained, until depots are
// half full.
class GrowthPayment {
 public:
  // Backed bytes at the first step: a heap below that is small.
  static constexpr size_t kFirstHeight = size_t{4} << 20;
  // Growth from step to step, and the least of it.
  static constexpr size_t kStepDivisor = 32;
  static constexpr size_t kLeastStep = size_t{512} << 10;
  // Holes are given back when the spans' free memory is this part of what is backed.
  static constexpr size_t kMuchDivisor = 4;
  // What comes into use from payment to payment.
  static constexpr size_t kAheadBytes = size_t{32} << 10;
  // Drains for spans that grow begin, and batches of holes are given back, while all of them took
  // no more than one part in so many of the time. So much may collect, of the latter the longest
  // step of the clock that measures them. That is the time that passes: where threads wait for
  // processors, batches are charged for the wait.
  static constexpr uint64_t kDrainDivisor = 8;
  static constexpr int64_t kMostDrainNs = 3'000'000;
  static constexpr uint64_t kHolesDivisor = 4;
  static constexpr int64_t kMostHolesNs = 10'000'000;
  // What an object is taken to cost that is drained: some 10 ns, or 70 where all are cold, and half
  // as much again when it is next taken out of its span.
  static constexpr uint64_t kNsPerObject = 50;

  constexpr GrowthPayment(PageHeap& page_heap, CentralLists& centrals, HoleReleaser& holes,
                          ScavengerClock& clock)
      : page_heap_(page_heap), centrals_(centrals), holes_(holes), clock_(clock) {}

  // Whether the heap has grown so far that pay() has something to do. No lock.
  bool is_due() const { return page_heap_.backed_bytes() >= due_.load(std::memory_order_relaxed); }

  // Drains some magazines, or releases a batch of holes: 10 to 200 us, for each huge page to be
  // split 200 more. kKept: holes stay, and spans grow no older. Does nothing while another thread
  // is at it. Called without a lock.
  enum class Holes : uint8_t { kKept, kReleased };
  void pay(ListKey key, Holes holes);

  // Whether depots hold so much that the heap should not grow beside them. About right while other
  // threads are at work. Measured on bursts of 3 MB: a bound that is never reached and this one
  // differ by 2 %, no depot at all costs 60 %.
  bool depots_are_full() const { return depots_hold_more_than(1); }

  // Drains some of what lies in depots, and has the payments to come drain more, until they are
  // half full; returns the bytes. Does nothing while another thread is at it. Called without a
  // lock.
  size_t drain_depots(ListKey key);

  // As drain_depots(), for when spans of small blocks grow while free pages are left: begins where
  // depots are full and all that was drained took no more than its share of the time.
  size_t drain_surplus(ListKey key);

  // A tick of the scavenger's clock. Heights that are some epochs past are none any more. Does
  // nothing while another thread pays.
  void end_epoch();

  // In the child of a fork: the thread that was at it is gone, perhaps in the midst of a change.
  void forget_thread();

  // Does nothing while another thread pays.
  void check_invariants();

 private:
  // What is drained, class by class: nothing, what was idle since the last step, everything.
  enum class Drain : uint8_t { kNone, kIdle, kAll };
  // Objects drained for each kAheadBytes that came into use, for eight of them at once at most:
  // some 10 ns each, or 70 when all of them are cold.
  static constexpr size_t kDrainedObjects = 1024;
  static constexpr size_t kMostPortions = 8;
  // Looks in a row without a hole, a chunk each, after which the search waits for the next step:
  // these and as many as chunks could be backed. A heap may be mapped a hundred times as far.
  static constexpr size_t kLeastBarrenLooks = 16;
  static constexpr size_t kDepotFloorBytes = size_t{1} << 20;
  static constexpr size_t kDepotShareOfHeap = 8;
  static constexpr size_t kNotEntered = SIZE_MAX;

  static size_t step_above(size_t backed) {
    return std::max(backed + std::max(backed / kStepDivisor, kLeastStep), kFirstHeight);
  }
  bool depots_hold_more_than(size_t divisor) const;
  void step(size_t backed, Holes holes);
  void begin_drain(Drain drain);
  size_t drain_some(ListKey key, size_t backed);
  // Drains some, of all that lies in depots from now on.
  size_t drain_some_of_all(ListKey key);
  enum class ClassEnd : uint8_t { kOver, kGoesOn };
  struct ClassDrain {
    size_t bytes;
    ClassEnd end;
  };
  ClassDrain drain_class(const CentralList& central, ListKey key,
                         CentralList::DrainAllowance* allowance);
  void look_for_holes();
  void release_batch(size_t backed);
  // None are given back until another step asks for it.
  void keep_holes() {
    kept_ = SIZE_MAX;
    waited_at_ = 0;
  }
  void end();

  PageHeap& page_heap_;
  CentralLists& centrals_;
  HoleReleaser& holes_;
  ScavengerClock& clock_;
  // Backed bytes from which on pay() has something to do.
  std::atomic<size_t> due_{kFirstHeight};
  std::atomic<bool> busy_{false};

  // The following belong to the thread that is at it.
  // Backed bytes at which the clock steps, at which it stepped last, and in the last epochs.
  size_t next_step_ = kFirstHeight;
  size_t height_ = 0;
  PeakWindow heights_;
  // Backed bytes at the last drain, from which on growth pays for the next.
  size_t paid_at_ = 0;
  Drain drain_ = Drain::kNone;
  // The class whose depot is drained next, and the bytes that kAll has yet to drain of it.
  SizeClass drained_class_ = 1;
  size_t left_in_class_ = kNotEntered;
  TimeShare drain_share_{kDrainDivisor, kMostDrainNs};
  // Whether a step has not yet asked if holes are to be given back.
  bool wants_look_ = false;
  // Backed bytes that holes are given back to keep; SIZE_MAX: none are.
  size_t kept_ = SIZE_MAX;
  TimeShare holes_share_{kHolesDivisor, kMostHolesNs};
  // Backed bytes when that share was found used up; 0: it was not.
  size_t waited_at_ = 0;
  // Where the search for holes goes on, and its looks in a row that found none.
  PageNumber cursor_{};
  size_t barren_looks_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_
