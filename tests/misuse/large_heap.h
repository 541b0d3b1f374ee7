// A heap beyond which checks of freed blocks are deferred (SealCheck).
#ifndef SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_
#define SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_

#include "misuse/misuse.h"

namespace misuse {

// 16 MiB of live blocks.
inline void fill_heap() {
  for (int count = 0; count < 65536; ++count) memset(opaque(malloc(256)), 1, 256);
}

}  // namespace misuse

#endif  // SPANMALLOC_TESTS_MISUSE_LARGE_HEAP_H_
