// The basic forms of operator new and delete; the others are in operator_new_derived.cc.
//
// A program may replace some forms only; the standard says which other forms then call them. So
// each derived form here calls that other form as any caller would, through the dynamic symbol, and
// the basic forms alone go to the heap.
//
// The C++ runtime is not linked. What it is needed for, throwing std::bad_alloc and the new
// handler, is looked up when memory runs out; see cxx_runtime.h.

#include <cstddef>
#include <new>

#include "api/cxx_runtime.h"
#include "api/load.h"
#include "api/replaced.h"
#include "base/check.h"
#include "heap/allocate.h"
#include "platform/compiler.h"

namespace spanmalloc {

namespace {

using New = void*(size_t);
using AlignedNew = void*(size_t, std::align_val_t);

// The functions of this file by names that no program replaces.
[[gnu::alias("_Znwm"), gnu::malloc, gnu::alloc_size(1)]] void* own_new(size_t size);
[[gnu::alias("_ZnwmSt11align_val_t"), gnu::malloc, gnu::alloc_size(1)]] void* own_aligned_new(
    size_t size, std::align_val_t);

[[noreturn]] void stop_without_runtime() {
  fatal("operator new: out of memory, and no C++ runtime to throw std::bad_alloc");
}

// The loop of [new.delete.single]: the new handler may free memory, throw, or end the process.
void* retry_or_throw(size_t bytes, size_t alignment) {
  while (true) {
    const NewHandler handler = current_new_handler();
    if (handler == nullptr) throw_bad_alloc();
    handler();
    if (void* pointer = allocate_aligned(bytes, alignment); pointer != nullptr) return pointer;
  }
}

SPANMALLOC_COLD void* retry_new(size_t bytes, const void* caller) {
  if (can_throw()) return retry_or_throw(bytes, kMinAlignment);
  New* theirs = find_in_late_runtime("_Znwm", caller, &own_new);
  if (theirs == nullptr) stop_without_runtime();
  return theirs(bytes);
}
SPANMALLOC_COLD void* retry_aligned_new(size_t bytes, std::align_val_t alignment,
                                        const void* caller) {
  if (can_throw()) return retry_or_throw(bytes, static_cast<size_t>(alignment));
  AlignedNew* theirs = find_in_late_runtime("_ZnwmSt11align_val_t", caller, &own_aligned_new);
  if (theirs == nullptr) stop_without_runtime();
  return theirs(bytes, alignment);
}

// The exits of operator new: those of malloc, and the loop where memory has run out. They end
// operator new, so they return to its caller; in a build without such jumps a runtime that is part
// of a plugin is not found.
struct ExitsOfNew {
  SPANMALLOC_NOINLINE static void* slow(size_t bytes) {
    SPANMALLOC_KEEP_FRAME();
    void* pointer = allocate_slow(bytes);
    if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
    return retry_new(bytes, __builtin_return_address(0));
  }
  SPANMALLOC_NOINLINE static void* medium_or_large(size_t bytes) {
    SPANMALLOC_KEEP_FRAME();
    void* pointer = allocate_medium_or_large(bytes);
    if (SPANMALLOC_LIKELY(pointer != nullptr)) return pointer;
    return retry_new(bytes, __builtin_return_address(0));
  }
};

}  // namespace

}  // namespace spanmalloc

// Weak, so that a program that brings its own links with the archive as well.
#define SPANMALLOC_REPLACEABLE SPANMALLOC_EXPORT SPANMALLOC_WEAK

using namespace spanmalloc;

SPANMALLOC_REPLACEABLE void* operator new(size_t size) {
  return allocate<ExitsOfNew>(size);
}

SPANMALLOC_REPLACEABLE void* operator new(size_t size, std::align_val_t alignment) {
  SPANMALLOC_KEEP_FRAME();
  void* pointer = allocate_aligned(size, static_cast<size_t>(alignment));
  if (SPANMALLOC_UNLIKELY(pointer == nullptr)) {
    return retry_aligned_new(size, alignment, __builtin_return_address(0));
  }
  return pointer;
}

SPANMALLOC_REPLACEABLE void operator delete(void* pointer) noexcept {
  deallocate(pointer);
}
SPANMALLOC_REPLACEABLE void operator delete(void* pointer, std::align_val_t) noexcept {
  deallocate(pointer);
}

namespace spanmalloc {

bool has_own_new() {
  return is_in_force<New>(&operator new, &own_new);
}

bool has_own_aligned_new() {
  return is_in_force<AlignedNew>(&operator new, &own_aligned_new);
}

}  // namespace spanmalloc
