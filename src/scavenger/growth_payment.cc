#include "scavenger/growth_payment.h"

#include "base/check.h"

namespace spanmalloc {

void GrowthPayment::pay(ListKey key, Holes holes) {
  // Acquire and release, here and below: the state belongs to one thread at a time.
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  const size_t backed = page_heap_.backed_bytes();
  if (backed >= next_step_) step(backed, holes);
  if (holes == Holes::kKept) {
    wants_look_ = false;
    keep_holes();
  }
  if (drain_ != Drain::kNone) {
    (void)drain_some(key, backed);
  } else if (kept_ != SIZE_MAX) {
    release_batch(backed);
  }
  if (drain_ == Drain::kNone && wants_look_) look_for_holes();
  end();
}

bool GrowthPayment::depots_hold_more_than(size_t divisor) const {
  const size_t in_use = page_heap_.in_use_bytes();
  const size_t bound = std::max(in_use / kDepotShareOfHeap, kDepotFloorBytes) / divisor;
  // Depots hold a part of what is in use; their sum is made when it may be enough.
  return in_use > bound && centrals_.depot_bytes() > bound;
}

size_t GrowthPayment::drain_depots(ListKey key) {
  if (busy_.exchange(true, std::memory_order_acquire)) return 0;
  const size_t drained = drain_some_of_all(key);
  end();
  return drained;
}

size_t GrowthPayment::drain_surplus(ListKey key) {
  if (busy_.exchange(true, std::memory_order_acquire)) return 0;
  const bool may_begin = depots_are_full() && drain_share_.may_begin(clock_.monotonic_ns());
  const size_t drained = may_begin ? drain_some_of_all(key) : 0;
  end();
  return drained;
}

void GrowthPayment::step(size_t backed, Holes holes) {
  next_step_ = step_above(backed);
  height_ = backed;
  heights_.note(backed);
  if (holes == Holes::kReleased) {
    centrals_.age();
    wants_look_ = true;
  }
  if (drain_ == Drain::kNone) begin_drain(Drain::kIdle);
}

void GrowthPayment::begin_drain(Drain drain) {
  drain_ = drain;
  drained_class_ = 1;
  left_in_class_ = kNotEntered;
  paid_at_ = page_heap_.backed_bytes();
}

GrowthPayment::ClassDrain GrowthPayment::drain_class(const CentralList& central, ListKey key,
                                                     CentralList::DrainAllowance* allowance) {
  if (drain_ == Drain::kIdle) {
    const size_t bytes = central.drain_idle(key, allowance);
    return {bytes, *allowance > 0 ? ClassEnd::kOver : ClassEnd::kGoesOn};
  }
  // What lies there at first bounds the work, whatever other threads hand over meanwhile.
  if (left_in_class_ == kNotEntered) left_in_class_ = central.depot_bytes();
  const size_t bytes = central.drain_depot(0, key, allowance);
  left_in_class_ -= std::min(left_in_class_, bytes);
  const bool is_over = *allowance > 0 || left_in_class_ == 0;
  return {bytes, is_over ? ClassEnd::kOver : ClassEnd::kGoesOn};
}

size_t GrowthPayment::drain_some(ListKey key, size_t backed) {
  if (drain_ == Drain::kAll && !depots_hold_more_than(2)) begin_drain(Drain::kIdle);
  const size_t grown = backed > paid_at_ ? backed - paid_at_ : 0;
  const size_t portions = std::clamp<size_t>(grown / kAheadBytes, 1, kMostPortions);
  const size_t allowed = portions * kDrainedObjects;
  CentralList::DrainAllowance allowance = allowed;
  size_t drained = 0;
  while (drained_class_ < kSizeClassCount && allowance > 0) {
    const ClassDrain done = drain_class(centrals_[drained_class_], key, &allowance);
    drained += done.bytes;
    // With the allowance used up, the class goes on at the next payment.
    if (done.end == ClassEnd::kGoesOn) break;
    ++drained_class_;
    left_in_class_ = kNotEntered;
  }
  drain_share_.spend((allowed - allowance) * kNsPerObject);
  paid_at_ = page_heap_.backed_bytes();
  if (drained_class_ == kSizeClassCount) begin_drain(Drain::kNone);
  return drained;
}

size_t GrowthPayment::drain_some_of_all(ListKey key) {
  if (drain_ != Drain::kAll) begin_drain(Drain::kAll);
  return drain_some(key, page_heap_.backed_bytes());
}

void GrowthPayment::look_for_holes() {
  wants_look_ = false;
  size_t free_bytes = 0;
  centrals_.for_each(
      [&](const CentralList& central, SizeClass) { free_bytes += central.stats().free_bytes; });
  // Free objects on holes that were given back are none to give.
  free_bytes -= std::min(free_bytes, page_heap_.hole_bytes());
  const bool has_much = free_bytes >= page_heap_.backed_bytes() / kMuchDivisor;
  // What is not yet paid for from the step before stays owed.
  kept_ = has_much ? std::min(kept_, height_) : SIZE_MAX;
  waited_at_ = 0;
  barren_looks_ = 0;
}

void GrowthPayment::release_batch(size_t backed) {
  if (backed < kept_ + kAheadBytes) return;
  const uint64_t began_ns = clock_.monotonic_ns();
  if (!holes_share_.may_begin(began_ns)) {
    waited_at_ = backed;
    return;
  }
  waited_at_ = 0;
  const auto progress = holes_.release_some(cursor_, HoleReleaser::Rest::kBesideGrowth,
                                            HoleReleaser::Caller::kMalloc);
  holes_share_.spend(clock_.monotonic_ns() - began_ns);
  if (progress.was_busy) return;
  barren_looks_ = progress.released.value > 0 ? 0 : barren_looks_ + 1;
  const bool is_at_end = progress.next == kNoPage;
  cursor_ = is_at_end ? PageNumber{} : progress.next;
  const size_t most_barren_looks = kLeastBarrenLooks + backed / kChunkBytes;
  if (is_at_end || barren_looks_ > most_barren_looks) keep_holes();
}

void GrowthPayment::end() {
  size_t next_payment = SIZE_MAX;
  if (drain_ != Drain::kNone) {
    next_payment = paid_at_ + kAheadBytes;
  } else if (wants_look_) {
    next_payment = 0;
  } else if (kept_ != SIZE_MAX) {
    next_payment = std::max(kept_, waited_at_) + kAheadBytes;
  }
  due_.store(std::min(next_step_, next_payment), std::memory_order_relaxed);
  busy_.store(false, std::memory_order_release);
}

void GrowthPayment::end_epoch() {
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  heights_.end_epoch(page_heap_.backed_bytes());
  next_step_ = std::min(next_step_, step_above(heights_.highest()));
  waited_at_ = 0;
  end();
}

void GrowthPayment::forget_thread() {
  begin_drain(Drain::kNone);
  wants_look_ = false;
  keep_holes();
  cursor_ = {};
  due_.store(next_step_, std::memory_order_relaxed);
  busy_.store(false, std::memory_order_release);
}

void GrowthPayment::check_invariants() {
  if (busy_.exchange(true, std::memory_order_acquire)) return;
  SPANMALLOC_CHECK(next_step_ >= kFirstHeight, "a small heap has a step of growth");
  SPANMALLOC_CHECK(due_.load(std::memory_order_relaxed) <= next_step_, "a step of growth is lost");
  SPANMALLOC_CHECK(drained_class_ >= 1 && drained_class_ < kSizeClassCount,
                   "a drain for growth is at no class");
  drain_share_.check_invariants();
  holes_share_.check_invariants();
  SPANMALLOC_CHECK(cursor_ != kNoPage, "the search for holes does not begin anew");
  busy_.store(false, std::memory_order_release);
}

}  // namespace spanmalloc
