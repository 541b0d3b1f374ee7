// The few things that operator new needs of the C++ runtime, which the library does not link: a
// program without C++ never needs them, a program with C++ has brought them.
#ifndef SPANMALLOC_API_CXX_RUNTIME_H_
#define SPANMALLOC_API_CXX_RUNTIME_H_

#include <cstddef>

namespace spanmalloc {

using NewHandler = void (*)();

// Whether the runtime was there when the library was loaded, so that it can throw, and catch.
bool can_throw();
bool can_catch();

// The program's new handler; nullptr when there is none.
NewHandler current_new_handler();

// Throws std::bad_alloc. REQUIRES: can_throw().
[[noreturn]] void throw_bad_alloc();

// A process without C++ may load a plugin that brings the runtime later and keeps it to itself,
// even as a part of its own. The runtime's form of operator new then does what must be done when
// memory has run out: it calls malloc again, its new handler, and throws. It is looked for in the
// module that `caller`, an address of code, lies in, in what that module needs, and in the usual
// runtimes. nullptr when none is found but `own`.
void* find_in_late_runtime(const char* mangled_name, const void* caller, const void* own);

template <typename Function>
Function* find_in_late_runtime(const char* mangled_name, const void* caller, Function* own) {
  return reinterpret_cast<Function*>(
      find_in_late_runtime(mangled_name, caller, reinterpret_cast<const void*>(own)));
}

// Calls function(bytes, alignment) and gives nullptr in the place of any exception, which it lets
// pass unless can_catch().
void* call_catching(void* (*function)(size_t bytes, size_t alignment), size_t bytes,
                    size_t alignment);

}  // namespace spanmalloc

#endif  // SPANMALLOC_API_CXX_RUNTIME_H_
