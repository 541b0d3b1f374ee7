// Names that glibc exports for the same functions, which old programs and libraries call. Programs
// that count their calls define malloc() over these, so none of them may come back to it.

#include <cstddef>

#include "api/load.h"
#include "api/malloc_rules.h"
#include "platform/compiler.h"

using namespace spanmalloc;

extern "C" {

SPANMALLOC_EXPORT void* __libc_malloc(size_t size) {
  return allocate(size);
}
SPANMALLOC_EXPORT void __libc_free(void* pointer) {
  deallocate(pointer);
}
SPANMALLOC_EXPORT void* __libc_calloc(size_t count, size_t size) {
  return allocate_zeroed_array(count, size);
}
SPANMALLOC_EXPORT void* __libc_realloc(void* pointer, size_t size) {
  return reallocate(pointer, size);
}
SPANMALLOC_EXPORT void* __libc_memalign(size_t alignment, size_t size) {
  return allocate_loosely_aligned(size, alignment);
}
SPANMALLOC_EXPORT void* __libc_valloc(size_t size) {
  return allocate_page_aligned(size);
}
SPANMALLOC_EXPORT void* __libc_pvalloc(size_t size) {
  return allocate_whole_pages(size);
}

}  // extern "C"
