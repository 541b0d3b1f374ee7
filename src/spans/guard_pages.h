// Pages that nobody may touch, in front of a span and behind it, under hardening.
#ifndef SPANMALLOC_SPANS_GUARD_PAGES_H_
#define SPANMALLOC_SPANS_GUARD_PAGES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"

namespace spanmalloc {

// How many pages of a longer run belong to the guards of the span inside it.
struct GuardPages {
  // The most on one side; their number is random, so that spans do not follow each other at known
  // distances.
  static constexpr size_t kMost = 3;

  uint8_t before = 0;
  uint8_t after = 0;

  bool any() const { return before + after > 0; }
  PageCount total() const { return {size_t{before} + after}; }
  // The span's pages out of all that were allocated for it.
  PageRange inside(PageRange all) const {
    return {all.first + PageCount{before}, all.count - total()};
  }
  PageRange before_range(PageRange span) const {
    return {PageNumber{span.first.value - before}, PageCount{before}};
  }
  PageRange after_range(PageRange span) const { return {span.end(), PageCount{after}}; }
};

// Decides which spans get guards. Before Linux 6.13 each splits the mapping it lies in, of which a
// process has a limited number: when so many are out that others could come to lack mappings, spans
// go without, and so they do from the first guard on that the system refuses.
class GuardBudget {
 public:
  constexpr GuardBudget() = default;
  // The most pages in guards where the process may have so much memory (SIZE_MAX: no limit). Under
  // a limit, what lies in guards is missing for blocks.
  static constexpr PageCount most_under(size_t limit_bytes) {
    const size_t share = limit_bytes / kPageBytes / kShareOfLimit;
    return {share < kMaxPages ? share : kMaxPages};
  }
  // Sets how many pages may be in guards; 0: spans get none.
  void set_most(PageCount most) { most_.store(most.value, std::memory_order_relaxed); }
  void note_refused() { set_most({}); }

  // Guards for a span of small objects, random in number, on both sides or behind it.
  GuardPages choose_small();
  // One page behind a span of one object.
  GuardPages choose_large();

  void note_made(GuardPages guards) { add(guards.total().value); }
  void note_ended(GuardPages guards) { add(0 - guards.total().value); }
  // Pages in guards.
  PageCount pages() const { return {pages_.load(std::memory_order_relaxed)}; }

  // Takes no lock. A bound from above there is none: threads that choose at once may pass the most.
  void check_invariants() const;

 private:
  // Two guards make up to four mappings of the 65530 that Linux allows.
  static constexpr size_t kMaxPages = 16384;
  static constexpr size_t kShareOfLimit = 16;

  bool may_have() const;
  void add(size_t count) { pages_.fetch_add(count, std::memory_order_relaxed); }

  std::atomic<size_t> most_{0};
  std::atomic<size_t> pages_{0};
};

// Makes the pages at `address` inaccessible and gives their memory back; false when the system
// refuses.
[[nodiscard]] bool close_guard(uintptr_t address, PageCount count);
// Makes them usable again; false when the system refuses, and nobody may have them.
[[nodiscard]] bool open_guard(uintptr_t address, PageCount count);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_GUARD_PAGES_H_
