#ifndef SPANMALLOC_CACHE_SENTINEL_TABLE_H_
#define SPANMALLOC_CACHE_SENTINEL_TABLE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"
#include "spans/free_list.h"
#include "spans/size_class.h"

namespace spanmalloc {

// The ends of lists, one for each class, capacity and SealCheck, made when first asked for. A list
// starts small and its class's capacity grows fourfold when the lists overflow and the budget
// allows it, so that a thread that frees little keeps little. Class 0 has the end of lists without
// room, which start every class.
class SentinelTable {
 public:
  static constexpr uint8_t kLevels = 3;

  constexpr SentinelTable() = default;

  // REQUIRES: called once, before any list is made.
  void open(ListKey key);

  // The end of a list of capacity(size_class, level); `mutex` is the one of the class's central
  // list.
  FreeNode* sentinel(SizeClass size_class, uint8_t level, SealCheck check, Mutex& mutex)
      SPANMALLOC_EXCLUDES(mutex);
  // Where that end lies, made or not.
  const FreeNode* place(SizeClass size_class, uint8_t level, SealCheck check) const {
    return &ends_[static_cast<size_t>(check)][size_class].sentinels[level];
  }
  FreeNode* sentinel_without_room() { return &ends_[0][kNoSizeClass].sentinels[0]; }
  // Whether the node is the end of a list and no object.
  bool contains(const FreeNode* node) const {
    return node >= &ends_[0][0].sentinels[0] &&
           node <= &ends_[kSealChecks - 1][kSizeClassCount - 1].sentinels[kLevels - 1];
  }
  // Objects of a full list: the class's magazine_capacity on the last of the levels, a quarter of
  // that on each level before, but one at least and up to four within 8 KiB.
  static constexpr size_t capacity(SizeClass size_class, uint8_t level) {
    const size_t full = kSizeClasses[size_class].magazine_capacity;
    const size_t divisor = size_t{1} << (2 * (kLevels - 1 - level));
    constexpr size_t kLeastBytes = size_t{8} << 10;
    const size_t least =
        std::clamp<size_t>(kLeastBytes / kSizeClasses[size_class].object_bytes, 1, 4);
    return full / divisor < least ? least : full / divisor;
  }

 private:
  struct Ends {
    FreeNode sentinels[kLevels] = {};
    std::atomic<bool> made{false};
  };

  static constexpr size_t kSealChecks = 2;

  ListKey key_{};
  // By SealCheck: most processes use the first alone.
  Ends ends_[kSealChecks][kSizeClassCount];
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_SENTINEL_TABLE_H_
