#include "cache/sentinel_table.h"

namespace spanmalloc {

void SentinelTable::open(ListKey key) {
  key_ = key;
  sentinel_without_room()->make_sentinel(key, 0, SealCheck::kAtFree);
}

FreeNode* SentinelTable::sentinel(SizeClass size_class, uint8_t level, SealCheck check,
                                  Mutex& mutex) {
  Ends& ends = ends_[static_cast<size_t>(check)][size_class];
  // Acquire and release: whoever sees that they are made sees what they are.
  if (!ends.made.load(std::memory_order_acquire)) {
    MutexLock lock(mutex);
    if (!ends.made.load(std::memory_order_relaxed)) {
      for (uint8_t each = 0; each < kLevels; ++each) {
        ends.sentinels[each].make_sentinel(key_, capacity(size_class, each), check);
      }
      ends.made.store(true, std::memory_order_release);
    }
  }
  return &ends.sentinels[level];
}

}  // namespace spanmalloc
