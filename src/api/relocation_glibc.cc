// Calls of malloc while the loader relocates: by resolvers of indirect functions (ifunc) in the
// program, and in libraries whose functions it calls. The loader has reserved the first thread's
// thread-local data by then and gives it its initial values later, so the cache of the thread would
// be a null pointer. Part of the shared library alone: in a static program there is no such data
// yet, nor can the C library's own malloc be called there.
#include <cstdint>

#include "cache/thread_cache.h"
#include "heap/thread_end.h"

namespace spanmalloc {

namespace {

// The compiler knows that the addresses of two variables differ; before they are relocated these
// two do not.
uintptr_t address_of(const void* variable) {
  uintptr_t address = reinterpret_cast<uintptr_t>(variable);
  asm("" : "+r"(address));
  return address;
}

void resolved() {}

}  // namespace

// The loader calls this when it relocates the library, behind all but its like, and before it
// relocates what was named before the library: the program, in particular. Until the initial values
// are there the thread is one that has given its cache back.
extern "C" [[gnu::used]] void (*spanmalloc_resolve_relocation())() {
  if (address_of(&current_thread_cache) != address_of(&thread_cache_was_given)) {
    set_current_cache(&empty_thread_cache);
    thread_cache_was_given = true;
  }
  return &resolved;
}

namespace {

[[gnu::ifunc("spanmalloc_resolve_relocation")]] void relocation();

// What asks the loader to resolve it.
[[gnu::used]] void (*const asked)() = &relocation;

}  // namespace

}  // namespace spanmalloc
