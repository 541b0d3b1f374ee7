// Puts the blocks of a list into the order of their addresses.
//
// A program that builds a structure, destroys it and builds the next one gets blocks in the order
// in which it freed the last ones. Each round mixes them further, until what follows each other in
// the structure lies anywhere, and each step through it waits for memory. Lists that leave a thread
// in order keep its blocks as close together as fresh ones are. Where a list has one block here and
// one there, no order helps: in their spans, its blocks lie beside others that are free.
#ifndef SPANMALLOC_CACHE_ADDRESS_ORDER_H_
#define SPANMALLOC_CACHE_ADDRESS_ORDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/config.h"
#include "cache/sentinel_table.h"
#include "spans/free_list.h"
#include "spans/page_map.h"
#include "spans/size_class.h"

namespace spanmalloc {

// The top of a list of the same blocks, the one with the lowest address uppermost; nothing when the
// blocks lie too far apart for their order to matter. The list stays as it is if it is short, if
// its upper part runs in one direction already, and if the program has changed a link or a mark in
// it, which is for others to report. REQUIRES: nobody else takes blocks from the list.
std::optional<FreeNode*> in_address_order(Magazine list, SizeClass size_class, ListKey key,
                                          ClassMapView class_map, const SentinelTable& sentinels);

// A set of blocks of one list, as bits for the places where a block can start.
class BlockSet {
 public:
  enum class Added { kYes, kIsThereAlready, kTooFarFromOthers };
  [[nodiscard]] Added add(uintptr_t address);
  // Links all blocks, which are `count`, above `below`; returns the uppermost, which has the lowest
  // address. REQUIRES: there is room for them.
  FreeNode* link_above(FreeNode* below, size_t count, ListKey key) const;

 private:
  static constexpr size_t kWindowBytes = size_t{32} << 10;
  static constexpr size_t kMaxWindows = 8;
  static constexpr size_t kWords = kWindowBytes / kMinAlignment / 64;

  struct Window {
    uintptr_t base;
    std::array<uint64_t, kWords> bits;
  };

  // The window around the address; nullptr when it would be one too many.
  Window* window_of(uintptr_t address);
  // The first window that begins at `begin` or above. REQUIRES: there is one.
  const Window& lowest_from(uintptr_t begin) const;

  size_t window_count_ = 0;
  Window* last_ = nullptr;
  // Those beyond the count are not written to: they are 2 KiB of the caller's stack.
  std::array<Window, kMaxWindows> windows_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_ADDRESS_ORDER_H_
