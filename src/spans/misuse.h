// The sentences that end a process which misuses its heap. Each names the pointer and the fault.
//
// `call` is the name of the function that was given the pointer, `bytes` the size of the block:
// what the program asked for where that is known, else that of its size class or of its pages.
#ifndef SPANMALLOC_SPANS_MISUSE_H_
#define SPANMALLOC_SPANS_MISUSE_H_

#include <cstddef>
#include <cstdint>

#include "platform/compiler.h"

namespace spanmalloc {

// These write the sentence to standard error and return, for who has more to say.

SPANMALLOC_COLD void say_foreign_pointer(const char* call, uintptr_t address);
SPANMALLOC_COLD void say_interior_pointer(const char* call, uintptr_t address, size_t bytes);
// A double free, if `call` is free.
SPANMALLOC_COLD void say_use_of_free_block(const char* call, uintptr_t address, size_t bytes);
// What stands behind the block is not what was put there.
SPANMALLOC_COLD void say_overflow(const char* call, uintptr_t address, size_t bytes);
// `given`: the size that the program passed.
SPANMALLOC_COLD void say_size_mismatch(const char* call, uintptr_t address, size_t bytes,
                                       size_t given);
SPANMALLOC_COLD void say_alignment_mismatch(const char* call, uintptr_t address, size_t bytes,
                                            size_t alignment);

// These abort the process then.

[[noreturn]] SPANMALLOC_COLD void report_foreign_pointer(const char* call, uintptr_t address);
[[noreturn]] SPANMALLOC_COLD void report_interior_pointer(const char* call, uintptr_t address,
                                                          size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_use_of_free_block(const char* call, uintptr_t address,
                                                           size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_double_free(uintptr_t address, size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_write_after_free(uintptr_t address, size_t bytes);
// The block lies in a list and is not as it was when it came there.
[[noreturn]] SPANMALLOC_COLD void report_changed_in_list(uintptr_t address, size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_overflow(const char* call, uintptr_t address,
                                                  size_t bytes);
// The same of a block of which no more is known than that its class has objects of `bytes` bytes.
[[noreturn]] SPANMALLOC_COLD void report_overflow_in_class(const char* call, uintptr_t address,
                                                           size_t bytes);
[[noreturn]] SPANMALLOC_COLD void report_size_mismatch(const char* call, uintptr_t address,
                                                       size_t bytes, size_t given);
[[noreturn]] SPANMALLOC_COLD void report_alignment_mismatch(const char* call, uintptr_t address,
                                                            size_t bytes, size_t alignment);

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_MISUSE_H_
