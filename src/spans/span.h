#ifndef SPANMALLOC_SPANS_SPAN_H_
#define SPANMALLOC_SPANS_SPAN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "platform/compiler.h"
#include "spans/guard_pages.h"
#include "spans/size_class.h"

namespace spanmalloc {

// What a span is used for. It is stored last when a span comes into being and changed first when
// it ends, so whoever finds a span through an untrusted pointer reads it before anything else.
enum class SpanState : uint8_t {
  kDead,   // a record without pages; the rest of its fields are stale
  kSmall,  // objects of one size class, owned by the class's central list
  kLarge,  // one object, owned by whoever holds its pointer
};

// kSealed: each object is as free left it (spans/free_list.h).
enum class MemoryContent : uint8_t { kUnknown, kZero, kSealed };

// Objects of one 64-bit word of a span's free bits, taken out of the span to be handed out one by
// one. The span counts them as used.
struct Claim {
  uintptr_t word_base = 0;  // address of the object of bit 0
  uint64_t bits = 0;        // objects that are still to be handed out
  MemoryContent content = MemoryContent::kUnknown;

  bool empty() const { return bits == 0; }
  // Takes the object of the lowest address out of the claim. REQUIRES: !empty().
  uintptr_t take(size_t object_bytes) {
    const int index = std::countr_zero(bits);
    bits &= bits - 1;
    return word_base + static_cast<size_t>(index) * object_bytes;
  }
};

// A run of pages with one use. The record lies in the metadata arena and its memory is never given
// back, so a stale pointer to it can always be read.
//
// A small span keeps one bit an object: 1 is free. Bits beyond the last object are 0. Objects in
// thread caches, magazines and claims count as used here. Equation: free_count() is the number of
// bits that are set.
//
// A hole is memory of a small span on which no used object lies. It is given back in units: of the
// kernel's page, or of 1/64 of the span where that is more. Bit i of a mask stands for unit i.
class Span {
 public:
  // Makes the record a span of free objects.
  void start_small(PageRange pages, uintptr_t base, SizeClass size_class, MemoryContent content);
  // Makes the record a span of one object, of whose pages `zero_pages` read as zero.
  void start_large(PageRange pages, uintptr_t base, PageCount zero_pages);

  // Ends the span if it is in state `from`; false if it is not (somebody else ended it).
  [[nodiscard]] bool end(SpanState from);

  // The guard pages round the span, which are none of its pages. REQUIRES: the caller makes it.
  void set_guards(GuardPages guards) {
    guards_before_ = guards.before & 7;
    guards_after_ = guards.after & 7;
  }
  GuardPages guards() const { return {guards_before_, guards_after_}; }

  SpanState state() const { return state_.load(std::memory_order_acquire); }
  SizeClass size_class() const { return size_class_.load(std::memory_order_relaxed); }
  uintptr_t base() const { return base_; }
  PageRange pages() const { return pages_; }
  Bytes bytes() const { return pages_.count.bytes(); }
  // Pages of a large span that read as zero when it was made.
  PageCount zero_pages() const { return large_.zero_pages; }
  // Where the object of a large span starts, and what the program asked for; the base and 0 unless
  // hardening says otherwise.
  uintptr_t object_address() const { return base_ + large_.object_offset; }
  size_t requested_bytes() const {
    return __atomic_load_n(&large_.requested_bytes, __ATOMIC_RELAXED);
  }
  void set_object(size_t offset, size_t requested_bytes) {
    large_.object_offset = offset;
    __atomic_store_n(&large_.requested_bytes, requested_bytes, __ATOMIC_RELAXED);
  }
  // Marks the object of a large span as freed while its span goes on; false if it was already.
  static constexpr size_t kFreed = SIZE_MAX;
  [[nodiscard]] bool try_mark_freed() {
    return __atomic_exchange_n(&large_.requested_bytes, kFreed, __ATOMIC_ACQ_REL) != kFreed;
  }
  // Changes the length of a large span in place. REQUIRES: the caller owns the object.
  void set_page_count(PageCount count) { pages_.count = count; }

  // Index of the object that contains `address`. REQUIRES: address lies in the span.
  size_t object_index(uintptr_t address) const {
    return object_index_at(size_class(), address - base_);
  }
  // Index of the object that starts at `address`, kNoObject if none does. REQUIRES: address lies in
  // the span.
  size_t object_starting_at(uintptr_t address) const {
    return spanmalloc::object_starting_at(size_class(), address - base_, object_count_);
  }
  bool is_object_start(uintptr_t address) const { return object_starting_at(address) != kNoObject; }

  // The following are for the owner of a small span: its central list, under that list's lock.

  size_t object_count() const { return object_count_; }
  size_t free_count() const { return free_count_; }
  bool is_empty() const { return free_count_ == object_count_; }
  bool is_full() const { return free_count_ == 0; }

  // Takes up to `limit` free objects of the first word that has any, from the lowest address on but
  // for the word's first `skip` objects. REQUIRES: there is such an object.
  Claim claim(size_t limit, size_t skip = 0);

  // Notes that objects of this claim, which never came to be free by themselves, are given back.
  void note_unsealed(const Claim& claim) { note_unsealed_word(object_index(claim.word_base) / 64); }

  // Gives back one object, which has its seal unless note_unsealed() says otherwise; false if it
  // was free already. REQUIRES: an object starts there.
  [[nodiscard]] bool give_back(uintptr_t address) {
    return give_back_object(object_index(address));
  }
  [[nodiscard]] bool give_back_object(size_t index) {
    uint64_t& word = free_bits_[index / 64];
    const uint64_t bit = uint64_t{1} << (index % 64);
    if ((word & bit) != 0) return false;
    word |= bit;
    ++free_count_;
    if (index / 64 < first_free_word_) first_free_word_ = static_cast<uint8_t>(index / 64);
    holes_are_settled_.store(false, std::memory_order_relaxed);
    return true;
  }

  bool is_free_object(uintptr_t address) const {
    const size_t index = object_index(address);
    return (free_bits_[index / 64] >> (index % 64) & 1) != 0;
  }

  // Whether it has fewer pages than most spans of its class.
  bool is_short() const { return pages_.count.value < kSizeClasses[size_class()].span_pages; }

  // The units that are holes.
  uint64_t holes() const;
  // Those that are still backed by memory, as far as is known.
  uint64_t backed_holes() const { return holes() & ~released_units_; }
  size_t unit_bytes() const;

  // Objects of a span, by the words of its free bits.
  using ObjectBits = uint64_t[kMaxObjectsPerSpan / 64];
  // Takes the free objects that lie on these holes out of reach, as if they were used, and writes
  // which they are. Only they keep the span from ending meanwhile: false, and nothing is taken,
  // when there are none, since all units lie behind the last object.
  // REQUIRES: units is a part of backed_holes().
  [[nodiscard]] bool borrow(uint64_t units, ObjectBits& objects);
  // Makes borrowed objects free again. Returns an object that was freed meanwhile, and so twice;
  // 0 when there is none.
  [[nodiscard]] uintptr_t put_back(const ObjectBits& objects);

  // Notes that the memory of these units was given back.
  void note_released(uint64_t units) { released_units_ |= units; }
  // Notes that objects of a claim are about to be written to; returns the bytes that will be backed
  // again.
  Bytes note_touched(const Claim& claim);
  bool has_released_units() const { return released_units_ != 0; }
  uint64_t released_units() const { return released_units_; }

  // When objects were last claimed, in ticks of the scavenger's clock and steps of growth.
  uint16_t claim_epoch() const { return claim_epoch_.load(std::memory_order_relaxed); }
  void set_claim_epoch(uint16_t epoch) { claim_epoch_.store(epoch, std::memory_order_relaxed); }
  // Whether the holes were given back as far as they can be and none has come since.
  bool holes_are_settled() const { return holes_are_settled_.load(std::memory_order_relaxed); }
  void unsettle_holes() { holes_are_settled_.store(false, std::memory_order_relaxed); }
  void settle_holes() { holes_are_settled_.store(true, std::memory_order_relaxed); }

  // Whether the span is on an occupancy list. Whoever holds the lock of a class and finds a span
  // of the class on a list knows that it stays one.
  static constexpr uint8_t kNotListed = 0xff;
  bool is_listed() const { return occupancy_list() != kNotListed; }
  uint8_t occupancy_list() const {
    // Acquire: with the list, the class is that of the span's present life.
    return occupancy_list_.load(std::memory_order_acquire);
  }
  void set_occupancy_list(uint8_t list) { occupancy_list_.store(list, std::memory_order_release); }

  void check_invariants() const;

  // Links of the central list's occupancy lists. By `next` also hang together spans that became
  // empty, on their way to their end, and those of a SpanStack. nullptr otherwise.
  Span* next = nullptr;
  Span* previous = nullptr;

 private:
  // Words of free bits that the objects need.
  size_t word_count() const { return (size_t{object_count_} + 63) / 64; }
  size_t next_free(size_t index) const;
  size_t next_used(size_t index) const;
  void note_unsealed_word(size_t word) {
    unsealed_words_ = static_cast<uint8_t>(unsealed_words_ | 1u << word);
  }

  // Read by whoever looks for holes, without a lock: the span may end and begin anew meanwhile.
  std::atomic<uint8_t> occupancy_list_{kNotListed};
  struct LargePart {
    PageCount zero_pages;
    size_t requested_bytes;
    size_t object_offset;
  };

  std::atomic<SpanState> state_{SpanState::kDead};
  std::atomic<SizeClass> size_class_{kNoSizeClass};
  MemoryContent content_ : 2 = MemoryContent::kUnknown;
  uint8_t guards_before_ : 3 = 0;
  uint8_t guards_after_ : 3 = 0;
  uint16_t object_count_ = 0;
  uint16_t free_count_ = 0;
  // No word before this one has a free object.
  uint8_t first_free_word_ = 0;
  // Words in which a free object that counts as touched may be without its seal: of a claim that
  // was not used up, since it was skipped, or since its memory went back.
  uint8_t unsealed_words_ = 0;
  // Objects from this index on were never handed out: their memory is as the span got it.
  uint16_t first_untouched_ = 0;
  std::atomic<uint16_t> claim_epoch_{0};
  std::atomic<bool> holes_are_settled_{false};
  // Between borrow() and put_back().
  bool is_lent_ = false;
  uintptr_t base_ = 0;
  PageRange pages_{};
  union {
    // Of a small span. Only the words that its objects need are used.
    uint64_t free_bits_[kMaxObjectsPerSpan / 64] = {};
    // Of a large span.
    LargePart large_;
  };
  // Units of a small span that were given back and not used since.
  uint64_t released_units_ = 0;
};

static_assert(sizeof(Span) <= 2 * platform::kCacheLineBytes, "1/64 of a span of one page at most");

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_SPAN_H_
