#include "spans/span.h"

#include <bit>

#include "base/bits.h"
#include "base/check.h"

namespace spanmalloc {

void Span::start_small(PageRange pages, uintptr_t base, SizeClass size_class,
                       MemoryContent content) {
  const SizeClassInfo& info = kSizeClasses[size_class];
  next = nullptr;
  previous = nullptr;
  set_occupancy_list(kNotListed);
  size_class_.store(size_class, std::memory_order_relaxed);
  content_ = content;
  set_guards({});
  object_count_ = static_cast<uint16_t>(info.objects_in(pages.count));
  free_count_ = object_count_;
  first_free_word_ = 0;
  unsealed_words_ = 0;
  first_untouched_ = 0;
  released_units_ = 0;
  holes_are_settled_.store(false, std::memory_order_relaxed);
  is_lent_ = false;
  base_ = base;
  pages_ = pages;
  for (size_t word = 0, left = object_count_; left > 0; ++word) {
    const size_t here = left < 64 ? left : 64;
    free_bits_[word] = low_bits(here);
    left -= here;
  }
  // Release: a reader that sees the new state sees the fields above.
  state_.store(SpanState::kSmall, std::memory_order_release);
}

void Span::start_large(PageRange pages, uintptr_t base, PageCount zero_pages) {
  next = nullptr;
  previous = nullptr;
  set_occupancy_list(kNotListed);
  size_class_.store(kNoSizeClass, std::memory_order_relaxed);
  large_ = {zero_pages, 0, 0};
  set_guards({});
  object_count_ = 1;
  free_count_ = 0;
  base_ = base;
  pages_ = pages;
  state_.store(SpanState::kLarge, std::memory_order_release);
}

bool Span::end(SpanState from) {
  // Acquire-release: of two threads that end a span exactly one succeeds and sees its fields.
  return state_.compare_exchange_strong(from, SpanState::kDead, std::memory_order_acq_rel,
                                        std::memory_order_relaxed);
}

Claim Span::claim(size_t limit, size_t skip) {
  SPANMALLOC_DCHECK(free_count_ > 0, "claim from a full span");
  size_t word = first_free_word_;
  while (free_bits_[word] == 0) ++word;
  uint64_t taken = free_bits_[word] & ~low_bits(skip);
  SPANMALLOC_DCHECK(taken != 0, "a claim that skips all free objects");
  // Drop the highest bits until the limit is kept: objects are claimed from the lowest address on.
  if (static_cast<size_t>(std::popcount(taken)) > limit) {
    uint64_t lowest = 0;
    for (size_t count = 0; count < limit; ++count) {
      const uint64_t bit = taken & (~taken + 1);
      lowest |= bit;
      taken ^= bit;
    }
    taken = lowest;
  }
  free_bits_[word] &= ~taken;
  free_count_ = static_cast<uint16_t>(free_count_ - std::popcount(taken));
  first_free_word_ = static_cast<uint8_t>(word);

  const size_t lowest_index = word * 64 + static_cast<size_t>(std::countr_zero(taken));
  const size_t highest_index = word * 64 + 63 - static_cast<size_t>(std::countl_zero(taken));
  Claim claim;
  claim.word_base = base_ + word * 64 * kSizeClasses[size_class()].object_bytes;
  claim.bits = taken;
  const uint8_t word_bit = static_cast<uint8_t>(1u << word);
  if (lowest_index >= first_untouched_) {
    claim.content = content_;
  } else if (highest_index < first_untouched_ && (unsealed_words_ & word_bit) == 0) {
    claim.content = MemoryContent::kSealed;
  }
  if (highest_index >= first_untouched_) {
    first_untouched_ = static_cast<uint16_t>(highest_index + 1);
  }
  // What was skipped counts as touched but has no seal.
  if (skip > 0) note_unsealed_word(word);
  // What comes to a word that has nothing left comes one by one.
  if (free_bits_[word] == 0) unsealed_words_ = static_cast<uint8_t>(unsealed_words_ & ~word_bit);
  return claim;
}

void Span::check_invariants() const {
  SPANMALLOC_CHECK(state() == SpanState::kSmall, "only a small span has free bits");
  const SizeClassInfo& info = kSizeClasses[size_class()];
  SPANMALLOC_CHECK(pages_.count == info.pages_of(SpanLength::kLong) ||
                       pages_.count == info.pages_of(SpanLength::kShort),
                   "span with a wrong page count");
  SPANMALLOC_CHECK(object_count_ == info.objects_in(pages_.count),
                   "span with a wrong object count");
  size_t free = 0;
  for (size_t word = 0; word < word_count(); ++word) {
    const uint64_t bits = free_bits_[word];
    const size_t first = word * 64;
    const size_t here = object_count_ - first < 64 ? object_count_ - first : 64;
    SPANMALLOC_CHECK((bits & ~low_bits(here)) == 0, "free bit behind the last object");
    SPANMALLOC_CHECK(bits == 0 || word >= first_free_word_, "free object before the first word");
    free += static_cast<size_t>(std::popcount(bits));
  }
  SPANMALLOC_CHECK(free == free_count_, "free count differs from the free bits");
  SPANMALLOC_CHECK((unsealed_words_ & ~low_bits(word_count())) == 0, "a mark behind the last word");
  SPANMALLOC_CHECK(is_lent_ || (released_units_ & ~holes()) == 0,
                   "memory of a used object was given back");
}

}  // namespace spanmalloc
