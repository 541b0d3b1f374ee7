#include "cache/cache_owner.h"

#include "platform/sleeping_thread.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

// A cache is borrowed for a millisecond or a few.
constexpr uint64_t kWaitNs = 50'000;

}  // namespace

void CacheOwner::attach(CacheSlot* slot, int thread_id) {
  slot_.store(slot, std::memory_order_relaxed);
  thread_id_.store(thread_id, std::memory_order_relaxed);
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
  CacheSlot* slot = slot_.load(std::memory_order_relaxed);
  // Sequentially consistent: before the look at whether the owner sleeps.
  if (slot->compare_exchange_strong(expected, in_its_place, std::memory_order_seq_cst)) return true;
  // The owner is about to attach or detach it.
  state_.store(kAttached, std::memory_order_release);
  return false;
}

void CacheOwner::give_back(HotCache* cache, HotCache* in_its_place) {
  if (!platform::has_no_thread(thread_id())) {
    HotCache* expected = in_its_place;
    // Release: an owner that finds its cache again finds it whole.
    slot_.load(std::memory_order_relaxed)
        ->compare_exchange_strong(expected, cache, std::memory_order_release,
                                  std::memory_order_relaxed);
  }
  state_.store(kAttached, std::memory_order_release);
}

bool CacheOwner::may_have_ended() const {
  return state_.load(std::memory_order_relaxed) == kAttached &&
         platform::has_no_thread(thread_id());
}

bool CacheOwner::forget_if_ended() {
  // Asked before anything is touched, so that no living thread has to wait.
  if (!may_have_ended()) return false;
  // The owner may just have detached, and the cache have another one.
  uint32_t state = kAttached;
  if (!state_.compare_exchange_strong(state, kBorrowed, std::memory_order_acquire)) return false;
  // Now it stays whose it is: an owner that detaches is still there, for it waits.
  const bool has_ended = platform::has_no_thread(thread_id());
  state_.store(has_ended ? kNone : kAttached, std::memory_order_release);
  return has_ended;
}

}  // namespace spanmalloc
