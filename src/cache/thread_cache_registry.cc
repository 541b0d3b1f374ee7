#include "cache/thread_cache_registry.h"

#include "base/check.h"
#include "platform/signal_block.h"
#include "platform/thread.h"

namespace spanmalloc {

namespace {

ThreadCache* pop(ThreadCache*& list) {
  ThreadCache* cache = list;
  if (cache == nullptr) return nullptr;
  list = cache->next_waiting;
  cache->holder = platform::thread_number();
  return cache;
}

void push(ThreadCache*& list, ThreadCache* cache) {
  cache->holder = 0;
  cache->next_waiting = list;
  list = cache;
}

}  // namespace

ThreadCache* ThreadCacheRegistry::acquire(ListKey key, ClassMapView class_map,
                                          SentinelTable& sentinels) {
  if (ThreadCache* cache = take_waiting(); cache != nullptr) return cache;
  return make(key, class_map, sentinels);
}

ThreadCache* ThreadCacheRegistry::take_waiting() {
  MutexLock lock(mutex_);
  ThreadCache* cache = pop_warm();
  if (cache == nullptr) cache = pop(emptied_);
  if (cache != nullptr) ++acquired_;
  return cache;
}

ThreadCache* ThreadCacheRegistry::pop_warm() {
  orphan_if_due();
  ThreadCache* cache = pop(warm_);
  if (cache == nullptr) return nullptr;
  --warm_count_;
  cache->repair_if_orphaned();
  return cache;
}

ThreadCache* ThreadCacheRegistry::make(ListKey key, ClassMapView class_map,
                                       SentinelTable& sentinels) {
  MutexLock lock(mutex_);
  void* record = arena_.allocate(sizeof(ThreadCache), alignof(ThreadCache));
  if (record == nullptr) return nullptr;
  ++acquired_;
  // Not constructed, which would write to all of the record: it begins as zeros.
  ThreadCache* cache = static_cast<ThreadCache*>(record);
  cache->open(key, class_map, sentinels);
  cache->holder = platform::thread_number();
  cache->next_registered = all_;
  all_ = cache;
  ++count_;
  return cache;
}

bool ThreadCacheRegistry::take_back_if_ended(ThreadCache& cache) {
  // That the others' threads are gone is no news in a child where they are still to be orphaned.
  if (survivor_.load(std::memory_order_relaxed) != 0) return false;
  if (!cache.owner().may_have_ended()) return false;
  // In a child that a handler forks here the cache would be taken for another thread's.
  const platform::SignalBlock no_handlers;
  if (!cache.owner().forget_if_ended()) return false;
  // From here on the cache is nobody's but the caller's.
  unseen_ends_.fetch_add(1, std::memory_order_relaxed);
  cache.forget_owner();
  cache.note_orphaned();
  release(&cache, Contents::kKept);
  return true;
}

bool ThreadCacheRegistry::take_back_all_ended() {
  bool found = false;
  for (ThreadCache* cache = first(); cache != nullptr; cache = cache->next_registered) {
    found |= take_back_if_ended(*cache);
  }
  return found;
}

void ThreadCacheRegistry::release(ThreadCache* cache, Contents contents) {
  cache->forget_refills();
  MutexLock lock(mutex_);
  if (contents == Contents::kKept) {
    push(warm_, cache);
    ++warm_count_;
  } else {
    push(emptied_, cache);
  }
}

bool ThreadCacheRegistry::has_enough_warm() {
  MutexLock lock(mutex_);
  return warm_count_ >= kWarmCaches;
}

ThreadCache* ThreadCacheRegistry::take_warm() {
  MutexLock lock(mutex_);
  return pop_warm();
}

size_t ThreadCacheRegistry::empty_warm(CentralLists& centrals, SentinelTable& sentinels,
                                       size_t at_most) {
  size_t emptied = 0;
  for (size_t count = 0; count < at_most; ++count) {
    ThreadCache* cache = take_warm();
    if (cache == nullptr) break;
    centrals.for_each([&](const CentralList& central, SizeClass size_class) {
      emptied += cache->object_count(size_class) * kSizeClasses[size_class].object_bytes;
      cache->flush(size_class, central, sentinels, ThreadCache::FlushTo::kSpans);
    });
    // Of a thread that did not come along into the child of a fork; others have emptied theirs.
    cache->flush_quarantine(centrals);
    release(cache, Contents::kEmptied);
  }
  return emptied;
}

void ThreadCacheRegistry::orphan_all_but(ThreadCache* mine, WaitingLists lists) {
  MutexLock lock(mutex_);
  survivor_.store(0, std::memory_order_relaxed);
  unseen_ends_.store(0, std::memory_order_relaxed);
  const uint32_t self = platform::thread_number();
  if (mine != nullptr) mine->holder = self;
  if (lists == WaitingLists::kTorn) {
    warm_ = nullptr;
    emptied_ = nullptr;
    warm_count_ = 0;
    count_ = 0;
    // Held by nobody, and so put into the lists below.
    constexpr uint32_t kGone = UINT32_MAX;
    for (ThreadCache* cache = all_; cache != nullptr; cache = cache->next_registered) {
      if (cache->holder == 0) cache->holder = kGone;
      ++count_;
    }
  }
  orphan_held_but(self);
}

// Caches that wait are left as they are: they may be thousands, whose memory parent and child share
// as long as nobody writes to it. What the survivor was about to take or to give back when a
// handler interrupted it, and forked, is still in its hands.
void ThreadCacheRegistry::orphan_held_but(uint32_t survivor) {
  for (ThreadCache* cache = all_; cache != nullptr; cache = cache->next_registered) {
    if (cache->holder == 0 || cache->holder == survivor) continue;
    cache->forget_owner();
    cache->note_orphaned();
    push(warm_, cache);
    ++warm_count_;
  }
}

void ThreadCacheRegistry::orphan_later() {
  survivor_.store(platform::thread_number(), std::memory_order_relaxed);
  unseen_ends_.store(0, std::memory_order_relaxed);
}

// Before a new thread gets a cache: who holds one, but for the survivor, was not copied.
void ThreadCacheRegistry::orphan_if_due() {
  if (survivor_.load(std::memory_order_relaxed) == 0) return;
  orphan_held_but(survivor_.exchange(0, std::memory_order_relaxed));
}

ThreadCache* ThreadCacheRegistry::owned_by(const CacheSlot* slot, int thread_id) {
  for (ThreadCache* cache = first(); cache != nullptr; cache = cache->next_registered) {
    const CacheOwner& owner = cache->owner();
    if (owner.is_of(slot) && owner.thread_id() == thread_id) return cache;
  }
  return nullptr;
}

ThreadCache* ThreadCacheRegistry::borrowed_from(const CacheSlot* slot) {
  for (ThreadCache* cache = first(); cache != nullptr; cache = cache->next_registered) {
    if (cache->owner().is_of(slot) && cache->owner().is_borrowed()) return cache;
  }
  return nullptr;
}

void ThreadCacheRegistry::check_invariants() {
  MutexLock lock(mutex_);
  size_t all = 0;
  for (ThreadCache* cache = all_; cache != nullptr; cache = cache->next_registered) ++all;
  SPANMALLOC_CHECK(all == count_, "registry with a wrong cache count");
  size_t warm = 0;
  for (ThreadCache* cache = warm_; cache != nullptr; cache = cache->next_waiting) {
    SPANMALLOC_CHECK(cache->holder == 0, "a cache waits that a thread holds");
    ++warm;
  }
  SPANMALLOC_CHECK(warm == warm_count_, "registry with a wrong count of waiting caches");
  size_t emptied = 0;
  for (ThreadCache* cache = emptied_; cache != nullptr; cache = cache->next_waiting) ++emptied;
  SPANMALLOC_CHECK(warm + emptied <= all, "more caches wait than there are");
}

}  // namespace spanmalloc
