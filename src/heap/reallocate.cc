#include <cerrno>
#include <cstring>

#include "heap/allocate.h"
#include "heap/hardened.h"
#include "heap/large.h"
#include "heap/small.h"
#include "platform/errno_guard.h"

namespace spanmalloc {

namespace {

// A block may be left where it is as long as at least this part of it stays in use.
constexpr size_t kShrinkDivisor = 2;

// A block that grows will grow again: where it must move, it gets this part of its size as room.
// The classes up to 1 KiB are so narrow that a string growing by a few words would move at each
// step.
constexpr size_t kGrowthDivisor = 8;

size_t with_room_to_grow(size_t bytes, size_t old_bytes) {
  if (bytes <= old_bytes || bytes > kMaxSmallBytes) return bytes;
  const size_t wished = bytes + bytes / kGrowthDivisor;
  return wished <= kMaxSmallBytes ? wished : bytes;
}

void* allocate_with_room_to_grow(size_t bytes, size_t old_bytes) {
  platform::ErrnoGuard errno_guard;
  const size_t wished = with_room_to_grow(bytes, old_bytes);
  void* fresh = SPANMALLOC_UNLIKELY(heap.hardening().is_on())
                    ? allocate_sampled_or_longer(bytes, wished)
                    : allocate(wished);
  return fresh != nullptr ? fresh : allocate(bytes);
}

// Moves what is in the block to `fresh` and frees the block; without `fresh` it stays.
void* move_to(void* fresh, void* pointer, size_t bytes, size_t old_bytes) {
  if (fresh == nullptr) {
    // Shrinking never fails: the block is large enough as it is.
    if (bytes <= old_bytes) return pointer;
    errno = ENOMEM;
    return nullptr;
  }
  memcpy(fresh, pointer, bytes < old_bytes ? bytes : old_bytes);
  deallocate(pointer);
  return fresh;
}

bool fits_in_place(size_t bytes, size_t old_bytes) {
  return bytes <= old_bytes && bytes > old_bytes / kShrinkDivisor;
}

}  // namespace

void* reallocate_without_end(void* pointer, size_t bytes) {
  if (bytes == 0) {
    deallocate(pointer);
    return nullptr;
  }
  const size_t old_bytes = usable_bytes_without_end(pointer, "realloc");
  if (old_bytes > kMaxSmallBytes && bytes > kMaxSmallBytes) {
    return or_no_memory(reallocate_large(pointer, bytes));
  }
  if (old_bytes <= kMaxSmallBytes && fits_in_place(bytes, old_bytes)) return pointer;
  return move_to(allocate_with_room_to_grow(bytes, old_bytes), pointer, bytes, old_bytes);
}

namespace {

SPANMALLOC_NOINLINE void* reallocate_any(void* pointer, size_t bytes) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) return reallocate_hardened(pointer, bytes);
  return reallocate_without_end(pointer, bytes);
}

// For a pointer into a page of this class to what is not free, all but surely.
SPANMALLOC_NOINLINE void* move_small(HotCache* cache, void* pointer, SizeClass size_class,
                                     size_t bytes) {
  // Blocks have no ends here: where they may have, no thread has a cache on the hot path.
  if (SPANMALLOC_UNLIKELY(bytes == 0 ||
                          !is_object_start(reinterpret_cast<uintptr_t>(pointer), size_class))) {
    return reallocate_any(pointer, bytes);
  }
  const size_t old_bytes = kSizeClasses[size_class].object_bytes;
  const size_t wished = with_room_to_grow(bytes, old_bytes);
  void* fresh = nullptr;
  if (wished <= kMaxLinearBytes) fresh = pop(cache, linear_size_class_of(wished));
  if (SPANMALLOC_UNLIKELY(fresh == nullptr)) fresh = allocate_with_room_to_grow(bytes, old_bytes);
  return move_to(fresh, pointer, bytes, old_bytes);
}

}  // namespace

void* reallocate(void* pointer, size_t bytes) {
  // Programs whose only allocation function is this one begin each block so.
  if (pointer == nullptr) return allocate(bytes);
  // Most calls of a program that grows a buffer step by step stay in its size class: those look at
  // the page's class and the block's seal alone.
  HotCache* cache = current_cache();
  const SizeClass size_class = cache->class_of(pointer);
  const auto* object = static_cast<const FreeNode*>(pointer);
  if (fits_in_place(bytes, kSizeClasses[size_class].object_bytes)) {
    if (SPANMALLOC_LIKELY(!object->has_mark_of(cache->key().mark))) return pointer;
  } else if (size_class != kNoSizeClass && !object->has_mark_of(cache->key().mark)) {
    return move_small(cache, pointer, size_class, bytes);
  }
  return reallocate_any(pointer, bytes);
}

}  // namespace spanmalloc
