// Size classes: the sizes that small objects are rounded up to, generated at compile time.
//
// The rule: steps of 16 bytes up to 1 KiB, then eight steps a doubling up to 8 KiB, then five up to
// 128 KiB: an eighth, for a power of two and a header, and the quarters. Every size is a multiple
// of 16, so every object is aligned as malloc promises, and above 128 bytes at most 12.5 % of an
// object is rounding (1/9 just above a step, 3 % on average over uniform sizes), above 10 KiB 1/6.
// There, programs have few blocks of many sizes, and more classes would keep more objects free than
// they save: whole pages of the rounding are touched only where a larger block had the object
// before. Up to 1 KiB the class is the size in units of 16 bytes, which the hot path computes
// without a table.
//
// A span of a class is at least 32 KiB and four objects (but not over 64 KiB for that), except that
// it has no more than 512 objects. It is made longer, up to twice that, until what remains behind
// its last object is at most 1/32 of it; where no length gets there, at most 1/16 remains (of one
// class, and of the short spans of seven). The first spans of a class are short: the same rule,
// from 16 KiB on, which for some classes comes to the same length. So a program with blocks of many
// sizes and few of each gives the pages of one size to another sooner.
#ifndef SPANMALLOC_SPANS_SIZE_CLASS_H_
#define SPANMALLOC_SPANS_SIZE_CLASS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "base/config.h"
#include "base/units.h"
#include "platform/compiler.h"

namespace spanmalloc {

// Index of a class; 0 is no class: a large, foreign or null object.
using SizeClass = uint8_t;
inline constexpr SizeClass kNoSizeClass = 0;

inline constexpr size_t kMaxSmallBytes = size_t{128} << 10;
inline constexpr size_t kLinearStepBytes = 16;
inline constexpr size_t kMaxLinearBytes = 1024;
inline constexpr size_t kStepsPerDoubling = 8;
inline constexpr size_t kMaxFineBytes = size_t{8} << 10;
// Which of the steps have a class above that, the eighth first.
inline constexpr std::array<size_t, 5> kCoarseSteps = {1, 2, 4, 6, 8};
inline constexpr size_t kSizeClassCount =
    1 + kMaxLinearBytes / kLinearStepBytes +
    kStepsPerDoubling * (std::bit_width(kMaxFineBytes) - std::bit_width(kMaxLinearBytes)) +
    kCoarseSteps.size() * (std::bit_width(kMaxSmallBytes) - std::bit_width(kMaxFineBytes));

// Free bits of a span are kept for at most this many objects: one cache line of them, so that all
// span records have one size and any of them serves any span.
inline constexpr size_t kMaxObjectsPerSpan = 512;

inline constexpr int kReciprocalShift = 40;

// The first spans of a class are short, the others long.
enum class SpanLength : uint8_t { kShort, kLong };

struct SizeClassInfo {
  uint32_t object_bytes;
  uint16_t span_pages;
  uint16_t short_span_pages;
  // ceil(2^40 / object_bytes): (offset * reciprocal) >> 40 is offset / object_bytes for every
  // offset in a span (Lemire, Kaser, Kurz 2019; verified for every class and offset by a test).
  uint64_t reciprocal;
  uint16_t objects_per_span;
  uint16_t objects_per_short_span;
  // Objects of a full magazine: 32 KiB of them, 8 at least, 512 at most.
  uint16_t magazine_capacity;
  // Objects that a thread cache claims from a span at a time at most: 32 KiB, one, or one 64-bit
  // word of them.
  uint16_t claim_limit;
  // Index of the object at which the first span of the class begins to be handed out.
  uint16_t color;

  constexpr PageCount pages_of(SpanLength length) const {
    return PageCount{length == SpanLength::kShort ? short_span_pages : span_pages};
  }
  // Offset of what lies behind the last object of a short span.
  constexpr size_t end_of_short_span() const {
    return size_t{objects_per_short_span} * object_bytes;
  }
  // Objects of a span of so many pages, which are those of either length.
  constexpr size_t objects_in(PageCount pages) const {
    return pages.value == span_pages ? objects_per_span : objects_per_short_span;
  }
};

namespace size_class_detail {

constexpr size_t kMinSpanBytes = size_t{32} << 10;
constexpr size_t kMinShortSpanBytes = size_t{16} << 10;
constexpr size_t kWishedObjects = 4;
constexpr size_t kMaxWishedSpanBytes = size_t{64} << 10;
constexpr size_t kTailDivisor = 32;
constexpr size_t kMagazineBytes = size_t{32} << 10;

constexpr size_t clamp(size_t value, size_t low, size_t high) {
  return value < low ? low : value > high ? high : value;
}

constexpr size_t span_pages(size_t object_bytes, size_t min_span_bytes) {
  const size_t most = object_bytes * kMaxObjectsPerSpan;
  const size_t least = most < min_span_bytes ? most : min_span_bytes;
  const size_t wished = clamp(object_bytes * kWishedObjects, least, kMaxWishedSpanBytes);
  const size_t smallest = pages_for(wished).value;
  size_t best = smallest;
  size_t best_waste = kPageBytes * smallest;
  for (size_t pages = smallest; pages <= 2 * smallest; ++pages) {
    const size_t bytes = pages * kPageBytes;
    const size_t waste = bytes % object_bytes;
    if (bytes / object_bytes > kMaxObjectsPerSpan) break;
    if (waste * kTailDivisor <= bytes) return pages;
    if (waste * best < best_waste * pages) {
      best = pages;
      best_waste = waste;
    }
  }
  return best;
}

// Spans start on pages, so the first objects of all classes would compete for the few lines of the
// processor's first-level cache that serve the start of a page, and those are just the blocks of
// which a program has one each and uses most. So the first span of each class begins elsewhere (the
// coloring of Bonwick's slabs, without memory for it): at the object whose place in a kernel page
// is nearest to a step further than that of the class before. The step is an odd number of lines,
// so no 64 classes in a row wish for the same line. A few small objects touch one page as ever,
// since the rest of the first page comes next.
constexpr size_t color(size_t size_class, size_t object_bytes, size_t most_candidates) {
  constexpr size_t kCachePageBytes = size_t{4} << 10;
  constexpr size_t kStepBytes = 15 * platform::kCacheLineBytes;
  const size_t candidates = object_bytes <= kMaxLinearBytes
                                ? clamp(kCachePageBytes / object_bytes, 1, 64)
                                : most_candidates;
  const size_t wished = size_class * kStepBytes % kCachePageBytes;
  size_t first = 0;
  size_t least_distance = kCachePageBytes;
  for (size_t index = 0; index < candidates; ++index) {
    const size_t place = index * object_bytes % kCachePageBytes;
    const size_t distance = place < wished ? wished - place : place - wished;
    if (distance < least_distance) {
      least_distance = distance;
      first = index;
    }
  }
  return first;
}

constexpr SizeClassInfo make_info(size_t size_class, size_t object_bytes) {
  const size_t pages = span_pages(object_bytes, kMinSpanBytes);
  const size_t short_pages = span_pages(object_bytes, kMinShortSpanBytes);
  const size_t short_objects = short_pages * kPageBytes / object_bytes;
  const size_t claim_limit = clamp(kMagazineBytes / object_bytes, 1, 64);
  const size_t most_candidates = clamp(claim_limit, 1, short_objects);
  return {
      .object_bytes = static_cast<uint32_t>(object_bytes),
      .span_pages = static_cast<uint16_t>(pages),
      .short_span_pages = static_cast<uint16_t>(short_pages),
      .reciprocal = ((uint64_t{1} << kReciprocalShift) + object_bytes - 1) / object_bytes,
      .objects_per_span = static_cast<uint16_t>(pages * kPageBytes / object_bytes),
      .objects_per_short_span = static_cast<uint16_t>(short_objects),
      .magazine_capacity = static_cast<uint16_t>(clamp(kMagazineBytes / object_bytes, 8, 512)),
      .claim_limit = static_cast<uint16_t>(claim_limit),
      .color = static_cast<uint16_t>(color(size_class, object_bytes, most_candidates)),
  };
}

constexpr bool has_class(size_t power, size_t step) {
  return power < kMaxFineBytes ||
         std::find(kCoarseSteps.begin(), kCoarseSteps.end(), step) != kCoarseSteps.end();
}

constexpr auto make_infos() {
  std::array<SizeClassInfo, kSizeClassCount> infos{};
  size_t index = 1;
  for (size_t bytes = kLinearStepBytes; bytes <= kMaxLinearBytes; bytes += kLinearStepBytes) {
    infos[index] = make_info(index, bytes);
    ++index;
  }
  for (size_t power = kMaxLinearBytes; power < kMaxSmallBytes; power *= 2) {
    for (size_t step = 1; step <= kStepsPerDoubling; ++step) {
      if (!has_class(power, step)) continue;
      infos[index] = make_info(index, power + step * (power / kStepsPerDoubling));
      ++index;
    }
  }
  return infos;
}

// Every class above kMaxLinearBytes is a multiple of this.
inline constexpr size_t kTableStepBytes = kMaxLinearBytes / kStepsPerDoubling;
inline constexpr size_t kTableEntries = kMaxSmallBytes / kTableStepBytes + 1;

}  // namespace size_class_detail

// Facts of each class; the entry of class 0 is all zero.
inline constexpr std::array<SizeClassInfo, kSizeClassCount> kSizeClasses =
    size_class_detail::make_infos();

namespace size_class_detail {

constexpr auto make_table() {
  std::array<SizeClass, kTableEntries> table{};
  size_t size_class = 1;
  for (size_t entry = 0; entry < kTableEntries; ++entry) {
    while (kSizeClasses[size_class].object_bytes < entry * kTableStepBytes) ++size_class;
    table[entry] = static_cast<SizeClass>(size_class);
  }
  return table;
}

// One byte for each 128 bytes of size, 1 KiB in all.
inline constexpr std::array<SizeClass, kTableEntries> kTable = make_table();

}  // namespace size_class_detail

// The class of a size up to kMaxLinearBytes; kNoSizeClass for 0.
constexpr size_t linear_size_class_of(size_t bytes) {
  return (bytes + (kLinearStepBytes - 1)) / kLinearStepBytes;
}

// The class of a size from kMaxLinearBytes to kMaxSmallBytes; for a smaller one, a class with room.
constexpr SizeClass size_class_from_table(size_t bytes) {
  using size_class_detail::kTableStepBytes;
  return size_class_detail::kTable[(bytes + (kTableStepBytes - 1)) / kTableStepBytes];
}

// The smallest class whose objects have `bytes` bytes. REQUIRES: bytes <= kMaxSmallBytes.
constexpr SizeClass size_class_of(size_t bytes) {
  if (bytes > kMaxLinearBytes) return size_class_from_table(bytes);
  return bytes > 0 ? static_cast<SizeClass>(linear_size_class_of(bytes)) : SizeClass{1};
}

// The smallest class whose objects have `bytes` bytes and are all aligned to `alignment`;
// kNoSizeClass when there is none. REQUIRES: alignment is a power of two.
constexpr SizeClass size_class_of_aligned(size_t bytes, size_t alignment) {
  if (alignment > kPageBytes || bytes > kMaxSmallBytes) return kNoSizeClass;
  const size_t rounded = bytes <= alignment ? alignment : align_up(bytes, alignment);
  if (rounded > kMaxSmallBytes) return kNoSizeClass;
  // A span starts on a page, so its objects are aligned as their size is. Each size is a multiple
  // of its distance to the one before, which is a power of two: of a distance not below the
  // alignment, the size is a multiple of that too; of a smaller one, the rounded size is the size.
  return size_class_of(rounded);
}

// Which object of a span of the class contains the byte at `offset` from the span's beginning.
// REQUIRES: the offset is less than the span's bytes.
constexpr size_t object_index_at(SizeClass size_class, size_t offset) {
  return static_cast<size_t>((uint64_t{offset} * kSizeClasses[size_class].reciprocal) >>
                             kReciprocalShift);
}

// The index of the object that starts there, if it is one of the first `count`; else kNoObject.
inline constexpr size_t kNoObject = SIZE_MAX;
constexpr size_t object_starting_at(SizeClass size_class, size_t offset, size_t count) {
  // The bits that a division drops tell whether something remains (same source as the division).
  const uint64_t reciprocal = kSizeClasses[size_class].reciprocal;
  const uint64_t product = uint64_t{offset} * reciprocal;
  const bool remains = (product & low_bits(kReciprocalShift)) >= reciprocal;
  const size_t index = product >> kReciprocalShift;
  return !remains && index < count ? index : kNoObject;
}

// Whether one of the first `count` objects starts there.
constexpr bool is_object_offset(SizeClass size_class, size_t offset, size_t count) {
  return object_starting_at(size_class, offset, count) != kNoObject;
}

static_assert(sizeof(SizeClassInfo) == 32, "an entry lies in one cache line");
static_assert(kSizeClassCount <= 256, "a class is one byte in the page map");
static_assert(kSizeClasses[kSizeClassCount - 1].object_bytes == kMaxSmallBytes);
static_assert(size_class_of(0) == 1 && size_class_of(16) == 1 && size_class_of(17) == 2);
static_assert(size_class_of(kMaxSmallBytes) == kSizeClassCount - 1);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_SIZE_CLASS_H_
