// The forms of operator new and delete that the standard defines by the basic ones. A file of its
// own, so that no compiler sees the basic forms and calls them past the program's replacements.

#include <cstddef>
#include <new>

#include "api/cxx_runtime.h"
#include "heap/hardened.h"
#include "heap/heap.h"
#include "platform/compiler.h"

namespace spanmalloc {

namespace {

void* basic_new(size_t size, size_t) {
  return operator new(size);
}
void* basic_aligned_new(size_t size, size_t alignment) {
  return operator new (size, std::align_val_t{alignment});
}

// Under hardening, the size that the program gives must be the block's. A program that has its own
// basic forms may make its blocks of other sizes.
SPANMALLOC_ALWAYS_INLINE void check_size(const void* pointer, size_t size,
                                         std::align_val_t alignment) {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on()) && has_own_operators()) {
    check_size_hardened(pointer, size, static_cast<size_t>(alignment), "operator delete");
  }
}

}  // namespace

}  // namespace spanmalloc

// Weak, so that a program that brings its own links with the archive as well.
#define SPANMALLOC_REPLACEABLE SPANMALLOC_EXPORT SPANMALLOC_WEAK

using namespace spanmalloc;
using std::align_val_t;
using std::nothrow_t;

SPANMALLOC_REPLACEABLE void* operator new[](size_t size) {
  return operator new(size);
}
SPANMALLOC_REPLACEABLE void* operator new[](size_t size, align_val_t alignment) {
  return operator new(size, alignment);
}

SPANMALLOC_REPLACEABLE void* operator new(size_t size, const nothrow_t&) noexcept {
  return call_catching(&basic_new, size, 0);
}
SPANMALLOC_REPLACEABLE void* operator new[](size_t size, const nothrow_t&) noexcept {
  return call_catching(&basic_new, size, 0);
}
SPANMALLOC_REPLACEABLE void* operator new(size_t size, align_val_t alignment,
                                          const nothrow_t&) noexcept {
  return call_catching(&basic_aligned_new, size, static_cast<size_t>(alignment));
}
SPANMALLOC_REPLACEABLE void* operator new[](size_t size, align_val_t alignment,
                                            const nothrow_t&) noexcept {
  return call_catching(&basic_aligned_new, size, static_cast<size_t>(alignment));
}

SPANMALLOC_REPLACEABLE void operator delete[](void* pointer) noexcept {
  operator delete(pointer);
}
SPANMALLOC_REPLACEABLE void operator delete(void* pointer, const nothrow_t&) noexcept {
  operator delete(pointer);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, const nothrow_t&) noexcept {
  operator delete[](pointer);
}
SPANMALLOC_REPLACEABLE void operator delete(void* pointer, size_t size) noexcept {
  check_size(pointer, size, align_val_t{kMinAlignment});
  operator delete(pointer);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, size_t size) noexcept {
  check_size(pointer, size, align_val_t{kMinAlignment});
  operator delete[](pointer);
}

SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, align_val_t alignment) noexcept {
  operator delete(pointer, alignment);
}
SPANMALLOC_REPLACEABLE void operator delete(void* pointer, align_val_t alignment,
                                            const nothrow_t&) noexcept {
  operator delete(pointer, alignment);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, align_val_t alignment,
                                              const nothrow_t&) noexcept {
  operator delete[](pointer, alignment);
}
SPANMALLOC_REPLACEABLE void operator delete(void* pointer, size_t size,
                                            align_val_t alignment) noexcept {
  check_size(pointer, size, alignment);
  operator delete(pointer, alignment);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, size_t size,
                                              align_val_t alignment) noexcept {
  check_size(pointer, size, alignment);
  operator delete[](pointer, alignment);
}
