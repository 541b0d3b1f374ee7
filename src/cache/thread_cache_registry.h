#ifndef SPANMALLOC_CACHE_THREAD_CACHE_REGISTRY_H_
#define SPANMALLOC_CACHE_THREAD_CACHE_REGISTRY_H_

#include <atomic>
#include <cstddef>

#include "base/metadata_arena.h"
#include "base/mutex.h"
#include "cache/thread_cache.h"
#include "central/central_lists.h"

namespace spanmalloc {

// All thread caches that were ever made. A cache whose thread has ended waits here, with what it
// holds, for the next thread: a program that starts and ends threads all the time keeps warm
// caches. Waiting caches are emptied beyond a few, and whenever memory is wanted.
class ThreadCacheRegistry {
 public:
  constexpr explicit ThreadCacheRegistry(MetadataArena& arena) : arena_(arena) {}

  // A cache for the calling thread, with objects if one waits that has some; nullptr when metadata
  // is refused.
  ThreadCache* acquire(ListKey key, ClassMapView class_map, SentinelTable& sentinels)
      SPANMALLOC_EXCLUDES(mutex_);

  // Takes back the cache of a thread that ends, emptied by the caller or not.
  enum class Contents { kKept, kEmptied };
  void release(ThreadCache* cache, Contents contents) SPANMALLOC_EXCLUDES(mutex_);

  // Threads that end by the bare system call, or that first allocate in the last round of their
  // destructors, do not give their caches back. Takes the cache back if its thread was one of them:
  // it waits, with what it holds, for a new one.
  bool take_back_if_ended(ThreadCache& cache) SPANMALLOC_EXCLUDES(mutex_);
  // The same for all caches; true when it took one back. Takes time in proportion to their number.
  bool take_back_all_ended() SPANMALLOC_EXCLUDES(mutex_);
  // How many threads that ended so were found since the last call.
  size_t take_unseen_ends() { return unseen_ends_.exchange(0, std::memory_order_relaxed); }

  // Whether as many caches wait with objects as should.
  bool has_enough_warm() SPANMALLOC_EXCLUDES(mutex_);

  // Empties caches that wait with objects into their spans, `at_most` of them; returns the bytes.
  size_t empty_warm(CentralLists& centrals, SentinelTable& sentinels, size_t at_most = SIZE_MAX)
      SPANMALLOC_EXCLUDES(mutex_);

  // Caches given out so far; whoever reads it twice knows whether threads have started between.
  size_t acquired_count() SPANMALLOC_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return acquired_;
  }

  // In the child of a fork: every cache but `mine`, and what else the calling thread had in its
  // hands, has lost its thread and waits for a new one.
  // Lists that such a thread was changing are made whole when it is taken or emptied.
  // kTorn: another thread was in the lock's section.
  // REQUIRES: no handler that takes or releases a cache interrupts the calling thread here.
  enum class WaitingLists { kWhole, kTorn };
  void orphan_all_but(ThreadCache* mine, WaitingLists lists) SPANMALLOC_EXCLUDES(mutex_);
  // The same for a child that was forked by a handler which interrupted its thread in the lock's
  // section: done when the lock is taken next.
  void orphan_later();

  // The cache that was made last. The others follow by next_registered, which never changes.
  ThreadCache* first() SPANMALLOC_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    orphan_if_due();
    return all_;
  }

  // The cache of the thread with this slot, also while it is borrowed; nullptr when it has none. A
  // thread that ended unseen may have left one with the same slot.
  ThreadCache* owned_by(const CacheSlot* slot, int thread_id) SPANMALLOC_EXCLUDES(mutex_);
  // In the child of a fork, where nobody borrows and threads have other numbers: the cache that was
  // borrowed from the thread with this slot; nullptr when none was.
  ThreadCache* borrowed_from(const CacheSlot* slot) SPANMALLOC_EXCLUDES(mutex_);

  // Calls visit(const ThreadCache&) for every cache, without the lock, until it returns false.
  template <typename Visit>
  void for_each(Visit visit) SPANMALLOC_EXCLUDES(mutex_) {
    for (const ThreadCache* cache = first(); cache != nullptr; cache = cache->next_registered) {
      if (!visit(*cache)) return;
    }
  }

  size_t cache_count() SPANMALLOC_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    return count_;
  }

  void check_invariants() SPANMALLOC_EXCLUDES(mutex_);
  Mutex& mutex() { return mutex_; }

 private:
  // Waiting caches that may keep what they hold: enough for a pool that ends and starts a thread
  // on each of a few processors.
  static constexpr size_t kWarmCaches = 4;

  ThreadCache* take_warm() SPANMALLOC_EXCLUDES(mutex_);
  ThreadCache* take_waiting() SPANMALLOC_EXCLUDES(mutex_);
  // A cache from the top of the warm ones, made whole; nullptr when none waits.
  ThreadCache* pop_warm() SPANMALLOC_REQUIRES(mutex_);
  ThreadCache* make(ListKey key, ClassMapView class_map, SentinelTable& sentinels)
      SPANMALLOC_EXCLUDES(mutex_);
  void orphan_held_but(uint32_t survivor) SPANMALLOC_REQUIRES(mutex_);
  void orphan_if_due() SPANMALLOC_REQUIRES(mutex_);

  MetadataArena& arena_;
  Mutex mutex_{LockRank::kRegistry};
  ThreadCache* all_ SPANMALLOC_GUARDED_BY(mutex_) = nullptr;
  // Waiting caches, last in first out: with objects perhaps, and without.
  ThreadCache* warm_ SPANMALLOC_GUARDED_BY(mutex_) = nullptr;
  ThreadCache* emptied_ SPANMALLOC_GUARDED_BY(mutex_) = nullptr;
  size_t count_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  size_t warm_count_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  size_t acquired_ SPANMALLOC_GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> unseen_ends_{0};
  // The thread that came along into a child in which the others' caches are still to be orphaned;
  // 0: none.
  std::atomic<uint32_t> survivor_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_THREAD_CACHE_REGISTRY_H_
