#ifndef SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_
#define SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_

#include <array>
#include <cstddef>
#include <utility>

#include "central/central_list.h"

namespace spanmalloc {

namespace central_lists_detail {

template <typename Indices>
struct Lists;

// An array whose elements, which cannot be moved, each get their own index.
template <size_t... kIndex>
struct Lists<std::index_sequence<kIndex...>> {
  constexpr Lists(SpanAllocator& spans, const PageMap& page_map, MetadataArena& arena)
      : lists{CentralList(static_cast<SizeClass>(kIndex), spans, page_map, arena)...} {}

  std::array<CentralList, sizeof...(kIndex)> lists;
};

}  // namespace central_lists_detail

// One central list a size class. The entry of class 0 is never used.
class CentralLists {
 public:
  constexpr CentralLists(SpanAllocator& spans, const PageMap& page_map, MetadataArena& arena)
      : all_(spans, page_map, arena) {}

  CentralList& operator[](SizeClass size_class) { return all_.lists[size_class]; }

  // Calls visit(central, size_class) for each class.
  template <typename Visit>
  void for_each(Visit visit) {
    for (size_t index = 1; index < kSizeClassCount; ++index) {
      visit(all_.lists[index], static_cast<SizeClass>(index));
    }
  }

  // Bytes in all depots; about right while other threads are at work.
  size_t depot_bytes() const {
    size_t bytes = 0;
    for (const CentralList& list : all_.lists) bytes += list.depot_bytes();
    return bytes;
  }

 private:
  central_lists_detail::Lists<std::make_index_sequence<kSizeClassCount>> all_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_CENTRAL_CENTRAL_LISTS_H_
