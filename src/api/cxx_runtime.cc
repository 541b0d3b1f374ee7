#include "api/cxx_runtime.h"

#include <dlfcn.h>
#include <initializer_list>

// Weak: bound when the program has loaded the C++ runtime before the first call, else null.
namespace std {
__attribute__((weak)) void __throw_bad_alloc();
__attribute__((weak)) spanmalloc::NewHandler get_new_handler() noexcept;
}  // namespace std

// Weak also here, so that a static program does not get the dynamic loader for them.
extern "C" {
__attribute__((weak)) decltype(dlopen) dlopen;
__attribute__((weak)) decltype(dlclose) dlclose;
__attribute__((weak)) decltype(dlsym) dlsym;
__attribute__((weak)) decltype(dladdr) dladdr;
__attribute__((weak)) void* __cxa_begin_catch(void* exception) noexcept;
}

namespace spanmalloc {

namespace {

// The module itself, and what it was linked with.
void* find_from_module_of(const void* caller, const char* mangled_name) {
  Dl_info module{};
  if (dladdr(caller, &module) == 0 || module.dli_fname == nullptr) return nullptr;
  void* handle = dlopen(module.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  void* symbol = dlsym(handle, mangled_name);
  // It stays loaded while its code is in a call.
  dlclose(handle);
  return symbol;
}

}  // namespace

bool can_throw() {
  return std::__throw_bad_alloc != nullptr;
}

bool can_catch() {
  return __cxa_begin_catch != nullptr;
}

NewHandler current_new_handler() {
  return std::get_new_handler != nullptr ? std::get_new_handler() : nullptr;
}

void throw_bad_alloc() {
  std::__throw_bad_alloc();
  __builtin_unreachable();
}

void* find_in_late_runtime(const char* mangled_name, const void* caller, const void* own) {
  if (dlopen == nullptr || dlsym == nullptr || dladdr == nullptr || dlclose == nullptr) {
    return nullptr;
  }
  void* symbol = find_from_module_of(caller, mangled_name);
  if (symbol != nullptr && symbol != own) return symbol;
  for (const char* library : {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"}) {
    void* handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == nullptr) continue;
    symbol = dlsym(handle, mangled_name);
    if (symbol != nullptr && symbol != own) return symbol;
  }
  return nullptr;
}

}  // namespace spanmalloc
