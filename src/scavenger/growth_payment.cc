#include "scavenger/growth_payment.h"

#include "base/check.h"

namespace spanmalloc {

void GrowthPayment::pay(ListKey key, Holes holes) {
  // Acquire and release, here and below: the state belongs to one thread at a time.
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  if (page_heap_.backed_bytes() >= next_step_) step();
  if (drain_ != Drain::kNone) {
    (void)drain_some(key);
    if (drain_ == Drain::kNone && holes == Holes::kReleased) look_for_holes();
  } else if (kept_ != SIZE_MAX) {
    release_batch();
  }
  end();
}

size_t GrowthPayment::drain_depots(ListKey key) {
  if (busy_.exchange(true, std::memory_order_acquire)) return 0;
  if (drain_ != Drain::kAll) begin_drain(Drain::kAll);
  const size_t drained = drain_some(key);
  end();
  return drained;
}

void GrowthPayment::step() {
  next_step_ = step_above(page_heap_.backed_bytes());
  centrals_.age();
  // Who drains everything drains what is idle.
  if (drain_ == Drain::kNone) begin_drain(Drain::kIdle);
}

void GrowthPayment::begin_drain(Drain drain) {
  drain_ = drain;
  drained_class_ = 1;
  kept_ = SIZE_MAX;
}

size_t GrowthPayment::drain_some(ListKey key) {
  CentralList::DrainAllowance allowance = kDrainedObjects;
  size_t drained = 0;
  while (drained_class_ < kSizeClassCount) {
    const CentralList central = centrals_[drained_class_];
    drained += drain_ == Drain::kAll ? central.drain_depot(0, key, &allowance)
                                     : central.drain_idle(key, &allowance);
    if (allowance == 0) return drained;
    ++drained_class_;
  }
  drain_ = Drain::kNone;
  return drained;
}

void GrowthPayment::look_for_holes() {
  size_t free_bytes = 0;
  centrals_.for_each(
      [&](const CentralList& central, SizeClass) { free_bytes += central.stats().free_bytes; });
  const size_t backed = page_heap_.backed_bytes();
  kept_ = free_bytes >= backed / kMuchDivisor ? backed : SIZE_MAX;
  cursor_ = {};
}

void GrowthPayment::release_batch() {
  const auto progress =
      holes_.release_some(cursor_, HoleReleaser::Rest::kBesideGrowth, kReleasedPieces);
  if (progress.next == kNoPage) kept_ = SIZE_MAX;
  cursor_ = progress.next == kNoPage ? PageNumber{} : progress.next;
}

void GrowthPayment::end() {
  size_t next_payment = SIZE_MAX;
  if (drain_ != Drain::kNone) {
    next_payment = page_heap_.backed_bytes() + kAheadBytes;
  } else if (kept_ != SIZE_MAX) {
    next_payment = kept_ + kAheadBytes;
  }
  due_.store(std::min(next_step_, next_payment), std::memory_order_relaxed);
  busy_.store(false, std::memory_order_release);
}

void GrowthPayment::lower_height(size_t peak_bytes) {
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  const size_t height = std::max(peak_bytes, page_heap_.backed_bytes());
  next_step_ = std::min(next_step_, std::max(step_above(height), kFirstHeight));
  end();
}

void GrowthPayment::check_invariants() {
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  SPANMALLOC_CHECK(next_step_ >= kFirstHeight, "a small heap has a step of growth");
  SPANMALLOC_CHECK(due_.load(std::memory_order_relaxed) <= next_step_, "a step of growth is lost");
  SPANMALLOC_CHECK(drain_ == Drain::kNone || drained_class_ < kSizeClassCount,
                   "a drain for growth is at no class");
  SPANMALLOC_CHECK(cursor_ != kNoPage, "the search for holes does not begin anew");
  busy_.store(false, std::memory_order_release);
}

}  // namespace spanmalloc
