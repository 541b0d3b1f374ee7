// The allocator up to its central lists, on a page source that tests steer.
#ifndef SPANMALLOC_TESTS_SUPPORT_CENTRAL_PARTS_H_
#define SPANMALLOC_TESTS_SUPPORT_CENTRAL_PARTS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "central/central_lists.h"
#include "spans/free_list.h"
#include "support/span_parts.h"

namespace spanmalloc::testing {

inline constexpr ListKey kTestKey = ListKey::from_random(0x1234'5678'9abc'def0);

struct CentralParts : SpanParts {
  explicit CentralParts(size_t bytes = size_t{64} << 20, PageMap& map = shared_page_map())
      : SpanParts(bytes, map) {}

  CentralStates central_states{};
  CentralLists centrals{central_states, spans, page_map, arena};
};

// The objects that are left in a claim, in the order of their addresses.
inline std::vector<FreeNode*> objects_of(const Claim& claim, SizeClass size_class) {
  std::vector<FreeNode*> objects;
  for (uint64_t bits = claim.bits; bits != 0; bits &= bits - 1) {
    const auto index = static_cast<size_t>(std::countr_zero(bits));
    objects.push_back(reinterpret_cast<FreeNode*>(claim.word_base +
                                                  index * kSizeClasses[size_class].object_bytes));
  }
  return objects;
}

// Claims objects until there are `count`; fewer when memory is refused.
inline std::vector<FreeNode*> claim_objects(const CentralList& central, SizeClass size_class,
                                            size_t count) {
  std::vector<FreeNode*> objects;
  while (objects.size() < count) {
    Claim claim = central.claim(Growth::kAllowed);
    if (claim.empty()) break;
    while (!claim.empty() && objects.size() < count) {
      objects.push_back(objects_of(claim, size_class).front());
      claim.bits &= claim.bits - 1;
    }
    central.give_back(claim);
  }
  return objects;
}

// Makes a list of the objects, the last one on top. The sentinel must live as long as the list.
inline Magazine make_magazine(const std::vector<FreeNode*>& objects, FreeNode* sentinel) {
  sentinel->make_sentinel(kTestKey, objects.size(), SealCheck::kAtFree);
  FreeNode* top = sentinel;
  for (FreeNode* object : objects) {
    object->link_above(top, kTestKey);
    top = object;
  }
  return {top, objects.size()};
}

inline void drain_objects(const CentralList& central, const std::vector<FreeNode*>& objects) {
  FreeNode sentinel{};
  central.drain(make_magazine(objects, &sentinel), kTestKey);
}

inline uintptr_t address_of(const FreeNode* object) {
  return reinterpret_cast<uintptr_t>(object);
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_CENTRAL_PARTS_H_
