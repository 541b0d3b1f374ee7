// The C interface of malloc. Each function is its contract (sizes, alignments, errno) around the
// heap's functions; the rules are those of glibc where standards leave a choice.

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "api/load.h"
#include "base/bits.h"
#include "heap/allocate.h"
#include "heap/hardened.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

namespace {

[[gnu::used]] const char* const keep_load = &load_anchor;

void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

// The smallest power of two that is at least `alignment`; 0 when there is none.
size_t next_power_of_two(size_t alignment) {
  if (alignment > (SIZE_MAX >> 1) + 1) return 0;
  return std::bit_ceil(alignment);
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

extern "C" {

// `size` bytes aligned to 16, a unique pointer for 0. NULL with ENOMEM.
SPANMALLOC_EXPORT void* malloc(size_t size) {
  return allocate(size);
}

// Ends the life of a block; NULL does nothing. errno stays as it is.
SPANMALLOC_EXPORT void free(void* pointer) {
  deallocate(pointer);
}

// `count` times `size` bytes of zeros. NULL with ENOMEM, also when the product overflows.
SPANMALLOC_EXPORT void* calloc(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return allocate_zeroed(bytes);
}

// Changes the size of a block, moving it if need be. Size 0 frees the block and gives NULL, as in
// glibc. NULL with ENOMEM leaves the block as it was.
SPANMALLOC_EXPORT void* realloc(void* pointer, size_t size) {
  return reallocate(pointer, size);
}

// realloc() to `count` times `size` bytes; NULL with ENOMEM when the product overflows.
SPANMALLOC_EXPORT void* reallocarray(void* pointer, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return reallocate(pointer, bytes);
}

// `size` bytes aligned to `alignment`. NULL with EINVAL when that is not a power of two (C23).
SPANMALLOC_EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate_aligned(size, alignment);
}

// As aligned_alloc(), but any alignment is rounded up to a power of two, as in glibc.
SPANMALLOC_EXPORT void* memalign(size_t alignment, size_t size) {
  const size_t rounded = next_power_of_two(alignment);
  if (rounded == 0) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate_aligned(size, rounded);
}

// Returns 0, EINVAL (not a power of two, or no multiple of a pointer's size) or ENOMEM; *result
// changes only with 0, errno never.
SPANMALLOC_EXPORT int posix_memalign(void** result, size_t alignment, size_t size) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  platform::ErrnoGuard errno_guard;
  SPANMALLOC_KEEP_FRAME();
  void* pointer = allocate_aligned(size, alignment);
  if (pointer == nullptr) return ENOMEM;
  *result = pointer;
  return 0;
}

// `size` bytes aligned to a page of the system.
SPANMALLOC_EXPORT void* valloc(size_t size) {
  return allocate_aligned(size, platform::page_bytes());
}

// As valloc(), with the size rounded up to whole pages.
SPANMALLOC_EXPORT void* pvalloc(size_t size) {
  const size_t page = platform::page_bytes();
  if (size > PTRDIFF_MAX - page) return no_memory();
  return allocate_aligned(align_up(size > 0 ? size : 1, page), page);
}

SPANMALLOC_EXPORT void cfree(void* pointer) {
  deallocate(pointer);
}

// Bytes that may be used of a block; 0 for NULL.
SPANMALLOC_EXPORT size_t malloc_usable_size(void* pointer) {
  return usable_bytes(pointer, "malloc_usable_size");
}

// C23. The size and alignment must be those of the allocation; they are not relied on, and checked
// under hardening.
SPANMALLOC_EXPORT void free_sized(void* pointer, size_t size) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    check_size_hardened(pointer, size, kMinAlignment, "free_sized");
  }
  deallocate(pointer);
}
SPANMALLOC_EXPORT void free_aligned_sized(void* pointer, size_t alignment, size_t size) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    check_size_hardened(pointer, size, alignment, "free_aligned_sized");
  }
  deallocate(pointer);
}

}  // extern "C"
