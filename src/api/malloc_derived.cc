// Functions of the C interface that are not on glibc's list of what who replaces malloc defines. A
// program with its own malloc, realloc and free may use them, so each reaches these as any caller
// would, through the dynamic symbol. A file of its own, so that no compiler sees the functions
// behind the symbols and calls them past the program's.

#include <cstddef>
#include <cstdlib>

#include "api/load.h"
#include "api/malloc_rules.h"
#include "api/replaced.h"
#include "heap/hardened.h"
#include "heap/heap.h"
#include "platform/compiler.h"

namespace spanmalloc {

namespace {

SPANMALLOC_ALWAYS_INLINE void check_size(const void* pointer, size_t size, size_t alignment,
                                         const char* call) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on()) && has_own_malloc()) {
    check_size_hardened(pointer, size, alignment, call);
  }
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

extern "C" {

// realloc() to `count` times `size` bytes; NULL with ENOMEM when the product overflows.
SPANMALLOC_EXPORT void* reallocarray(void* pointer, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return realloc(pointer, bytes);
}

// Old name of free().
SPANMALLOC_EXPORT void cfree(void* pointer) {
  free(pointer);
}

// C23. The size and alignment must be those of the allocation; they are not relied on, and checked
// under hardening.
SPANMALLOC_EXPORT void free_sized(void* pointer, size_t size) {
  check_size(pointer, size, kMinAlignment, "free_sized");
  free(pointer);
}
SPANMALLOC_EXPORT void free_aligned_sized(void* pointer, size_t alignment, size_t size) {
  check_size(pointer, size, alignment, "free_aligned_sized");
  free(pointer);
}

}  // extern "C"
