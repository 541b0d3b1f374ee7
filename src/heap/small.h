// Small objects behind the hot path, for the slow path and for hardening. Defined in allocate.cc
// and reallocate.cc.
#ifndef SPANMALLOC_HEAP_SMALL_H_
#define SPANMALLOC_HEAP_SMALL_H_

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "cache/thread_cache.h"
#include "heap/heap.h"
#include "platform/compiler.h"
#include "spans/free_list.h"
#include "spans/size_class.h"
#include "spans/span.h"

namespace spanmalloc {

struct Object {
  void* address = nullptr;
  MemoryContent content = MemoryContent::kUnknown;
};

// Makes the object zero, if it is not; returns its address.
inline void* zeroed(const Object& object, SizeClass size_class) {
  if (object.content == MemoryContent::kZero) return object.address;
  return memset(object.address, 0, kSizeClasses[size_class].object_bytes);
}

// What malloc returns: the pointer, and errno ENOMEM with nullptr.
inline void* or_no_memory(void* pointer) {
  if (pointer == nullptr) errno = ENOMEM;
  return pointer;
}

// An object when the cache's head list of the class is empty: from the cache's reserve, else from
// the central list. No address when memory is refused.
Object allocate_beyond_list(ThreadCache& cache, SizeClass size_class);

// An object straight from a span, for a thread without a cache.
Object allocate_without_cache(SizeClass size_class);

// Puts a free object into the calling thread's cache, or into its span if the thread has none.
void push_small(FreeNode* object, SizeClass size_class);

// Whether a block that looks free really lies in a list, a depot or its span. Walks all of them.
bool is_free_somewhere(uintptr_t address, SizeClass size_class);

// Whether an object of the class starts here. Read out of the page map alone, since records of
// spans have grown cold in a large heap. REQUIRES: the address has that class.
SPANMALLOC_ALWAYS_INLINE bool is_object_start(uintptr_t address, SizeClass size_class) {
  const SizeClassInfo& info = kSizeClasses[size_class];
  const size_t offset = address - heap.page_map().small_span_base(address);
  if (!is_object_offset(size_class, offset, info.objects_per_span)) return false;
  // Only its record tells whether the span is a short one and ends here.
  if (SPANMALLOC_LIKELY(offset != info.end_of_short_span())) return true;
  const Span* span = heap.page_map().find(address);
  return span != nullptr && span->is_object_start(address);
}

// What heap/allocate.h says, in a process whose blocks have no ends, for a block that was not
// sampled. REQUIRES of reallocate_without_end(): a pointer that is not nullptr.
void deallocate_without_end(void* pointer);
void* reallocate_without_end(void* pointer, size_t bytes);
size_t usable_bytes_without_end(const void* pointer, const char* call);

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_SMALL_H_
