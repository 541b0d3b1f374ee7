#include "cache/sleeping_caches.h"

#include "platform/compiler.h"

namespace spanmalloc {

size_t SleepingCaches::empty(ThreadCache& cache) {
  CacheOwner& owner = cache.owner();
  // Asked before anything is touched, so that a thread at work is not disturbed.
  if (!watch_.sleeps(owner.thread_id(), owner.anchor())) return 0;
  if (!owner.try_borrow(&cache, &empty_thread_cache)) return 0;
  size_t bytes = 0;
  if (watch_.sleeps(owner.thread_id(), owner.anchor()) && !cache.is_used()) {
    bytes = cache.held_bytes();
    centrals_.for_each([&](const CentralList& central, SizeClass size_class) {
      cache.flush(size_class, central, sentinels_, ThreadCache::FlushTo::kSpans);
    });
  }
  owner.give_back(&cache, &empty_thread_cache);
  return bytes;
}

size_t SleepingCaches::empty_next(bool* more) {
  // The kernel orders what is shared here, by putting the owner to sleep; the sanitizer cannot see
  // it.
  if constexpr (platform::kThreadSanitizer) {
    *more = false;
    return 0;
  }
  if (next_ == nullptr) next_ = registry_.first();
  while (next_ != nullptr) {
    ThreadCache& cache = *next_;
    next_ = cache.next_registered;
    *more = next_ != nullptr;
    if (registry_.take_back_if_ended(cache)) return cache.held_bytes();
    if (cache.rests() && cache.held_bytes() >= kWorthwhileBytes) return empty(cache);
  }
  *more = false;
  return 0;
}

}  // namespace spanmalloc
