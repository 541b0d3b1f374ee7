// The part of the page heap that pays for memory it is about to use with memory it does not use.
//
// Pages that an allocation takes from the released ones are not backed before the caller touches
// them. So the thread that took them gives free pages back first, where the heap would else hold
// more than its limit or than its goal, without the lock.
#include <algorithm>

#include "pages/page_heap.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

// Beyond what one allocation needs, so that one call of the kernel pays for several allocations.
constexpr size_t kAheadBytes = size_t{256} << 10;
// Given back at most for growth that no limit forbids: well under a millisecond.
constexpr size_t kMaxGrowthPayment = size_t{2} << 20;
// Under a hard limit, how often a thread waits for others that are giving back.
constexpr int kAttempts = 8;

}  // namespace

size_t PageHeap::excess_bytes() const {
  const size_t limit = limit_.bytes();
  const size_t consumed = consumed_bytes();
  return consumed > limit ? consumed - limit : 0;
}

bool PageHeap::pay_for(PageCount backed) {
  const size_t excess = excess_bytes();
  if (excess > 0) return limit_.is_hard() ? pay_all(backed) : pay_some(backed, excess);
  const size_t goal = retention_goal_.load(std::memory_order_relaxed);
  const size_t held = backed_bytes();
  // What is in use may have passed the goal, which is of the last epoch.
  const size_t kept = std::max(goal, backed_in_use_bytes() + backed_in_use_bytes() / 8);
  if (held <= kept) return true;
  const size_t payment = std::min({held - kept, backed.bytes().value, kMaxGrowthPayment});
  (void)scavenge(Bytes{payment}, ScavengeMode::kBackground);
  return true;
}

bool PageHeap::pay_some(PageCount backed, size_t excess) {
  const size_t payment = std::min(excess, backed.bytes().value) + kAheadBytes;
  // Every allocation comes here as long as the limit is passed. What was refused is tried again now
  // and then by who reduces the heap.
  if (free_retained_bytes() > 0) {
    (void)scavenge(Bytes{payment}, ScavengeMode::kForced, Refused::kLeftAlone);
  }
  if (excess_bytes() > 0) over_limit_.store(true, std::memory_order_relaxed);
  return true;
}

bool PageHeap::pay_all(PageCount backed) {
  for (int attempt = 0; attempt < kAttempts && free_retained_bytes() > 0; ++attempt) {
    const size_t payment = std::max(excess_bytes(), backed.bytes().value);
    const bool done = scavenge(Bytes{payment}, ScavengeMode::kForced).value > 0;
    if (excess_bytes() == 0) break;
    // Other threads have pages in their hands that still count as retained.
    if (!done) platform::sleep_ns(kWaitNs);
  }
  return excess_bytes() == 0;
}

void PageHeap::take_back_allocation(PageRange pages, RecordPool* records, void* record) {
  // Some of it was backed: all of it goes back to the system, so that the counts are right.
  const bool released = source_.release(pages) != platform::ReleaseResult::kRefused;
  MutexLock lock(mutex_);
  if (records != nullptr) records->give_back(record);
  free_locked(pages, released ? Backing::kReleased : Backing::kRetained);
}

}  // namespace spanmalloc
