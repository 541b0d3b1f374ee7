// The forms of operator new and delete that the standard defines by others. A file of its own, so
// that no compiler sees the basic forms and calls them past the program's replacements. The forms
// of this file that others of it call are weak, which has the same effect.

#include <cstddef>
#include <new>

#include "api/cxx_runtime.h"
#include "api/load.h"
#include "api/replaced.h"
#include "heap/allocate.h"
#include "heap/hardened.h"
#include "heap/heap.h"
#include "platform/compiler.h"

namespace spanmalloc {

namespace {

using std::align_val_t;
using std::nothrow_t;

void* basic_new(size_t size, size_t) {
  return operator new(size);
}
void* basic_new_array(size_t size, size_t) {
  return operator new[](size);
}
void* basic_aligned_new(size_t size, size_t alignment) {
  return operator new (size, align_val_t{alignment});
}
void* basic_aligned_new_array(size_t size, size_t alignment) {
  return operator new[](size, align_val_t{alignment});
}

// The functions of this file by names that no program replaces.
[[gnu::alias("_Znam"), gnu::malloc, gnu::alloc_size(1)]] void* own_new_array(size_t size);
[[gnu::alias("_ZnamSt11align_val_t"), gnu::malloc, gnu::alloc_size(1)]] void* own_aligned_new_array(
    size_t size, align_val_t);
[[gnu::alias("_ZnwmRKSt9nothrow_t"), gnu::malloc, gnu::alloc_size(1)]] void* own_nothrow_new(
    size_t size, const nothrow_t&) noexcept;
[[gnu::alias("_ZnamRKSt9nothrow_t"), gnu::malloc, gnu::alloc_size(1)]] void* own_nothrow_new_array(
    size_t size, const nothrow_t&) noexcept;
[[gnu::alias("_ZnwmSt11align_val_tRKSt9nothrow_t"), gnu::malloc, gnu::alloc_size(1)]] void*
own_aligned_nothrow_new(size_t size, align_val_t, const nothrow_t&) noexcept;
[[gnu::alias("_ZnamSt11align_val_tRKSt9nothrow_t"), gnu::malloc, gnu::alloc_size(1)]] void*
own_aligned_nothrow_new_array(size_t size, align_val_t, const nothrow_t&) noexcept;

using New = void*(size_t);
using AlignedNew = void*(size_t, align_val_t);
using NothrowNew = void*(size_t, const nothrow_t&) noexcept;
using AlignedNothrowNew = void*(size_t, align_val_t, const nothrow_t&) noexcept;

bool has_own_new_array() {
  return has_own_new() && is_in_force<New>(&operator new[], &own_new_array);
}

bool has_own_aligned_new_array() {
  return has_own_aligned_new() && is_in_force<AlignedNew>(&operator new[], &own_aligned_new_array);
}

// Whether the blocks that a sized form of operator delete may be given are made by this library
// alone: by the forms of operator new that end with the same plain form of delete.
bool makes_blocks() {
  return has_own_new() && is_in_force<NothrowNew>(&operator new, &own_nothrow_new);
}

bool makes_arrays() {
  return has_own_new_array() && is_in_force<NothrowNew>(&operator new[], &own_nothrow_new_array);
}

bool makes_aligned_blocks() {
  return has_own_aligned_new() &&
         is_in_force<AlignedNothrowNew>(&operator new, &own_aligned_nothrow_new);
}

bool makes_aligned_arrays() {
  return has_own_aligned_new_array() &&
         is_in_force<AlignedNothrowNew>(&operator new[], &own_aligned_nothrow_new_array);
}

// What is left to the forms without throw where this library's own forms with throw found no
// memory: the new handler, which may throw. Where nothing can be caught here, the form of the
// runtime that catches it is called; `own` is the form that asks.
SPANMALLOC_COLD void* retry_without_throw(size_t size, NothrowNew* own, const char* mangled_name,
                                          const void* caller) {
  if (can_catch()) {
    return current_new_handler() == nullptr ? nullptr : call_catching(&basic_new, size, 0);
  }
  NothrowNew* theirs = find_in_late_runtime(mangled_name, caller, own);
  return theirs == nullptr ? nullptr : theirs(size, nothrow_t{});
}
SPANMALLOC_COLD void* retry_without_throw(size_t size, align_val_t alignment,
                                          AlignedNothrowNew* own, const char* mangled_name,
                                          const void* caller) {
  if (can_catch()) {
    return current_new_handler() == nullptr
               ? nullptr
               : call_catching(&basic_aligned_new, size, static_cast<size_t>(alignment));
  }
  AlignedNothrowNew* theirs = find_in_late_runtime(mangled_name, caller, own);
  return theirs == nullptr ? nullptr : theirs(size, alignment, nothrow_t{});
}

// Under hardening, the size that the program gives must be the block's. A program that has its own
// forms may make its blocks of other sizes. `plain_delete` is the form that the sized one ends
// with, called from here, so that the sized one is a comparison and a jump.
template <typename PlainDelete>
SPANMALLOC_COLD void check_size_and_delete(void* pointer, size_t size, align_val_t alignment,
                                           bool (*has_own_forms)(), PlainDelete plain_delete) {
  if (has_own_forms()) {
    check_size_hardened(pointer, size, static_cast<size_t>(alignment), "operator delete");
  }
  plain_delete(pointer, alignment);
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

// A form without throw calls the one with throw, so that a program's replacement is reached. This
// library's own need not be asked to throw.
SPANMALLOC_REPLACEABLE void* operator new(size_t size, const nothrow_t&) noexcept {
  SPANMALLOC_KEEP_FRAME();
  if (SPANMALLOC_UNLIKELY(!has_own_new())) return call_catching(&basic_new, size, 0);
  void* pointer = allocate(size);
  if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
  return retry_without_throw(size, &own_nothrow_new, "_ZnwmRKSt9nothrow_t",
                             __builtin_return_address(0));
}
SPANMALLOC_REPLACEABLE void* operator new[](size_t size, const nothrow_t&) noexcept {
  SPANMALLOC_KEEP_FRAME();
  if (SPANMALLOC_UNLIKELY(!has_own_new_array())) return call_catching(&basic_new_array, size, 0);
  void* pointer = allocate(size);
  if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
  return retry_without_throw(size, &own_nothrow_new_array, "_ZnamRKSt9nothrow_t",
                             __builtin_return_address(0));
}
SPANMALLOC_REPLACEABLE void* operator new(size_t size, align_val_t alignment,
                                          const nothrow_t&) noexcept {
  SPANMALLOC_KEEP_FRAME();
  if (SPANMALLOC_UNLIKELY(!has_own_aligned_new()))
    return call_catching(&basic_aligned_new, size, static_cast<size_t>(alignment));
  void* pointer = allocate_aligned(size, static_cast<size_t>(alignment));
  if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
  return retry_without_throw(size, alignment, &own_aligned_nothrow_new,
                             "_ZnwmSt11align_val_tRKSt9nothrow_t", __builtin_return_address(0));
}
SPANMALLOC_REPLACEABLE void* operator new[](size_t size, align_val_t alignment,
                                            const nothrow_t&) noexcept {
  SPANMALLOC_KEEP_FRAME();
  if (SPANMALLOC_UNLIKELY(!has_own_aligned_new_array()))
    return call_catching(&basic_aligned_new_array, size, static_cast<size_t>(alignment));
  void* pointer = allocate_aligned(size, static_cast<size_t>(alignment));
  if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
  return retry_without_throw(size, alignment, &own_aligned_nothrow_new_array,
                             "_ZnamSt11align_val_tRKSt9nothrow_t", __builtin_return_address(0));
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
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    return check_size_and_delete(pointer, size, align_val_t{kMinAlignment}, &makes_blocks,
                                 [](void* block, align_val_t) { operator delete(block); });
  }
  operator delete(pointer);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, size_t size) noexcept {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    return check_size_and_delete(pointer, size, align_val_t{kMinAlignment}, &makes_arrays,
                                 [](void* array, align_val_t) { operator delete[](array); });
  }
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
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    return check_size_and_delete(
        pointer, size, alignment, &makes_aligned_blocks,
        [](void* block, align_val_t aligned) { operator delete(block, aligned); });
  }
  operator delete(pointer, alignment);
}
SPANMALLOC_REPLACEABLE void operator delete[](void* pointer, size_t size,
                                              align_val_t alignment) noexcept {
  if (SPANMALLOC_UNLIKELY(heap.hardening().is_on())) {
    return check_size_and_delete(
        pointer, size, alignment, &makes_aligned_arrays,
        [](void* array, align_val_t aligned) { operator delete[](array, aligned); });
  }
  operator delete[](pointer, alignment);
}
