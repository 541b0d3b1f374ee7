#include "api/cxx_runtime.h"

#include <initializer_list>

#include "base/check.h"

// Weak: bound when the program has loaded the C++ runtime before the first call, else null.
namespace std {
__attribute__((weak)) void __throw_bad_alloc();
__attribute__((weak)) spanmalloc::NewHandler get_new_handler() noexcept;
}  // namespace std

// Weak also here, so that a static program does not get the dynamic loader for them.
extern "C" {
__attribute__((weak)) void* dlopen(const char* file, int flags);
__attribute__((weak)) void* dlsym(void* handle, const char* name);
}

namespace spanmalloc {

namespace {

constexpr int kLazyNoLoad = 0x1 | 0x4;  // RTLD_LAZY | RTLD_NOLOAD

// A plugin may have brought the runtime later and kept its symbols to itself.
void* find_in_runtime(const char* mangled_name) {
  if (dlopen == nullptr || dlsym == nullptr) return nullptr;
  for (const char* library : {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"}) {
    void* handle = dlopen(library, kLazyNoLoad);
    if (handle == nullptr) continue;
    if (void* symbol = dlsym(handle, mangled_name); symbol != nullptr) return symbol;
  }
  return nullptr;
}

}  // namespace

NewHandler current_new_handler() {
  if (std::get_new_handler != nullptr) return std::get_new_handler();
  auto get = reinterpret_cast<NewHandler (*)()>(find_in_runtime("_ZSt15get_new_handlerv"));
  return get != nullptr ? get() : nullptr;
}

void throw_bad_alloc() {
  void (*throw_it)() = std::__throw_bad_alloc;
  if (throw_it == nullptr) {
    throw_it = reinterpret_cast<void (*)()>(find_in_runtime("_ZSt17__throw_bad_allocv"));
  }
  if (throw_it != nullptr) throw_it();
  fatal("operator new: out of memory, and no C++ runtime to throw std::bad_alloc");
}

}  // namespace spanmalloc
