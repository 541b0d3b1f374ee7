#include <cerrno>
#include <cstring>

#include "heap/allocate.h"
#include "heap/large.h"

namespace spanmalloc {

namespace {

// A block may be left where it is as long as at least this part of it stays in use.
constexpr size_t kShrinkDivisor = 2;

}  // namespace

void* reallocate(void* pointer, size_t bytes) {
  if (pointer == nullptr) return allocate(bytes);
  if (bytes == 0) {
    deallocate(pointer);
    return nullptr;
  }
  const size_t old_bytes = usable_bytes(pointer, "realloc");
  if (bytes <= old_bytes && bytes > old_bytes / kShrinkDivisor && old_bytes <= kMaxSmallBytes) {
    return pointer;
  }
  if (old_bytes > kMaxSmallBytes && bytes > kMaxSmallBytes) {
    void* moved = reallocate_large(pointer, bytes);
    if (moved == nullptr) errno = ENOMEM;
    return moved;
  }
  void* fresh = allocate(bytes);
  if (fresh == nullptr) {
    // Shrinking never fails: the block is large enough as it is.
    return bytes <= old_bytes ? pointer : nullptr;
  }
  memcpy(fresh, pointer, bytes < old_bytes ? bytes : old_bytes);
  deallocate(pointer);
  return fresh;
}

}  // namespace spanmalloc
