#include "scavenger/limit_keeper.h"

#include <algorithm>

namespace spanmalloc {

namespace {

// Growth of the heap between two attempts: 1/64 of the limit, and at least this.
constexpr size_t kLeastStep = size_t{1} << 20;
constexpr size_t kStepDivisor = 64;

}  // namespace

bool LimitKeeper::should_reduce() const {
  return page_heap_.excess_bytes() > 0 &&
         page_heap_.consumed_bytes() >= next_attempt_.load(std::memory_order_relaxed);
}

size_t LimitKeeper::drain(ListKey key) {
  size_t drained = registry_.empty_warm(centrals_, sentinels_);
  centrals_.for_each(
      [&](const CentralList& central, SizeClass) { drained += central.drain_depot(0, key); });
  return drained;
}

size_t LimitKeeper::step() const {
  return std::max(kLeastStep, page_heap_.limit().bytes() / kStepDivisor);
}

// Bytes to give back: some more than what is beyond the limit, for each attempt has its price.
size_t LimitKeeper::wanted() const {
  const size_t limit = page_heap_.limit().bytes();
  const size_t goal = limit - std::min(limit, step());
  const size_t consumed = page_heap_.consumed_bytes();
  return consumed > goal ? consumed - goal : 0;
}

bool LimitKeeper::reduce(ListKey key) {
  // Other threads leave the work to this one.
  next_attempt_.store(SIZE_MAX, std::memory_order_relaxed);
  drain(key);
  if (const size_t bytes = wanted(); bytes > 0) {
    (void)page_heap_.scavenge(Bytes{bytes}, ScavengeMode::kForced);
  }
  (void)holes_.release_until([this] { return wanted() == 0; }, HoleReleaser::Rest::kNone,
                             HoleReleaser::Caller::kMalloc);
  const bool within = page_heap_.excess_bytes() == 0;
  next_attempt_.store(within ? 0 : page_heap_.consumed_bytes() + step(), std::memory_order_relaxed);
  return within;
}

}  // namespace spanmalloc
