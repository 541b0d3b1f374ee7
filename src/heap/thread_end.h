#ifndef SPANMALLOC_HEAP_THREAD_END_H_
#define SPANMALLOC_HEAP_THREAD_END_H_

#include "platform/compiler.h"

namespace spanmalloc {

// Whether the calling thread has got a cache. It gets one in its life: destructors that run after
// it gave the cache back may still allocate and free, and go without, since nobody would take
// another one back; so does a thread whose cache is borrowed (see CacheOwner).
extern constinit thread_local bool thread_cache_was_given SPANMALLOC_INITIAL_EXEC_TLS;

// Whether the calling thread is among those that the scavenger counts: from when it gets its cache
// until it has given it back. A handler may fork in between, so the mark is there while it counts.
extern constinit thread_local bool thread_is_counted SPANMALLOC_INITIAL_EXEC_TLS;

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_THREAD_END_H_
