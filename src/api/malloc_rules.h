// The rules of those functions of the C interface that two entry points share: sizes, alignments
// and errno around the heap's functions. Inline, since an entry point reaches the heap without
// another one in between: a program may have replaced that.
#ifndef SPANMALLOC_API_MALLOC_RULES_H_
#define SPANMALLOC_API_MALLOC_RULES_H_

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "heap/allocate.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

// nullptr with ENOMEM.
inline void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

// `count` times `size` bytes of zeros. nullptr with ENOMEM, also when the product overflows.
inline void* allocate_zeroed_array(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return allocate_zeroed(bytes);
}

// The alignment is rounded up to a power of two, as in glibc. nullptr with EINVAL if there is none,
// or with ENOMEM.
inline void* allocate_loosely_aligned(size_t size, size_t alignment) {
  if (alignment > (SIZE_MAX >> 1) + 1) {
    errno = EINVAL;
    return nullptr;
  }
  return allocate_aligned(size, std::bit_ceil(alignment));
}

// Aligned to a page of the kernel. nullptr with ENOMEM.
inline void* allocate_page_aligned(size_t size) {
  return allocate_aligned(size, platform::page_bytes());
}

// The same, with the size rounded up to whole pages, one at least.
inline void* allocate_whole_pages(size_t size) {
  const size_t page = platform::page_bytes();
  if (size > PTRDIFF_MAX - page) return no_memory();
  return allocate_aligned(align_up(size > 0 ? size : 1, page), page);
}

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_MALLOC_RULES_H_
