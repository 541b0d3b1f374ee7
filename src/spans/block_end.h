// What stands behind a block under hardening: a word at the end of its object that tells how many
// bytes the program asked for, and canary bytes between those and the word.
//
//   object  [ block ... | canary bytes | end word ]
//
// The end word is 8 bits of canary, never 0, 18 bits of slack (the number of canary bytes) and 38
// bits of check over the slack, all of it under a mask made of the address and a secret of the
// process. So a word that was copied from another block, or of which any byte was changed, is
// broken, but for one chance in 2^38. A canary that is never 0 finds every string that is one byte
// too long.
#ifndef SPANMALLOC_SPANS_BLOCK_END_H_
#define SPANMALLOC_SPANS_BLOCK_END_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bits.h"
#include "spans/size_class.h"

namespace spanmalloc {

// What freed memory was filled with.
enum class FreedFill : uint8_t { kZero, kPattern };

struct BlockEnd {
  enum class State : uint8_t { kLive, kFreed, kBroken };
  State state = State::kBroken;
  // Of a live block: what the program asked for.
  size_t bytes = 0;
  // Of a freed object.
  FreedFill fill = FreedFill::kZero;
};

class BlockEnds {
 public:
  static constexpr size_t kWordBytes = sizeof(uint64_t);

  constexpr BlockEnds() = default;
  // REQUIRES: called before any end is written.
  void set_secret(uint64_t secret) { secret_ = secret; }

  // Writes the end of a block of `bytes` bytes. REQUIRES: bytes + kWordBytes <= object_bytes.
  void write_live(uintptr_t object, size_t object_bytes, size_t bytes) const {
    const uint64_t mask = mask_of(object);
    const size_t slack = object_bytes - kWordBytes - bytes;
    memset(reinterpret_cast<void*>(object + bytes), canary_of(mask), slack);
    word_of(object, object_bytes) = coded(slack) ^ mask;
  }

  // Writes the word of an object that the program has freed.
  void write_freed(uintptr_t object, size_t object_bytes, FreedFill fill) const {
    const size_t slack = kFreedSlack + static_cast<size_t>(fill);
    word_of(object, object_bytes) = coded(slack) ^ mask_of(object);
  }

  // What the object's end says; broken as well when a canary byte has changed.
  BlockEnd read(uintptr_t object, size_t object_bytes) const {
    const uint64_t mask = mask_of(object);
    const uint64_t code = word_of(object, object_bytes) ^ mask;
    const size_t slack = (code >> kCanaryBits) & ((uint64_t{1} << kSlackBits) - 1);
    if (code != coded(slack)) return {};
    if (slack >= kFreedSlack) {
      return {BlockEnd::State::kFreed, 0, static_cast<FreedFill>(slack - kFreedSlack)};
    }
    if (slack > object_bytes - kWordBytes) return {};
    const size_t bytes = object_bytes - kWordBytes - slack;
    const auto* canary = reinterpret_cast<const unsigned char*>(object + bytes);
    for (size_t index = 0; index < slack; ++index) {
      if (canary[index] != canary_of(mask)) return {};
    }
    return {BlockEnd::State::kLive, bytes, FreedFill::kZero};
  }

  // Canary bytes alone, for a block whose size is kept elsewhere.
  void write_canary(uintptr_t block, size_t bytes, size_t count) const {
    memset(reinterpret_cast<void*>(block + bytes), canary_of(mask_of(block)), count);
  }
  bool has_canary(uintptr_t block, size_t bytes, size_t count) const {
    const auto* canary = reinterpret_cast<const unsigned char*>(block + bytes);
    const unsigned char wanted = canary_of(mask_of(block));
    for (size_t index = 0; index < count; ++index) {
      if (canary[index] != wanted) return false;
    }
    return true;
  }

 private:
  static constexpr int kCanaryBits = 8;
  static constexpr int kSlackBits = 18;
  // Slacks that no live block has: this one and the next.
  static constexpr size_t kFreedSlack = (size_t{1} << kSlackBits) - 2;
  static_assert(kMaxSmallBytes < kFreedSlack);

  static uint64_t& word_of(uintptr_t object, size_t object_bytes) {
    return *reinterpret_cast<uint64_t*>(object + object_bytes - kWordBytes);
  }
  static unsigned char canary_of(uint64_t mask) { return static_cast<unsigned char>(mask); }
  // An odd factor (that of SplitMix64) spreads each bit of the slack over the check.
  static uint64_t coded(size_t slack) {
    const uint64_t check = (slack + 1) * 0x9e3779b97f4a7c15u;
    return (uint64_t{slack} << kCanaryBits) | (check << (kCanaryBits + kSlackBits));
  }
  // With the lowest bit set, for the canary is the lowest byte.
  uint64_t mask_of(uintptr_t object) const { return mix_bits(object ^ secret_) | 1; }

  uint64_t secret_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_BLOCK_END_H_
