// The sentences that end a process which misuses its heap. Each names the pointer and the fault.
#ifndef SPANMALLOC_SPANS_MISUSE_H_
#define SPANMALLOC_SPANS_MISUSE_H_

#include <cstddef>
#include <cstdint>

#include "platform/compiler.h"

namespace spanmalloc {

// `call` is the name of the function that was given the pointer, `bytes` the size of the block's
// size class or of its pages.

[[noreturn]] SPANMALLOC_COLD void report_foreign_pointer(const char* call, uintptr_t address);
[[noreturn]] SPANMALLOC_COLD void report_interior_pointer(const char* call, uintptr_t address,
                                                          size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_double_free(uintptr_t address, size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_use_of_free_block(const char* call, uintptr_t address,
                                                           size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_write_after_free(uintptr_t address, size_t bytes);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_MISUSE_H_
