// Functions of this library that have an address in the program. Where code of the program that is
// not position independent takes the address of a function, the program has an entry for it, whose
// address is the function's for all libraries; what calls it comes here all the same. Part of the
// shared library alone: in a static program there are no such entries.
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <array>
#include <iterator>

#include "api/replaced.h"
#include "heap/heap.h"
#include "platform/compiler.h"

// Weak, since they are libdl's in older releases of the C library.
extern "C" {
__attribute__((weak)) decltype(dlsym) dlsym;
__attribute__((weak)) decltype(dladdr1) dladdr1;
}

namespace spanmalloc {

namespace {

constexpr const char* kNames[] = {
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "_Znwm",
    "_Znam",
    "_ZnwmRKSt9nothrow_t",
    "_ZnamRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
};

constinit std::array<const void*, std::size(kNames)> entries{};

const link_map* module_of(const void* address) {
  Dl_info module{};
  void* map = nullptr;
  return dladdr1(address, &module, &map, RTLD_DL_LINKMAP) != 0 ? static_cast<link_map*>(map)
                                                               : nullptr;
}

// Whether the loader looks into this library right after the program: what has an entry in the
// program is then this library's, not that of another one which builds on this.
bool is_first_behind(const link_map* program) {
  const link_map* next = program->l_next;
  // The kernel's library, in which the loader does not look for the program's symbols.
  if (next != nullptr && next->l_addr == getauxval(AT_SYSINFO_EHDR)) next = next->l_next;
  return next != nullptr && next == module_of(&entries);
}

bool leads_here(const void* address) {
  const link_map* module = module_of(address);
  if (module == nullptr || module->l_prev != nullptr || !is_first_behind(module)) return false;
  Dl_info info{};
  void* found = nullptr;
  if (dladdr1(address, &info, &found, RTLD_DL_SYMENT) == 0 || found == nullptr) return false;
  // A function of the program's own has a section.
  return static_cast<const ElfW(Sym)*>(found)->st_shndx == SHN_UNDEF;
}

// While no thread can wait for the loader; nobody asks without hardening.
__attribute__((constructor(102))) void find_entries() {
  if (dlsym == nullptr || dladdr1 == nullptr || !heap.hardening().is_on()) return;
  for (size_t index = 0; index < entries.size(); ++index) {
    const void* address = dlsym(RTLD_DEFAULT, kNames[index]);
    if (leads_here(address)) entries[index] = address;
  }
}

}  // namespace

SPANMALLOC_COLD bool is_program_entry(const void* address) {
  for (const void* entry : entries) {
    if (entry == address) return true;
  }
  return false;
}

}  // namespace spanmalloc
