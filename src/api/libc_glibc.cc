// Names that glibc exports for the same functions, which old programs and libraries call.

#include <cstddef>

#include "platform/compiler.h"

extern "C" {

void* malloc(size_t);
void free(void*);
void* calloc(size_t, size_t);
void* realloc(void*, size_t);
void* memalign(size_t, size_t);
void* valloc(size_t);
void* pvalloc(size_t);

SPANMALLOC_EXPORT void* __libc_malloc(size_t size) {
  return malloc(size);
}
SPANMALLOC_EXPORT void __libc_free(void* pointer) {
  free(pointer);
}
SPANMALLOC_EXPORT void* __libc_calloc(size_t count, size_t size) {
  return calloc(count, size);
}
SPANMALLOC_EXPORT void* __libc_realloc(void* pointer, size_t size) {
  return realloc(pointer, size);
}
SPANMALLOC_EXPORT void* __libc_memalign(size_t alignment, size_t size) {
  return memalign(alignment, size);
}
SPANMALLOC_EXPORT void* __libc_valloc(size_t size) {
  return valloc(size);
}
SPANMALLOC_EXPORT void* __libc_pvalloc(size_t size) {
  return pvalloc(size);
}

}  // extern "C"
