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
  const size_t wished = with_room_to_grow(bytes, old_bytes);
  void* fresh = SPANMALLOC_UNLIKELY(heap.hardening().is_on())
                    ? allocate_sampled_or_longer(bytes, wished)
                    : allocate(wished);
  return fresh != nullptr ? fresh : allocate(bytes);
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
  void* fresh;
  {
    platform::ErrnoGuard errno_guard;
    fresh = allocate_with_room_to_grow(bytes, old_bytes);
  }
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

void* reallocate(void* pointer, size_t bytes) {
  // Programs whose only allocation function is this one begin each block so.
  if (pointer == nullptr) return allocate(bytes);
  // Most calls of a program that grows a buffer step by step stay in its size class: those look at
  // the page's class and the block's seal alone.
  const HotCache* cache = current_cache();
  const size_t old_bytes = kSizeClasses[cache->class_of(pointer)].object_bytes;
  if (fits_in_place(bytes, old_bytes) &&
      !static_cast<const FreeNode*>(pointer)->has_mark_of(cache->key().mark)) {
    return pointer;
  }
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) return reallocate_hardened(pointer, bytes);
  return reallocate_without_end(pointer, bytes);
}

}  // namespace spanmalloc
