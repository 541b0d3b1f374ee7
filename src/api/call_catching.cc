// The one place that catches exceptions, and so the one file that is compiled with them.

#include "api/cxx_runtime.h"

#include "platform/compiler.h"

// What the catch below refers to in the C++ runtime. Weak: where there is no runtime, nothing is
// thrown.
__asm__(
    ".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak _Unwind_Resume\n");

namespace spanmalloc {

void* call_catching(void* (*function)(size_t bytes, size_t alignment), size_t bytes,
                    size_t alignment) {
  SPANMALLOC_KEEP_FRAME();
  try {
    return function(bytes, alignment);
  } catch (...) {
    return nullptr;
  }
}

}  // namespace spanmalloc
