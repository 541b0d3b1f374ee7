#ifndef SPANMALLOC_SCAVENGER_LIMIT_KEEPER_H_
#define SPANMALLOC_SCAVENGER_LIMIT_KEEPER_H_

#include <atomic>
#include <cstddef>

#include "cache/thread_cache_registry.h"
#include "central/central_lists.h"
#include "central/hole_releaser.h"
#include "pages/page_heap.h"

namespace spanmalloc {

// Brings the heap back below its memory limit when free pages alone did not suffice: what lies in
// depots and in the caches of ended threads goes back to its spans, pages that become free by it go
// back to the system, and last the holes of spans, until what is held is within the limit.
//
// A program whose live blocks pass the limit would pay for that at every call, in vain. So after an
// attempt that failed the next one waits until the heap has grown by a part of the limit, or until
// the next epoch.
class LimitKeeper {
 public:
  constexpr LimitKeeper(PageHeap& page_heap, CentralLists& centrals, HoleReleaser& holes,
                        ThreadCacheRegistry& registry, SentinelTable& sentinels)
      : page_heap_(page_heap),
        centrals_(centrals),
        holes_(holes),
        registry_(registry),
        sentinels_(sentinels) {}

  // Whether the heap is over its limit and an attempt is worth its cost. No lock.
  bool should_reduce() const;

  // Drains and gives back; true when the heap is within its limit afterwards. Takes time in
  // proportion to what is drained. Called without a lock.
  bool reduce(ListKey key);

  // Empties depots and the caches of ended threads into their spans; returns the bytes.
  size_t drain(ListKey key);

  // Lets the next attempt come without waiting for growth.
  void start_epoch() { next_attempt_.store(0, std::memory_order_relaxed); }

 private:
  size_t step() const;
  size_t wanted() const;

  PageHeap& page_heap_;
  CentralLists& centrals_;
  HoleReleaser& holes_;
  ThreadCacheRegistry& registry_;
  SentinelTable& sentinels_;
  // Bytes consumed from which on the next attempt may come.
  std::atomic<size_t> next_attempt_{0};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SCAVENGER_LIMIT_KEEPER_H_
