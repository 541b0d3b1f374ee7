#include "cache/thread_cache.h"

#include <bit>

#include "base/check.h"

namespace spanmalloc {

constinit FreeNode empty_cache_sentinel{FreeNode::kEnd, 0};
constinit ThreadCache empty_thread_cache{&empty_cache_sentinel};
constinit thread_local ThreadCache* current_thread_cache SPANMALLOC_INITIAL_EXEC_TLS =
    &empty_thread_cache;

void SentinelTable::open(ListKey key) {
  for (size_t size_class = 1; size_class < kSizeClassCount; ++size_class) {
    for (uint8_t level = 0; level < kLevels; ++level) {
      sentinels_[size_class][level].make_sentinel(
          key, capacity(static_cast<SizeClass>(size_class), level));
    }
  }
}

void ThreadCache::open(ListKey key, ClassMapView class_map, SentinelTable& sentinels) {
  class_map_ = class_map;
  key_ = key;
  heads_[kNoSizeClass] = &empty_cache_sentinel;
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClass size_class = static_cast<SizeClass>(index);
    levels_[size_class] = 0;
    set_empty_head(size_class, sentinels);
    spares_[size_class] = head_list(size_class);
    claims_[size_class] = {};
  }
}

void ThreadCache::set_empty_head(SizeClass size_class, SentinelTable& sentinels) {
  const uint8_t level = levels_[size_class];
  set_head_list(size_class, {sentinels.sentinel(size_class, level),
                             static_cast<uint32_t>(SentinelTable::capacity(size_class, level))});
}

void* ThreadCache::take_from_claim(SizeClass size_class, MemoryContent* content) {
  Claim& claim = claims_[size_class];
  const size_t index = static_cast<size_t>(std::countr_zero(claim.bits));
  claim.bits &= claim.bits - 1;
  FreeNode* object =
      reinterpret_cast<FreeNode*>(claim.word_base + index * kSizeClasses[size_class].object_bytes);
  *content = claim.content;
  // Memory that is not zero may still carry the seal of an earlier life.
  if (claim.content == MemoryContent::kUnknown) object->remove_seal();
  return object;
}

void* ThreadCache::allocate_from_reserve(SizeClass size_class, const CentralList& central,
                                         MemoryContent* content) {
  if (!claims_[size_class].empty()) return take_from_claim(size_class, content);
  SPANMALLOC_DCHECK(head_list(size_class).count() == 0, "the head list is not empty");
  List list = spares_[size_class];
  if (list.count() > 0) {
    spares_[size_class] = head_list(size_class);
  } else if (const Magazine magazine = central.take_magazine(); magazine.top != nullptr) {
    list = {magazine.top, static_cast<uint32_t>(magazine.count + magazine.top->room())};
  } else {
    return nullptr;
  }
  FreeNode* object = list.top;
  set_head_list(size_class, {object->next(key_), list.capacity});
  object->remove_seal();
  *content = MemoryContent::kUnknown;
  return object;
}

void ThreadCache::make_room(SizeClass size_class, const CentralList& central,
                            SentinelTable& sentinels) {
  const List full = head_list(size_class);
  const List spare = spares_[size_class];
  spares_[size_class] = full;
  if (spare.count() == 0) {
    set_head_list(size_class, spare);
    return;
  }
  if (levels_[size_class] + 1 < SentinelTable::kLevels) ++levels_[size_class];
  set_empty_head(size_class, sentinels);
  central.put_magazine({spare.top, spare.count()}, key_);
}

void ThreadCache::flush(SizeClass size_class, const CentralList& central, SentinelTable& sentinels,
                        FlushTo to) {
  const List lists[] = {head_list(size_class), spares_[size_class]};
  const Claim claim = claims_[size_class];
  levels_[size_class] = 0;
  set_empty_head(size_class, sentinels);
  spares_[size_class] = head_list(size_class);
  claims_[size_class] = {};
  central.give_back(claim);
  for (const List& list : lists) {
    if (list.count() == 0) continue;
    const Magazine magazine{list.top, list.count()};
    if (to == FlushTo::kDepot) {
      central.put_magazine(magazine, key_);
    } else {
      central.drain(magazine, key_);
    }
  }
}

bool ThreadCache::holds(SizeClass size_class, uintptr_t address, const ClassMap& class_map) const {
  const Claim claim = claims_[size_class];
  const size_t offset = address - claim.word_base;
  const size_t bytes = kSizeClasses[size_class].object_bytes;
  if (offset < 64 * bytes && (claim.bits >> (offset / bytes) & 1) != 0) return true;
  for (const FreeNode* node : {heads_[size_class], spares_[size_class].top}) {
    // The owner may change the list meanwhile: only blocks of the class are followed, and no more
    // of them than a list can have.
    for (size_t steps = kSizeClasses[size_class].magazine_capacity; steps > 0; --steps) {
      if (class_map[reinterpret_cast<uintptr_t>(node)] != size_class) break;
      if (reinterpret_cast<uintptr_t>(node) == address) return true;
      node = node->next(key_);
    }
  }
  return false;
}

size_t ThreadCache::object_count(SizeClass size_class) const {
  size_t count = static_cast<size_t>(std::popcount(claims_[size_class].bits));
  const size_t limit = kSizeClasses[size_class].magazine_capacity;
  for (const List& list : {head_list(size_class), spares_[size_class]}) {
    // A torn view of a moving list may give nonsense; a list never has more than its limit.
    const size_t listed = list.count();
    if (listed <= limit) count += listed;
  }
  return count;
}

void ThreadCache::check_invariants(const ClassMap& class_map) const {
  for (size_t index = 1; index < kSizeClassCount; ++index) {
    const SizeClass size_class = static_cast<SizeClass>(index);
    for (const List& list : {head_list(size_class), spares_[size_class]}) {
      const FreeNode* node = list.top;
      for (size_t left = list.count(); left > 0; --left) {
        SPANMALLOC_CHECK(class_map[reinterpret_cast<uintptr_t>(node)] == size_class,
                         "a list has a block of another class");
        SPANMALLOC_CHECK(node->room() + left == list.capacity, "a node with the wrong room");
        SPANMALLOC_CHECK(node->has_mark_of(key_.mark), "a node without seal");
        node = node->next(key_);
      }
      SPANMALLOC_CHECK(FreeNode::is_end(node->next(key_)),
                       "a list that does not end in a sentinel");
    }
  }
}

}  // namespace spanmalloc
