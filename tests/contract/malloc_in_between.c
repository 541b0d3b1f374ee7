// A library that stands before the allocator and asks it for more than its own caller does.
#include <stddef.h>

void* __libc_malloc(size_t size);
void* malloc(size_t size);

void* malloc(size_t size) {
  return __libc_malloc(size + 16);
}
