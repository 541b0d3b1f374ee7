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

// Decides which spans get guards. Each splits the mapping it lies in, of which a process has a
// limited number: when so many are out that others could come to lack mappings, spans go without.
class GuardBudget {
 public:
  constexpr GuardBudget() = default;
  // REQUIRES: called before other threads ask.
  void set_wanted(bool wanted) { wanted_ = wanted; }

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

  bool may_have() const;
  void add(size_t count) { pages_.fetch_add(count, std::memory_order_relaxed); }

  bool wanted_ = false;
  std::atomic<size_t> pages_{0};
};

// Makes the pages at `address` inaccessible and gives their memory back, as far as the system does.
void close_guard(uintptr_t address, PageCount count);
// Makes them usable again; false when the system refuses, and nobody may have them.
[[nodiscard]] bool open_guard(uintptr_t address, PageCount count);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_GUARD_PAGES_H_
