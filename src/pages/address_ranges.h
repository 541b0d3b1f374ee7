#ifndef SPANMALLOC_PAGES_ADDRESS_RANGES_H_
#define SPANMALLOC_PAGES_ADDRESS_RANGES_H_

#include <cstddef>

#include "base/metadata_arena.h"
#include "base/units.h"

namespace spanmalloc {

// A growing set of pages as sorted ranges, with neighbours joined: the mapped part of the address
// window. Protected by the page heap's lock.
class AddressRanges {
 public:
  constexpr explicit AddressRanges(MetadataArena& arena) : arena_(arena) {}
  AddressRanges(const AddressRanges&) = delete;
  AddressRanges& operator=(const AddressRanges&) = delete;

  // Makes room for one more range. False when memory is refused.
  [[nodiscard]] bool reserve_one();

  // Adds pages. REQUIRES: none of them is in the set; reserve_one() succeeded since the last add().
  void add(PageRange pages);

  bool contains(PageNumber page) const;

  // The first page of the set at or above `page`; kNoPage when there is none.
  PageNumber first_at_or_above(PageNumber page) const;

  // The index of the first range that starts above `page`; size() when there is none.
  size_t find_successor(PageNumber page) const;

  size_t size() const { return size_; }
  PageRange operator[](size_t index) const { return ranges_[index]; }
  PageCount total() const { return total_; }

  void check_invariants() const;

 private:
  // A process has one or two ranges; more come from a scattered address space.
  static constexpr size_t kFirstCapacity = 16;

  MetadataArena& arena_;
  PageRange first_storage_[kFirstCapacity] = {};
  PageRange* ranges_ = first_storage_;
  size_t capacity_ = kFirstCapacity;
  size_t size_ = 0;
  PageCount total_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_ADDRESS_RANGES_H_
