// malloc and free under hardening and sampling. The thread's current cache stays the empty one, so
// every call leaves the hot path by its usual exits, and each exit asks Hardening::is_on() first: a
// process without hardening pays one predicted test off the hot path.
//
//   sampled    one block of many goes to GuardedBlocks
//   no level   otherwise as the slow path does it; most calls do not come here, but go on between
//              two samples as on the hot path (heap/allocate.cc)
//   level 1    a block has an end behind it; its object is zero when it is handed out
//   level 2    a freed object lies under a pattern in the quarantine, then in lists and spans
//   level 3    pages round spans and large blocks are inaccessible
#ifndef SPANMALLOC_HEAP_HARDENED_H_
#define SPANMALLOC_HEAP_HARDENED_H_

#include <cstddef>

#include "cache/thread_cache.h"
#include "platform/compiler.h"

namespace spanmalloc {

// As the functions of heap/allocate.h without the ending. REQUIRES: hardening is on; the pointer to
// reallocate is not nullptr.
SPANMALLOC_NOINLINE void* allocate_hardened(size_t bytes);
SPANMALLOC_NOINLINE void* allocate_zeroed_hardened(size_t bytes);
SPANMALLOC_NOINLINE void* allocate_aligned_hardened(size_t bytes, size_t alignment);
SPANMALLOC_NOINLINE void deallocate_hardened(void* pointer);
SPANMALLOC_NOINLINE void* reallocate_hardened(void* pointer, size_t bytes);
// A block of `bytes` bytes if it is one of those that are sampled, which know their size; else one
// of `longer` bytes. REQUIRES: blocks have no ends.
SPANMALLOC_NOINLINE void* allocate_sampled_or_longer(size_t bytes, size_t longer);
SPANMALLOC_NOINLINE size_t usable_bytes_hardened(const void* pointer, const char* call);

// Ends the process if `pointer` is a live block of another size than `bytes`, or is not aligned to
// `alignment`. Pointers that are none of the heap's are left to free().
SPANMALLOC_NOINLINE void check_size_hardened(const void* pointer, size_t bytes, size_t alignment,
                                             const char* call);

// Makes what a thread needs under hardening; without memory for it the thread does without.
void prepare_hardened(ThreadCache& cache);

// Moves all blocks of the calling thread's quarantine into its lists.
void empty_quarantine(ThreadCache& cache);

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_HARDENED_H_
