// Objects above 128 KiB: a span each.
#ifndef SPANMALLOC_HEAP_LARGE_H_
#define SPANMALLOC_HEAP_LARGE_H_

#include <cstddef>

#include "spans/span.h"

namespace spanmalloc {

// A span for an object; nullptr when the size is over PTRDIFF_MAX or memory is refused. REQUIRES:
// alignment is a power of two.
Span* new_large_span(size_t bytes, size_t alignment);

// Makes the memory of a new span zero.
void clear_large_span(const Span* span);

// Brings the content of `from` into the new span `to`, which is not shorter, and ends `from`. False
// when the system took the memory of `to` away; `from` is then as it was, and `to` stays in use for
// good, so that nobody gets its addresses.
[[nodiscard]] bool move_large_content(Span* from, Span* to);

// nullptr when the size is over PTRDIFF_MAX or memory is refused. REQUIRES: alignment is a power of
// two.
void* allocate_large(size_t bytes, size_t alignment);

// As allocate_large(), and the memory is zero.
void* allocate_large_zeroed(size_t bytes);

// Ends the life of a large block. Ends the process when the pointer is none of a large block.
void deallocate_large(void* pointer);

// The span whose object starts at `pointer`; ends the process when there is none.
Span* large_span_of(const void* pointer, const char* call);

// Changes the size of a large block to `bytes`, over kMaxSmallBytes, in place or by moving it.
// nullptr when memory is refused; the block is then unchanged.
void* reallocate_large(void* pointer, size_t bytes);

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_LARGE_H_
