// The C interface of malloc, as far as glibc asks who replaces malloc to define it; the rest is in
// malloc_derived.cc. Each function is its contract (sizes, alignments, errno) around the heap's
// functions; the rules are those of glibc where standards leave a choice.

#include <cerrno>
#include <cstddef>

#include "api/load.h"
#include "api/malloc_rules.h"
#include "api/replaced.h"
#include "base/bits.h"
#include "heap/allocate.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"

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
  return allocate_zeroed_array(count, size);
}

// Changes the size of a block, moving it if need be. Size 0 frees the block and gives NULL, as in
// glibc. NULL with ENOMEM leaves the block as it was.
SPANMALLOC_EXPORT void* realloc(void* pointer, size_t size) {
  return reallocate(pointer, size);
}

// `size` bytes aligned to `alignment`. NULL with EINVAL when that is not a power of two (C23), or
// with ENOMEM.
SPANMALLOC_EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate_aligned(size, alignment);
}

// As aligned_alloc(), but any alignment is rounded up to a power of two, as in glibc. NULL with
// EINVAL when there is none.
SPANMALLOC_EXPORT void* memalign(size_t alignment, size_t size) {
  return allocate_loosely_aligned(size, alignment);
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

// `size` bytes aligned to a page of the system. NULL with ENOMEM.
SPANMALLOC_EXPORT void* valloc(size_t size) {
  return allocate_page_aligned(size);
}

// As valloc(), with the size rounded up to whole pages.
SPANMALLOC_EXPORT void* pvalloc(size_t size) {
  return allocate_whole_pages(size);
}

// Bytes that may be used of a block; 0 for NULL.
SPANMALLOC_EXPORT size_t malloc_usable_size(void* pointer) {
  return usable_bytes(pointer, "malloc_usable_size");
}

}  // extern "C"

namespace spanmalloc {

namespace {

// The functions of this file by names that no program replaces.
[[gnu::alias("malloc"), gnu::nothrow, gnu::malloc, gnu::alloc_size(1)]] void* own_malloc(
    size_t size);
[[gnu::alias("calloc"), gnu::nothrow, gnu::malloc, gnu::alloc_size(1, 2)]] void* own_calloc(
    size_t count, size_t size);
[[gnu::alias("realloc"), gnu::nothrow, gnu::alloc_size(2)]] void* own_realloc(void* pointer,
                                                                              size_t size);
[[gnu::alias("aligned_alloc"), gnu::nothrow, gnu::malloc, gnu::alloc_align(1),
  gnu::alloc_size(2)]] void*
own_aligned_alloc(size_t alignment, size_t size);

}  // namespace

bool has_own_malloc() {
  return is_in_force(&malloc, &own_malloc) && is_in_force(&calloc, &own_calloc) &&
         is_in_force(&realloc, &own_realloc) && is_in_force(&aligned_alloc, &own_aligned_alloc);
}

}  // namespace spanmalloc
