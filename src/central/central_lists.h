#ifndef SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_
#define SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_

#include <array>
#include <cstddef>

#include "central/central_list.h"

namespace spanmalloc {

// The states of all size classes. The entry of class 0 is never used.
using CentralStates = std::array<CentralState, kSizeClassCount>;

// One central list a size class.
class CentralLists {
 public:
  constexpr CentralLists(CentralStates& states, SpanAllocator& spans, const PageMap& page_map,
                         MetadataArena& arena)
      : environment_{spans, page_map, arena, epoch_, was_claimed_from_}, states_(states) {}

  CentralList operator[](SizeClass size_class) const {
    return {size_class, environment_, states_[size_class]};
  }

  // Calls visit(central, size_class) for each class.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      const SizeClass size_class = static_cast<SizeClass>(index);
      CentralList central = (*this)[size_class];
      visit(central, size_class);
    }
  }

  // A tick of the scavenger's clock. By ticks and by age() the rest of spans is measured.
  // Tells whether objects were claimed in the one that ends.
  enum class Claims : uint8_t { kNone, kSome };
  Claims start_epoch() {
    epoch_.fetch_add(1, std::memory_order_relaxed);
    const bool some = was_claimed_from_.exchange(false, std::memory_order_relaxed);
    return some ? Claims::kSome : Claims::kNone;
  }
  // Lets spans grow older without a tick, by a step of the heap's growth.
  void age() { epoch_.fetch_add(1, std::memory_order_relaxed); }
  uint16_t epoch() const { return epoch_.load(std::memory_order_relaxed); }

  // Bytes in all depots; about right while other threads are at work.
  size_t depot_bytes() const {
    size_t bytes = 0;
    for (const CentralState& state : states_) {
      bytes += state.depot_bytes.load(std::memory_order_relaxed);
    }
    return bytes;
  }

 private:
  std::atomic<uint16_t> epoch_{0};
  std::atomic<bool> was_claimed_from_{false};
  const CentralEnvironment environment_;
  CentralStates& states_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_
