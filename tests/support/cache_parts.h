// The allocator up to its thread caches, on a page source that tests steer.
#ifndef SPANMALLOC_TESTS_SUPPORT_CACHE_PARTS_H_
#define SPANMALLOC_TESTS_SUPPORT_CACHE_PARTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/thread_cache.h"
#include "cache/thread_cache_registry.h"
#include "support/central_parts.h"

namespace spanmalloc::testing {

struct CacheParts : CentralParts {
  explicit CacheParts(size_t bytes = size_t{64} << 20, PageMap& map = shared_page_map())
      : CentralParts(bytes, map) {
    sentinels.open(kTestKey);
  }

  ThreadCache* acquire() {
    return registry.acquire(kTestKey, page_map.class_map().view(), sentinels);
  }

  // malloc and free of one class through a cache, as the heap composes them.
  FreeNode* allocate(ThreadCache& cache, SizeClass size_class) {
    FreeNode* object = cache.head(size_class);
    if (FreeNode* next = object->next(kTestKey); !FreeNode::is_end(next)) {
      cache.set_head(size_class, next);
      object->remove_seal();
      return object;
    }
    const CentralList central = centrals[size_class];
    MemoryContent content;
    void* reserve = cache.allocate_from_reserve(size_class, central, sentinels, &content);
    if (reserve == nullptr) {
      const Claim claim = central.claim(Growth::kAllowed, cache.claim_limit(size_class));
      if (claim.empty()) return nullptr;
      cache.accept(size_class, claim);
      reserve = cache.allocate_from_reserve(size_class, central, sentinels, &content);
    }
    return static_cast<FreeNode*>(reserve);
  }
  void deallocate(ThreadCache& cache, SizeClass size_class, FreeNode* object) {
    if (cache.head(size_class)->room() == 0) {
      if (cache.seal_check() != check) cache.change_seal_check(check, centrals, sentinels);
      if (cache.head(size_class)->room() == 0 &&
          !cache.exchange_for_empty_spare(size_class, sentinels)) {
        (void)cache.make_room(size_class, centrals[size_class], sentinels, {cache_budget, order});
      }
    }
    object->link_above(cache.head(size_class), kTestKey);
    cache.set_head(size_class, object);
  }

  size_t cache_budget = SIZE_MAX;
  SealCheck check = SealCheck::kAtFree;
  BlockOrder order = BlockOrder::kAsFreed;
  ThreadCacheRegistry registry{arena};
  SentinelTable sentinels;
};

// One cache, and one class of it unless another is named.
struct OneCache : CacheParts {
  OneCache() : cache(*acquire()) {}

  static constexpr SizeClass kClass = size_class_of(64);

  FreeNode* take(SizeClass size_class = kClass) { return allocate(cache, size_class); }
  void give(FreeNode* object, SizeClass size_class = kClass) {
    deallocate(cache, size_class, object);
  }
  std::vector<FreeNode*> take_many(size_t count) {
    std::vector<FreeNode*> objects;
    while (objects.size() < count) objects.push_back(take());
    return objects;
  }
  void give_all(const std::vector<FreeNode*>& objects) {
    for (FreeNode* object : objects) give(object);
  }
  void check() {
    cache.check_invariants(page_map.class_map());
    centrals[kClass].check_invariants();
  }

  ThreadCache& cache;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_CACHE_PARTS_H_
