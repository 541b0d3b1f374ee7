// What the hot path of malloc and free uses of a thread cache, and how it comes to it.
#ifndef SPANMALLOC_CACHE_HOT_CACHE_H_
#define SPANMALLOC_CACHE_HOT_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cache/cache_owner.h"
#include "platform/compiler.h"
#include "spans/free_list.h"
#include "spans/page_map.h"
#include "spans/size_class.h"

namespace spanmalloc {

// The part of a thread cache that the hot path touches; heap/allocate.h uses nothing else.
class HotCache {
 public:
  // The empty cache.
  constexpr explicit HotCache(FreeNode* empty_sentinel) { heads_.fill(empty_sentinel); }

  SizeClass class_of(const void* pointer) const {
    return class_map_[reinterpret_cast<uintptr_t>(pointer)];
  }
  ListKey key() const { return key_; }
  FreeNode* head(size_t size_class) const { return heads_[size_class]; }
  void set_head(size_t size_class, FreeNode* node) { heads_[size_class] = node; }
  // Where the head lies. In a register: processors hand a store on to the next load of its address
  // at once where neither adds an index to it, and some cycles later where one does.
  SPANMALLOC_ALWAYS_INLINE FreeNode** head_slot(size_t size_class) {
    SPANMALLOC_IN_REGISTER(size_class);
    FreeNode** slot = &heads_[size_class];
    SPANMALLOC_IN_REGISTER(slot);
    return slot;
  }

 protected:
  // The first member: what head_slot() computes has no offset.
  std::array<FreeNode*, kSizeClassCount> heads_{};
  ClassMapView class_map_;
  ListKey key_{};
};

// The end of all lists of the empty cache, whose key is 0: no node below, and no room above.
extern constinit FreeNode empty_cache_sentinel;
extern constinit HotCache empty_thread_cache;

// The calling thread's cache, or the empty one. Another thread writes it while this one sleeps, see
// CacheOwner.
extern constinit thread_local CacheSlot current_thread_cache SPANMALLOC_INITIAL_EXEC_TLS;

SPANMALLOC_ALWAYS_INLINE HotCache* current_cache() {
  // Acquire, free on x86-64: what another thread has done to the cache is seen.
  return current_thread_cache.load(std::memory_order_acquire);
}
inline void set_current_cache(HotCache* cache) {
  current_thread_cache.store(cache, std::memory_order_relaxed);
}

}  // namespace spanmalloc

#endif  // SPANMALLOC_CACHE_HOT_CACHE_H_
