// Return addresses of the calling thread, and what code they belong to. Nothing here allocates.
#ifndef SPANMALLOC_PLATFORM_STACK_TRACE_H_
#define SPANMALLOC_PLATFORM_STACK_TRACE_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

// Writes the return addresses of the function with this frame and of its callers, as far as they
// keep frame pointers: at least the first. `frame` is __builtin_frame_address(0). Returns how many.
// Reads nothing beyond the thread's stack, and nothing that is not there: a function that keeps
// none may have left anything where a frame pointer is looked for.
size_t capture_stack(const void* frame, uintptr_t* addresses, size_t capacity);

// Whether a word at the address can be read; false also when unknown. REQUIRES: aligned.
bool is_readable(uintptr_t address);

// A place in a file that is mapped as code, as tools that know its symbols want it.
struct CodePlace {
  static constexpr size_t kFileBytes = 384;

  char file[kFileBytes] = {};  // empty when the address is in no file, or nothing is known of it
  uintptr_t offset = 0;        // from where the file was loaded
};
// Asks the kernel, and so waits for none of the loader's locks.
CodePlace find_code(uintptr_t address);

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_STACK_TRACE_H_
