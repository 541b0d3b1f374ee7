// Shared by the programs that misuse malloc, each in one way. A program announces the pointer that
// the sentence of the allocator must name, then does what it is named for.
#ifndef SPANMALLOC_TESTS_MISUSE_MISUSE_H_
#define SPANMALLOC_TESTS_MISUSE_MISUSE_H_

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace misuse {

// Hides a pointer's origin from the compiler, which would warn of the misuse.
inline void* opaque(void* pointer) {
  asm volatile("" : "+r"(pointer) : : "memory");
  return pointer;
}

// Writes the pointer to stdout, and returns it as one of unknown origin.
inline void* announce(void* pointer) {
  char line[32];
  const int length = snprintf(line, sizeof line, "0x%lx\n", reinterpret_cast<uintptr_t>(pointer));
  if (write(1, line, static_cast<size_t>(length)) < 0) _exit(2);
  return opaque(pointer);
}

inline void* announce(uintptr_t address) {
  return announce(reinterpret_cast<void*>(address));
}

inline void* at(void* block, size_t offset) {
  return static_cast<char*>(block) + offset;
}

}  // namespace misuse

#endif  // SPANMALLOC_TESTS_MISUSE_MISUSE_H_
