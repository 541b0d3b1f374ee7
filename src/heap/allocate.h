// The hot path of malloc and free, and nothing else.
//
//   malloc  1  hit       allocate               class from the size, pop the head list
//           2  miss      allocate_slow          claim, spare list, depot         (cache, central)
//           3            refill                 free bits of a span with room    (central, spans)
//           4  no span   new_small              a new span                       (spans, pages)
//           5  no pages  PageHeap::grow         pages from the system            (pages, platform)
//              large     allocate_large         a span of its own
//   free    1  common    deallocate             class from the page's byte, push to the head list
//           2  full      deallocate_slow        swap lists, hand the full one to the depot, and at
//                                               times large blocks that rest to their spans
//              large     deallocate_large       end the span
//           3  pressure  reclaim_before_growth  depot -> free bits -> empty spans -> page heap
//                        reclaim_as_spans_grow  the same where free pages are left
//           4  later     Scavenger::run_epoch   page heap -> system
#ifndef SPANMALLOC_HEAP_ALLOCATE_H_
#define SPANMALLOC_HEAP_ALLOCATE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cache/hot_cache.h"
#include "heap/heap.h"
#include "platform/compiler.h"
#include "spans/size_class.h"

namespace spanmalloc {

// The exits: of malloc with a size above kMaxLinearBytes, and with an empty list; of free with a
// full list or no class, and with a block that looks as if it were free already. Each also does the
// whole work when it is called for a case that the hot path handles.

SPANMALLOC_NOINLINE void* allocate_medium_or_large(size_t bytes);
SPANMALLOC_NOINLINE void* allocate_slow(size_t bytes);
SPANMALLOC_NOINLINE void deallocate_slow(void* pointer);
SPANMALLOC_NOINLINE void deallocate_sealed(void* pointer);

// Where the hot path of malloc leaves to. Callers that must not return nullptr bring their own.
struct ExitsOfMalloc {
  static void* slow(size_t bytes) { return allocate_slow(bytes); }
  static void* medium_or_large(size_t bytes) { return allocate_medium_or_large(bytes); }
};

struct ExitsOfFree {
  static void slow(void* pointer) { deallocate_slow(pointer); }
  static void sealed(void* pointer) { deallocate_sealed(pointer); }
};

// Takes the top block off the cache's list. nullptr when the list is empty, and for class 0 (no
// bytes) and a thread that has no cache yet, whose lists are.
SPANMALLOC_ALWAYS_INLINE FreeNode* pop(HotCache* cache, size_t size_class) {
  FreeNode** slot = cache->head_slot(size_class);
  FreeNode* object = *slot;
  SPANMALLOC_IN_RESULT_REGISTER(object);
  FreeNode* next = object->next(cache->key());
  if (SPANMALLOC_UNLIKELY(FreeNode::is_end(next))) return nullptr;
  *slot = next;
  // A child that another thread forks here must not find an object without seal in the list.
  std::atomic_signal_fence(std::memory_order_release);
  // The next call reads this node; in a list that has grown cold it would wait for it.
  __builtin_prefetch(next, 1);
  object->remove_seal();
  return object;
}

// At least `bytes` bytes, aligned to 16; a unique pointer for 0. nullptr with errno ENOMEM.
template <typename Exits = ExitsOfMalloc>
SPANMALLOC_ALWAYS_INLINE void* allocate(size_t bytes) {
  if (SPANMALLOC_UNLIKELY(bytes > kMaxLinearBytes)) return Exits::medium_or_large(bytes);
  FreeNode* object = pop(current_cache(), linear_size_class_of(bytes));
  if (SPANMALLOC_UNLIKELY(object == nullptr)) return Exits::slow(bytes);
  return object;
}

// Fills a small block that is being freed, so that its old content is of no use to anybody; ends
// the process if the pointer leads into the middle of one. For builds with kParanoid.
void fill_freed(void* pointer);

// Ends the life of a block: it goes into `cache`, one of the calling thread's.
template <typename Exits>
SPANMALLOC_ALWAYS_INLINE void deallocate_to(HotCache* cache, void* pointer) {
  const size_t size_class = cache->class_of(pointer);
  FreeNode** slot = cache->head_slot(size_class);
  FreeNode* head = *slot;
  FreeNode* object = static_cast<FreeNode*>(pointer);
  uint64_t seal;
  if (SPANMALLOC_UNLIKELY(!head->seal_above(&seal))) {
    // No room: the list is full, or class 0 (null, large, foreign), or the thread has no cache yet.
    // A list with deferred checks goes on here; that the block was freed just before costs no look.
    if (!FreeNode::is_deferred(seal) || object == head) return Exits::slow(pointer);
  } else if (SPANMALLOC_UNLIKELY(object->has_mark_of(seal))) {
    return Exits::sealed(pointer);
  }
  if constexpr (kParanoid) fill_freed(pointer);
  object->link_above(head, seal, cache->key());
  // A child that another thread forks here finds the object in the list whole or not at all.
  std::atomic_signal_fence(std::memory_order_release);
  *slot = object;
}

// Ends the life of a block; nullptr is allowed. Any other pointer that is not a live block of this
// allocator ends the process, at once or when the block reaches its span.
SPANMALLOC_ALWAYS_INLINE void deallocate(void* pointer) {
  deallocate_to<ExitsOfFree>(current_cache(), pointer);
}

// As allocate(), and the memory is zero.
void* allocate_zeroed(size_t bytes);

// As allocate(), aligned to `alignment`. REQUIRES: alignment is a power of two.
void* allocate_aligned(size_t bytes, size_t alignment);

// As realloc() of glibc: a size of 0 frees. nullptr with errno ENOMEM leaves the block as it was.
void* reallocate(void* pointer, size_t bytes);

// Bytes that the program may use of a live block; 0 for nullptr. `call` names the caller in the
// report of a pointer that is none.
size_t usable_bytes(const void* pointer, const char* call);

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_ALLOCATE_H_
