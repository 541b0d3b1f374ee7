#include "cache/cache_owner.h"

#include "platform/system.h"

namespace spanmalloc {

namespace {

// A cache is borrowed for a millisecond or a few.
constexpr uint64_t kWaitNs = 50'000;

}  // namespace

void CacheOwner::attach(CacheSlot* slot, int thread_id) {
  slot_.store(slot, std::memory_order_relaxed);
  thread_id_ = thread_id;
  // Release: who borrows sees slot and thread.
  state_.store(kAttached, std::memory_order_release);
}

void CacheOwner::detach() {
  while (true) {
    uint32_t state = kAttached;
    // Acquire: what the borrower did to the cache is done.
    if (state_.compare_exchange_strong(state, kNone, std::memory_order_acquire)) return;
    if (state == kNone) return;
    platform::sleep_ns(kWaitNs);
  }
}

bool CacheOwner::try_borrow(HotCache* cache, HotCache* in_its_place) {
  uint32_t state = kAttached;
  if (!state_.compare_exchange_strong(state, kBorrowed, std::memory_order_acquire)) return false;
  HotCache* expected = cache;
  // Sequentially consistent: before the look at whether the owner sleeps.
  CacheSlot* slot = slot_.load(std::memory_order_relaxed);
  if (slot->compare_exchange_strong(expected, in_its_place, std::memory_order_seq_cst)) return true;
  // The owner is about to attach or detach it.
  state_.store(kAttached, std::memory_order_release);
  return false;
}

void CacheOwner::give_back(HotCache* cache) {
  // Release: an owner that finds its cache again finds it whole.
  slot_.load(std::memory_order_relaxed)->store(cache, std::memory_order_release);
  state_.store(kAttached, std::memory_order_release);
}

}  // namespace spanmalloc
