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
// The block lies in a list and is not as it was when it came there.
[[noreturn]] SPANMALLOC_COLD void report_changed_in_list(uintptr_t address, size_t bytes);
// What stands behind a block of a class with objects of `bytes` bytes is not what was put there.
[[noreturn]] SPANMALLOC_COLD void report_overflow(const char* call, uintptr_t address,
                                                  size_t bytes);
// `given`: the size that the program passed for a block of `bytes` bytes.
[[noreturn]] SPANMALLOC_COLD void report_size_mismatch(const char* call, uintptr_t address,
                                                       size_t bytes, size_t given);
[[noreturn]] SPANMALLOC_COLD void report_alignment_mismatch(const char* call, uintptr_t address,
                                                            size_t bytes, size_t alignment);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_MISUSE_H_
