#ifndef SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_
#define SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "pages/page_heap.h"

namespace spanmalloc {

// Pays for growth of the heap with what lies idle in depots and spans, a little at a time: whoever
// takes memory when some has come into use since the last payment.
//
// A program whose sizes change leaves spans behind with a few live objects in each, and grows by
// spans of other classes beside them, faster than seconds tell what rests. So growth is a clock as
// well. It steps when backed memory is a part above where it stepped last, and all spans are a step
// older. Then the depots' magazines that nobody needed since the last step are drained, and where
// spans have much free by then, holes of those without a claim for two steps are given back, as
// much as came into use meanwhile, until the heap was looked through once.
//
// Only new heights are steps. A program that returns to its first sizes backs their holes again,
// and may pay for that with those of its second ones; but each time it does so the heap must first
// grow by two steps, so that before long it holds both.
class GrowthPayment {
 public:
  // Backed bytes at the first step: a heap below that is small.
  static constexpr size_t kFirstHeight = size_t{4} << 20;
  // Growth from step to step, and the least of it.
  static constexpr size_t kStepDivisor = 32;
  static constexpr size_t kLeastStep = size_t{512} << 10;
  // Holes are given back when the spans' free objects are this part of what is backed.
  static constexpr size_t kMuchDivisor = 4;
  // What comes into use from payment to payment.
  static constexpr size_t kAheadBytes = size_t{32} << 10;

  constexpr GrowthPayment(PageHeap& page_heap, CentralLists& centrals, HoleReleaser& holes)
      : page_heap_(page_heap), centrals_(centrals), holes_(holes) {}

  // Whether the heap has grown so far that pay() has something to do. No lock.
  bool is_due() const { return page_heap_.backed_bytes() >= due_.load(std::memory_order_relaxed); }

  // Drains some magazines, or releases a batch of holes: 10 to 200 us. Does nothing while
  // another thread is at it. Called without a lock.
  enum class Holes : uint8_t { kKept, kReleased };
  void pay(ListKey key, Holes holes);

  // Drains some of all that lies in depots now, and has the payments to come drain the rest;
  // returns the bytes. Does nothing while another thread is at it. Called without a lock.
  size_t drain_depots(ListKey key);

  // `peak_bytes` were backed at most of late: what is higher is a new height again. Does nothing
  // while another thread pays.
  void lower_height(size_t peak_bytes);

  // In the child of a fork: the thread that was at it is gone. Each member is sound by itself.
  void forget_thread() { busy_.store(false, std::memory_order_relaxed); }

  // Does nothing while another thread pays.
  void check_invariants();

 private:
  // What is drained, class by class: nothing, what was idle since the last step, everything.
  enum class Drain : uint8_t { kNone, kIdle, kAll };
  // Objects drained by one payment: 10 ns each, or 70 when all of them are cold. More bytes than
  // came into use, if they are of 32 bytes or more.
  static constexpr size_t kDrainedObjects = 1024;
  // Runs of kernel pages released by one payment: 1 to 3 us each.
  static constexpr size_t kReleasedPieces = 48;

  static size_t step_above(size_t backed) {
    return backed + std::max(backed / kStepDivisor, kLeastStep);
  }
  void step();
  void begin_drain(Drain drain);
  size_t drain_some(ListKey key);
  void look_for_holes();
  void release_batch();
  void end();

  PageHeap& page_heap_;
  CentralLists& centrals_;
  HoleReleaser& holes_;
  // Backed bytes from which on pay() has something to do.
  std::atomic<size_t> due_{kFirstHeight};
  std::atomic<bool> busy_{false};

  // The following belong to the thread that is at it.
  // Backed bytes at which the clock steps.
  size_t next_step_ = kFirstHeight;
  Drain drain_ = Drain::kNone;
  // The class whose depot is drained next, or is in the midst of it.
  SizeClass drained_class_ = 1;
  // Backed bytes that holes are given back to keep; SIZE_MAX: none are.
  size_t kept_ = SIZE_MAX;
  // Where the next look for holes begins.
  PageNumber cursor_{};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_GROWTH_PAYMENT_H_
