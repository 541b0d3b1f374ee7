#ifndef SPANMALLOC_CENTRAL_OCCUPANCY_LISTS_H_
#define SPANMALLOC_CENTRAL_OCCUPANCY_LISTS_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "spans/span.h"

namespace spanmalloc {

// The spans of one size class that have free objects, in lists by how much of them is used.
// Objects are taken from the fullest spans, so that the emptier ones can become empty and go back.
// The owner's lock protects it.
class OccupancyLists {
 public:
  constexpr OccupancyLists() = default;

  // A span of the fullest list that has any; nullptr when no span has a free object.
  Span* fullest() const { return highest_of(occupied_); }
  // The same of those of which nothing was given back.
  Span* fullest_without_holes() const { return highest_of(occupied_ & kWithoutHoles); }

  // Puts the span on its list. REQUIRES: it has free objects, and is on no list.
  void insert(Span* span);
  // REQUIRES: the span is on a list.
  void remove(Span* span);
  // Moves a span to where it belongs after its free count or its holes changed; takes a full one
  // off.
  // REQUIRES: the span was on a list.
  void update(Span* span);

  size_t span_count() const { return span_count_; }
  // Calls visit(span) for every span on a list.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const Span* head : heads_) {
      for (const Span* span = head; span != nullptr; span = span->next) visit(*span);
    }
  }

  void check_invariants() const;

 private:
  // Quarters of a span were too coarse to tell an almost empty span from a half empty one; eighths
  // keep the search one bit scan.
  static constexpr size_t kParts = 8;
  // Two lists a part: first the spans of which something was given back, then the others, so that
  // what the system need not back again is used before them.
  static constexpr size_t kLists = 2 * kParts;
  static constexpr uint32_t kWithoutHoles = 0xaaaa;

  static uint8_t list_for(const Span& span) {
    const size_t used = span.object_count() - span.free_count();
    const size_t part = used * kParts / (span.object_count() + 1);
    return static_cast<uint8_t>(2 * part + (span.has_released_units() ? 0 : 1));
  }
  // Whether that is the list that it is on: the same without a division.
  static bool is_where_it_belongs(const Span& span) {
    const size_t list = span.occupancy_list();
    const size_t used = (span.object_count() - span.free_count()) * kParts;
    const size_t part_begins = list / 2 * (span.object_count() + 1);
    return used - part_begins <= span.object_count() &&
           (list % 2 == 0) == span.has_released_units();
  }
  // A span of the highest of these lists; nullptr for none.
  Span* highest_of(uint32_t lists) const;

  std::array<Span*, kLists> heads_{};
  uint32_t occupied_ = 0;  // bit i: heads_[i] is not nullptr
  size_t span_count_ = 0;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_OCCUPANCY_LISTS_H_
