#ifndef SPANMALLOC_SPANS_SPAN_H_
#define SPANMALLOC_SPANS_SPAN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "spans/size_class.h"

namespace spanmalloc {

// What a span is used for. It is stored last when a span comes into being and changed first when
// it ends, so whoever finds a span through an untrusted pointer reads it before anything else.
enum class SpanState : uint8_t {
  kDead,   // a record without pages; the rest of its fields are stale
  kSmall,  // objects of one size class, owned by the class's central list
  kLarge,  // one object, owned by whoever holds its pointer
};

enum class MemoryContent : uint8_t { kUnknown, kZero };

// Objects of one 64-bit word of a span's free bits, taken out of the span to be handed out one by
// one in the order of their addresses. The span counts them as used.
struct Claim {
  uintptr_t word_base = 0;  // address of the object of bit 0
  uint64_t bits = 0;        // objects that are still to be handed out
  MemoryContent content = MemoryContent::kUnknown;

  bool empty() const { return bits == 0; }
};

// A run of pages with one use. The record lies in the metadata arena and its memory is never given
// back, so a stale pointer to it can always be read.
//
// A small span keeps one bit an object: 1 is free. Bits beyond the last object are 0. Objects in
// thread caches, magazines and claims count as used here. Equation: free_count() is the number of
// bits that are set.
class Span {
 public:
  // Words of free bits that the objects of a class need.
  static constexpr size_t words_for(SizeClass size_class) {
    return (kSizeClasses[size_class].objects_per_span + 63) / 64;
  }

  // Makes the record a span of free objects.
  void start_small(PageRange pages, uintptr_t base, SizeClass size_class, MemoryContent content);
  // Makes the record a span of one object, of whose pages `zero_pages` read as zero.
  void start_large(PageRange pages, uintptr_t base, PageCount zero_pages);

  // Ends the span if it is in state `from`; false if it is not (somebody else ended it).
  [[nodiscard]] bool end(SpanState from);

  SpanState state() const { return state_.load(std::memory_order_acquire); }
  SizeClass size_class() const { return size_class_; }
  uintptr_t base() const { return base_; }
  PageRange pages() const { return pages_; }
  Bytes bytes() const { return pages_.count.bytes(); }
  // Pages of a large span that read as zero when it was made.
  PageCount zero_pages() const { return zero_pages_; }
  // Changes the length of a large span in place. REQUIRES: the caller owns the object.
  void set_page_count(PageCount count) { pages_.count = count; }

  // Index of the object that contains `address`. REQUIRES: address lies in the span.
  size_t object_index(uintptr_t address) const {
    return static_cast<size_t>((uint64_t{address - base_} * kSizeClasses[size_class_].reciprocal) >>
                               kReciprocalShift);
  }
  // Whether an object starts at `address`. REQUIRES: address lies in the span.
  bool is_object_start(uintptr_t address) const {
    const size_t index = object_index(address);
    return index < object_count_ &&
           base_ + index * kSizeClasses[size_class_].object_bytes == address;
  }

  // The following are for the owner of a small span: its central list, under that list's lock.

  size_t object_count() const { return object_count_; }
  size_t free_count() const { return free_count_; }
  bool is_empty() const { return free_count_ == object_count_; }
  bool is_full() const { return free_count_ == 0; }

  // Takes up to `limit` free objects of the first word that has any. REQUIRES: free_count() > 0.
  Claim claim(size_t limit);

  // Gives back one object; false if it was free already. REQUIRES: an object starts there.
  [[nodiscard]] bool give_back(uintptr_t address) {
    const size_t index = object_index(address);
    uint64_t& word = free_bits_[index / 64];
    const uint64_t bit = uint64_t{1} << (index % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    ++free_count_;
    if (index / 64 < first_free_word_) first_free_word_ = static_cast<uint16_t>(index / 64);
    return true;
  }

  bool is_free_object(uintptr_t address) const {
    const size_t index = object_index(address);
    return (free_bits_[index / 64] >> (index % 64) & 1) != 0;
  }

  void check_invariants() const;

  // Links of the central list's occupancy lists; nullptr outside them.
  Span* next = nullptr;
  Span* previous = nullptr;
  // The occupancy list that the span is on.
  uint8_t occupancy_list = 0;

 private:
  std::atomic<SpanState> state_{SpanState::kDead};
  SizeClass size_class_ = kNoSizeClass;
  MemoryContent content_ = MemoryContent::kUnknown;
  uint16_t object_count_ = 0;
  uint16_t free_count_ = 0;
  // No word before this one has a free object.
  uint16_t first_free_word_ = 0;
  // Objects from this index on were never handed out: their memory is as the span got it.
  uint16_t first_untouched_ = 0;
  uintptr_t base_ = 0;
  PageRange pages_{};
  union {
    // Of a small span. Only the words that the class needs are used.
    uint64_t free_bits_[kMaxObjectsPerSpan / 64] = {};
    // Of a large span.
    PageCount zero_pages_;
  };
};

static_assert(sizeof(Span) <= 2 * platform::kCacheLineBytes, "1/64 of a span of one page at most");

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_SPAN_H_
