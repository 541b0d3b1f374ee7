// A heap beyond which checks of freed blocks are deferred (SealCheck).
#ifndef SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_
#define SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_

#include "misuse/misuse.h"

namespace misuse {

// 3 MiB of live blocks, so many that a library that checks itself at its first slow paths
// (allocate.cc) no longer does at each.
inline void fill_heap() {
  for (int count = 0; count < 65536; ++count) memset(opaque(malloc(48)), 1, 48);
}

}  // namespace misuse

#endif  // SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_
