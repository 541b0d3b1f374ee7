// Handlers of forks that others register. Constructors of libraries that this one does not know run
// before its own, and what is registered first runs last before a fork: a handler that ends a
// thread, or takes a mutex under which others allocate, would wait for ever behind this library's.
// Part of the shared library alone: in a static program its constructor comes first.
#include <dlfcn.h>
#include <features.h>
#include <atomic>
#include <cerrno>

#include "heap/fork.h"
#include "heap/heap.h"
#include "platform/compiler.h"

// Before, what it takes to find the next one is in a library of its own.
#if __GLIBC_PREREQ(2, 34)

namespace spanmalloc {

namespace {

using Handler = void (*)();
using RegisterFunction = int (*)(Handler, Handler, Handler, void*);

constinit std::atomic<RegisterFunction> next_register{nullptr};

RegisterFunction find_next_register() {
  RegisterFunction next = next_register.load(std::memory_order_relaxed);
  if (next == nullptr) {
    next = reinterpret_cast<RegisterFunction>(dlsym(RTLD_NEXT, "__register_atfork"));
    next_register.store(next, std::memory_order_relaxed);
  }
  return next;
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

// What pthread_atfork() is but a name for, with the library whose handlers they are. Returns
// ENOMEM as the C library's.
extern "C" SPANMALLOC_EXPORT int __register_atfork(Handler prepare, Handler in_parent,
                                                   Handler in_child, void* library) {
  // The heap's handlers come with the first cache. They come here themselves, in the midst of this.
  (void)heap.attach_thread();
  const RegisterFunction next = find_next_register();
  if (next == nullptr) return ENOMEM;
  const HandlerRegistration registration;
  return next(prepare, in_parent, in_child, library);
}

#endif
