#ifndef SPANMALLOC_HEAP_THREAD_END_H_
#define SPANMALLOC_HEAP_THREAD_END_H_

#include "platform/compiler.h"

namespace spanmalloc {

// Whether the calling thread has given its cache back because it ends. Destructors that run later
// may still allocate and free; they get no new cache, which nobody would give back.
extern constinit thread_local bool thread_cache_is_closed SPANMALLOC_INITIAL_EXEC_TLS;

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_THREAD_END_H_
