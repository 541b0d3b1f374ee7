#ifndef SPANMALLOC_BASE_BITS_H_
#define SPANMALLOC_BASE_BITS_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

constexpr bool is_power_of_two(size_t value) {
  // std::has_single_bit() is a call where the processor need not count bits.
  return value != 0 && (value & (value - 1)) == 0;
}

// REQUIRES: alignment is a power of two.
constexpr size_t align_down(size_t value, size_t alignment) {
  return value & ~(alignment - 1);
}

// REQUIRES: alignment is a power of two and value + alignment - 1 does not overflow.
constexpr size_t align_up(size_t value, size_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

constexpr bool is_aligned(size_t value, size_t alignment) {
  return (value & (alignment - 1)) == 0;
}

// A word whose lowest `count` bits are set, for 0 <= count <= 64. A plain shift by 64 is undefined.
constexpr uint64_t low_bits(size_t count) {
  return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

// Every bit of the result depends on every bit of `value`; 0 stays 0. The finalizer of SplitMix64
// (Steele, Lea, Flood 2014).
constexpr uint64_t mix_bits(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
  return value ^ (value >> 31);
}

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_BITS_H_
