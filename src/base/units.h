// Pages, chunks and bytes as different types, with the arithmetic that has a meaning and no other.
//
// A PageNumber counts pages from the base of the address window, a ChunkNumber counts chunks from
// there. Ranges are half-open.
#ifndef SPANMALLOC_BASE_UNITS_H_
#define SPANMALLOC_BASE_UNITS_H_

#include <compare>
#include <cstddef>
#include <cstdint>

#include "base/config.h"

namespace spanmalloc {

// A number of bytes.
struct Bytes {
  size_t value = 0;
  constexpr auto operator<=>(const Bytes&) const = default;
  constexpr Bytes& operator+=(Bytes other) {
    value += other.value;
    return *this;
  }
};
constexpr Bytes operator+(Bytes a, Bytes b) {
  return {a.value + b.value};
}
constexpr Bytes operator-(Bytes a, Bytes b) {
  return {a.value - b.value};
}

// A number of pages.
struct PageCount {
  size_t value = 0;
  constexpr auto operator<=>(const PageCount&) const = default;
  constexpr PageCount& operator+=(PageCount other) {
    value += other.value;
    return *this;
  }
  constexpr Bytes bytes() const { return {value << kPageShift}; }
};
constexpr PageCount operator+(PageCount a, PageCount b) {
  return {a.value + b.value};
}
constexpr PageCount operator-(PageCount a, PageCount b) {
  return {a.value - b.value};
}

// The pages that `bytes` bytes need. REQUIRES: bytes <= PTRDIFF_MAX.
constexpr PageCount pages_for(size_t bytes) {
  return {(bytes + kPageBytes - 1) >> kPageShift};
}

// A position in units of 4 MiB from the base of the address window.
struct ChunkNumber {
  size_t value = 0;
  constexpr auto operator<=>(const ChunkNumber&) const = default;
};

// A position in units of 8 KiB from the base of the address window.
struct PageNumber {
  size_t value = 0;
  constexpr auto operator<=>(const PageNumber&) const = default;
  constexpr ChunkNumber chunk() const { return {value / kPagesPerChunk}; }
  constexpr size_t index_in_chunk() const { return value % kPagesPerChunk; }
};
constexpr PageNumber operator+(PageNumber page, PageCount count) {
  return {page.value + count.value};
}
constexpr PageCount operator-(PageNumber a, PageNumber b) {
  return {a.value - b.value};
}
constexpr PageNumber first_page(ChunkNumber chunk) {
  return {chunk.value * kPagesPerChunk};
}

inline constexpr PageNumber kNoPage{SIZE_MAX};

// The pages [first, first + count).
struct PageRange {
  PageNumber first;
  PageCount count;
  constexpr bool operator==(const PageRange&) const = default;
  constexpr PageNumber end() const { return first + count; }
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_UNITS_H_
