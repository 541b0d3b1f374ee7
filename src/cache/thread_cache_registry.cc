#include "cache/thread_cache_registry.h"

#include "base/check.h"
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
  MutexLock lock(mutex_);
  ++acquired_;
  if (ThreadCache* cache = pop(warm_); cache != nullptr) {
    --warm_count_;
    cache->repair_if_orphaned();
    return cache;
  }
  if (ThreadCache* cache = pop(emptied_); cache != nullptr) return cache;
  void* record = arena_.allocate(sizeof(ThreadCache), alignof(ThreadCache));
  if (record == nullptr) return nullptr;
  // Not constructed, which would write to all of the record: it begins as zeros.
  ThreadCache* cache = static_cast<ThreadCache*>(record);
  cache->open(key, class_map, sentinels);
  cache->holder = platform::thread_number();
  cache->next_registered = all_;
  all_ = cache;
  ++count_;
  return cache;
}

void ThreadCacheRegistry::release(ThreadCache* cache, Contents contents) {
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
  ThreadCache* cache = pop(warm_);
  if (cache != nullptr) {
    --warm_count_;
    cache->repair_if_orphaned();
  }
  return cache;
}

size_t ThreadCacheRegistry::empty_warm(CentralLists& centrals, SentinelTable& sentinels) {
  size_t emptied = 0;
  while (ThreadCache* cache = take_warm()) {
    centrals.for_each([&](const CentralList& central, SizeClass size_class) {
      emptied += cache->object_count(size_class) * kSizeClasses[size_class].object_bytes;
      cache->flush(size_class, central, sentinels, ThreadCache::FlushTo::kSpans);
    });
    release(cache, Contents::kEmptied);
  }
  return emptied;
}

void ThreadCacheRegistry::orphan_all_but(ThreadCache* mine) {
  MutexLock lock(mutex_);
  warm_ = nullptr;
  emptied_ = nullptr;
  warm_count_ = 0;
  const uint32_t self = platform::thread_number();
  for (ThreadCache* cache = all_; cache != nullptr; cache = cache->next_registered) {
    // What this thread was about to take or to give back when a handler interrupted it, and forked,
    // is still in its hands.
    if (cache == mine || cache->holder == self) continue;
    cache->forget_owner();
    cache->note_orphaned();
    push(warm_, cache);
    ++warm_count_;
  }
}

ThreadCache* ThreadCacheRegistry::owned_by(const CacheSlot* slot) {
  for (ThreadCache* cache = first(); cache != nullptr; cache = cache->next_registered) {
    if (cache->owner().is_of(slot)) return cache;
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
