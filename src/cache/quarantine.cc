#include "cache/quarantine.h"

#include "base/check.h"

namespace spanmalloc {

void Quarantine::count_in(Block block) {
  ++counts_[block.size_class];
  bytes_ += kSizeClasses[block.size_class].object_bytes;
}

void Quarantine::count_out(Block block) {
  --counts_[block.size_class];
  bytes_ -= kSizeClasses[block.size_class].object_bytes;
}

Quarantine::Block Quarantine::exchange(Block block, uint64_t random) {
  Place& place = places_[random % kPlaces];
  const Block before = unpacked(place);
  place = packed(block);
  count_in(block);
  if (!before.is_none()) count_out(before);
  return before;
}

Quarantine::Block Quarantine::take(uint64_t random) {
  for (size_t step = 0; step < kPlaces; ++step) {
    Place& place = places_[(random + step) % kPlaces];
    if (place == 0) continue;
    const Block block = unpacked(place);
    place = 0;
    count_out(block);
    return block;
  }
  return {};
}

void Quarantine::recount() {
  counts_ = {};
  bytes_ = 0;
  for (const Place place : places_) {
    if (place != 0) count_in(unpacked(place));
  }
}

void Quarantine::check_invariants() const {
  Quarantine counted;
  counted.places_ = places_;
  counted.recount();
  SPANMALLOC_CHECK(counted.counts_ == counts_, "a quarantine with a wrong count of a class");
  SPANMALLOC_CHECK(counted.bytes_ == bytes_, "a quarantine with a wrong number of bytes");
  for (const Place place : places_) {
    const Block block = unpacked(place);
    SPANMALLOC_CHECK(block.is_none() == (block.size_class == kNoSizeClass),
                     "a block without class in a quarantine");
  }
}

}  // namespace spanmalloc
