#ifndef SPANMALLOC_CACHE_SLEEPING_CACHES_H_
#define SPANMALLOC_CACHE_SLEEPING_CACHES_H_

#include <cstddef>

#include "cache/thread_cache_registry.h"
#include "platform/sleeping_thread.h"

namespace spanmalloc {

// Empties the caches of threads that sleep, for they cannot do it themselves and may sleep for
// days.
//
// The hot path knows no lock and no test that another thread could use. So the cache is taken out
// of the thread's slot first, and emptied only if the thread has slept in a system call since
// before then (see SleepWatch): the hot path makes no system call, no handler that interrupted it
// is under way, and what is not the hot path says so (CacheUse). A thread that runs, or of which
// that is not certain, keeps its cache. Wherever the kernel does not tell about threads, nothing is
// emptied; threads that sleep in a handler, on a stack of their own making or deeper than 256 KiB
// keep theirs.
//
// For one thread at a time.
class SleepingCaches {
 public:
  constexpr SleepingCaches(ThreadCacheRegistry& registry, CentralLists& centrals,
                           SentinelTable& sentinels)
      : registry_(registry), centrals_(centrals), sentinels_(sentinels) {}

  // Goes on to the next cache that was not used since it was last looked at and holds enough to be
  // worth it. Returns the bytes that were drained into spans, or that went back to the registry
  // with a cache whose thread has ended unseen. *more is false at the end of a round. REQUIRES: as
  // CacheOwner::forget_if_ended().
  size_t empty_next(bool* more);

 private:
  // Less is left where it is: what a thread needs to go on.
  static constexpr size_t kWorthwhileBytes = size_t{16} << 10;

  size_t empty(ThreadCache& cache);

  ThreadCacheRegistry& registry_;
  CentralLists& centrals_;
  SentinelTable& sentinels_;
  platform::SleepWatch watch_;
  ThreadCache* next_ = nullptr;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_SLEEPING_CACHES_H_
