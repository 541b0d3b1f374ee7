#include "central/occupancy_lists.h"

#include <bit>

#include "base/check.h"

namespace spanmalloc {

Span* OccupancyLists::highest_of(uint32_t lists) const {
  if (lists == 0) return nullptr;
  return heads_[static_cast<size_t>(std::bit_width(lists) - 1)];
}

void OccupancyLists::insert(Span* span) {
  const uint8_t list = list_for(*span);
  span->set_occupancy_list(list);
  span->previous = nullptr;
  span->next = heads_[list];
  if (span->next != nullptr) span->next->previous = span;
  heads_[list] = span;
  occupied_ |= uint32_t{1} << list;
  ++span_count_;
}

void OccupancyLists::remove(Span* span) {
  const uint8_t list = span->occupancy_list();
  if (span->previous != nullptr) {
    span->previous->next = span->next;
  } else {
    heads_[list] = span->next;
    if (span->next == nullptr) occupied_ &= ~(uint32_t{1} << list);
  }
  if (span->next != nullptr) span->next->previous = span->previous;
  span->next = nullptr;
  span->previous = nullptr;
  span->set_occupancy_list(Span::kNotListed);
  --span_count_;
}

void OccupancyLists::update(Span* span) {
  if (span->is_full()) {
    remove(span);
  } else if (!is_where_it_belongs(*span)) {
    remove(span);
    insert(span);
  }
}

void OccupancyLists::check_invariants() const {
  size_t count = 0;
  for (size_t list = 0; list < kLists; ++list) {
    SPANMALLOC_CHECK((heads_[list] != nullptr) == ((occupied_ >> list & 1) != 0),
                     "occupied bit differs from its list");
    const Span* previous = nullptr;
    for (const Span* span = heads_[list]; span != nullptr; span = span->next) {
      SPANMALLOC_CHECK(span->previous == previous, "broken link between spans");
      SPANMALLOC_CHECK(!span->is_full() && !span->is_empty(), "span on a list it left");
      SPANMALLOC_CHECK(span->occupancy_list() == list && list_for(*span) == list,
                       "span on the wrong occupancy list");
      span->check_invariants();
      previous = span;
      ++count;
    }
  }
  SPANMALLOC_CHECK(count == span_count_, "occupancy lists with a wrong span count");
}

}  // namespace spanmalloc
