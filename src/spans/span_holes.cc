// The part of a span that gives back memory between its used objects.
#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "platform/virtual_memory.h"
#include "spans/span.h"

namespace spanmalloc {

namespace {

constexpr size_t kUnitsPerSpan = 64;

// Units [first, end) as a mask; end is at most 64.
uint64_t unit_mask(size_t first, size_t end) {
  return first < end ? low_bits(end) & ~low_bits(first) : 0;
}

}  // namespace

size_t Span::unit_bytes() const {
  return std::max(platform::page_bytes(), std::bit_ceil(bytes().value) / kUnitsPerSpan);
}

// The first free object from `index` on; object_count() when there is none.
size_t Span::next_free(size_t index) const {
  while (index < object_count_) {
    const uint64_t bits = free_bits_[index / 64] >> (index % 64);
    if (bits != 0) return index + static_cast<size_t>(std::countr_zero(bits));
    index = (index / 64 + 1) * 64;
  }
  return object_count_;
}

// The first used object from `index` on; object_count() when there is none.
size_t Span::next_used(size_t index) const {
  while (index < object_count_) {
    const uint64_t bits = ~free_bits_[index / 64] >> (index % 64);
    if (bits != 0) {
      return std::min<size_t>(object_count_, index + static_cast<size_t>(std::countr_zero(bits)));
    }
    index = (index / 64 + 1) * 64;
  }
  return object_count_;
}

uint64_t Span::holes() const {
  const size_t unit = unit_bytes();
  // A span may begin in the middle of a kernel page that is larger than ours.
  if (!is_aligned(base_, platform::page_bytes())) return 0;
  const size_t object_bytes = kSizeClasses[size_class()].object_bytes;
  // What lies behind the last object is never used.
  const size_t end_of_objects = object_count_ * object_bytes;
  uint64_t units = unit_mask((end_of_objects + unit - 1) / unit, bytes().value / unit);
  for (size_t first = next_free(0); first < object_count_;) {
    const size_t end = next_used(first);
    const size_t end_offset = end == object_count_ ? bytes().value : end * object_bytes;
    units |= unit_mask((first * object_bytes + unit - 1) / unit, end_offset / unit);
    first = next_free(end);
  }
  return units;
}

bool Span::borrow(uint64_t units, ObjectBits& objects) {
  SPANMALLOC_DCHECK(!is_lent_, "a span lent twice");
  const size_t unit = unit_bytes();
  const size_t object_bytes = kSizeClasses[size_class()].object_bytes;
  for (uint64_t& word : objects) word = 0;
  for (uint64_t left = units; left != 0; left &= left - 1) {
    const size_t offset = static_cast<size_t>(std::countr_zero(left)) * unit;
    const size_t end = std::min<size_t>(object_count_, (offset + unit - 1) / object_bytes + 1);
    for (size_t index = offset / object_bytes; index < end; ++index) {
      objects[index / 64] |= uint64_t{1} << (index % 64);
    }
  }
  for (size_t word = 0; word < word_count(); ++word) {
    SPANMALLOC_DCHECK((objects[word] & ~free_bits_[word]) == 0, "a hole with a used object");
    free_bits_[word] &= ~objects[word];
    free_count_ = static_cast<uint16_t>(free_count_ - std::popcount(objects[word]));
    is_lent_ |= objects[word] != 0;
  }
  return is_lent_;
}

uintptr_t Span::put_back(const ObjectBits& objects) {
  is_lent_ = false;
  for (size_t word = word_count(); word-- > 0;) {
    if (objects[word] == 0) continue;
    if (const uint64_t twice = objects[word] & free_bits_[word]; twice != 0) {
      const size_t index = word * 64 + static_cast<size_t>(std::countr_zero(twice));
      return base_ + index * kSizeClasses[size_class()].object_bytes;
    }
    free_bits_[word] |= objects[word];
    free_count_ = static_cast<uint16_t>(free_count_ + std::popcount(objects[word]));
    first_free_word_ = std::min(first_free_word_, static_cast<uint8_t>(word));
    note_unsealed_word(word);
  }
  return 0;
}

Bytes Span::note_touched(const Claim& claim) {
  const size_t unit = unit_bytes();
  const size_t object_bytes = kSizeClasses[size_class()].object_bytes;
  const size_t lowest = static_cast<size_t>(std::countr_zero(claim.bits));
  const size_t highest = 63 - static_cast<size_t>(std::countl_zero(claim.bits));
  const size_t offset = claim.word_base - base_;
  const size_t first = (offset + lowest * object_bytes) / unit;
  const size_t end = (offset + (highest + 1) * object_bytes + unit - 1) / unit;
  const uint64_t touched = released_units_ & unit_mask(first, end);
  released_units_ &= ~touched;
  return {static_cast<size_t>(std::popcount(touched)) * unit};
}

}  // namespace spanmalloc
