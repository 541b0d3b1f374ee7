// The few things that operator new needs of the C++ runtime, which the library does not link: a
// program without C++ never needs them, a program with C++ has brought them.
#ifndef SPANMALLOC_API_CXX_RUNTIME_H_
#define SPANMALLOC_API_CXX_RUNTIME_H_

#include <cstddef>

namespace spanmalloc {

using NewHandler = void (*)();

// The program's new handler; nullptr when there is none or no C++ runtime.
NewHandler current_new_handler();

// Throws std::bad_alloc. Ends the process when it has no C++ runtime.
[[noreturn]] void throw_bad_alloc();

// Calls function(bytes, alignment) and gives nullptr in the place of any exception.
void* call_catching(void* (*function)(size_t bytes, size_t alignment), size_t bytes,
                    size_t alignment);

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_CXX_RUNTIME_H_
