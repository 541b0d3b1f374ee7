// Freed blocks of one thread that wait before they can be used again, so that what a program does
// to a freed block meets no new owner. A block that comes takes a random place; whatever lay there
// leaves. Bounded in blocks and in bytes.
//
// Only the owning thread writes. A place is one word, so a fork of another thread finds each place
// with or without its block, and statistics may read meanwhile.
#ifndef SPANMALLOC_CACHE_QUARANTINE_H_
#define SPANMALLOC_CACHE_QUARANTINE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "spans/size_class.h"

namespace spanmalloc {

// All zero at first, which is empty.
class Quarantine {
 public:
  static constexpr size_t kPlaces = 512;
  static constexpr size_t kMaxBytes = size_t{512} << 10;

  struct Block {
    uintptr_t address = 0;
    SizeClass size_class = kNoSizeClass;

    bool is_none() const { return address == 0; }
  };

  // Puts the block at the place that `random` chooses and returns the one that was there, if any.
  Block exchange(Block block, uint64_t random);

  // Takes out the first block at or after the place that `random` chooses; none when empty.
  Block take(uint64_t random);

  // Whether one more block of the class is within the bound in bytes; true of an empty one.
  bool has_room_for(SizeClass size_class) const {
    return bytes_ + kSizeClasses[size_class].object_bytes <= kMaxBytes;
  }
  size_t bytes() const { return bytes_; }

  // Blocks of the class. Other threads may ask and get a stale answer.
  size_t object_count(SizeClass size_class) const { return counts_[size_class]; }

  // For the child of a fork: counts again what its thread was changing.
  void recount();

  void check_invariants() const;

 private:
  // The address and, in the highest byte, the class.
  using Place = uint64_t;
  static constexpr int kClassShift = 56;

  static Place packed(Block block) {
    return uint64_t{block.address} | (uint64_t{block.size_class} << kClassShift);
  }
  static Block unpacked(Place place) {
    return {static_cast<uintptr_t>(place & ((uint64_t{1} << kClassShift) - 1)),
            static_cast<SizeClass>(place >> kClassShift)};
  }
  void count_in(Block block);
  void count_out(Block block);

  std::array<Place, kPlaces> places_{};
  std::array<uint16_t, kSizeClassCount> counts_{};
  size_t bytes_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_QUARANTINE_H_
