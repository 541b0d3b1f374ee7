// Takes all mappings that the kernel gives to a process. For a child of its own.
#ifndef SPANMALLOC_TESTS_SUPPORT_USED_UP_MAPPINGS_H_
#define SPANMALLOC_TESTS_SUPPORT_USED_UP_MAPPINGS_H_

#include <sys/mman.h>

#include <cstddef>

#include "platform/virtual_memory.h"

namespace spanmalloc::testing {

// One range in which every other page differs: each costs a mapping. False where the kernel has no
// limit within reach. Stays until the process ends.
inline bool use_up_mappings() {
  constexpr size_t kPages = 300000;
  const size_t page = platform::page_bytes();
  const uintptr_t start = platform::reserve(kPages * page, 0);
  if (start == 0) return false;
  for (size_t at = 1; at < kPages; at += 2) {
    if (mprotect(reinterpret_cast<void*>(start + at * page), page, PROT_READ) != 0) return true;
  }
  return false;
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_USED_UP_MAPPINGS_H_
