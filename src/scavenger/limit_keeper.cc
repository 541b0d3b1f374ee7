#include "scavenger/limit_keeper.h"

#include <algorithm>

namespace spanmalloc {

namespace {

// Growth of the heap between two attempts that failed: 1/64 of the limit, and at least this.
constexpr size_t kLeastStep = size_t{1} << 20;
constexpr size_t kStepDivisor = 64;

}  // namespace

bool LimitKeeper::should_reduce() const {
  return page_heap_.excess_bytes() > 0 &&
         page_heap_.consumed_bytes() >= next_attempt_.load(std::memory_order_relaxed);
}

bool LimitKeeper::reduce(ListKey key) {
  // Other threads leave the work to this one.
  next_attempt_.store(SIZE_MAX, std::memory_order_relaxed);
  registry_.empty_warm(centrals_, sentinels_);
  centrals_.for_each([&](const CentralList& central, SizeClass) { central.drain_depot(0, key); });
  const size_t excess = page_heap_.excess_bytes();
  if (excess > 0) (void)page_heap_.scavenge(Bytes{excess}, ScavengeMode::kForced);
  const bool within = page_heap_.excess_bytes() == 0;
  const size_t step = std::max(kLeastStep, page_heap_.limit().bytes() / kStepDivisor);
  next_attempt_.store(within ? 0 : page_heap_.consumed_bytes() + step, std::memory_order_relaxed);
  return within;
}

}  // namespace spanmalloc
