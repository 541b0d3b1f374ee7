#include "platform/stack_trace.h"

#include <link.h>
#include <sys/auxv.h>
#include <cerrno>
#include <initializer_list>

namespace spanmalloc::platform {

namespace {

// A frame that is larger than this, or a stack, is taken for a register that holds something else.
constexpr uintptr_t kMaxFrameBytes = uintptr_t{128} << 10;
constexpr uintptr_t kMaxStackBytes = uintptr_t{64} << 20;

// The kernel and the C library lay nothing below here.
constexpr uintptr_t kLeastAddress = 4096;

// An address at the upper end of the stack that `frame` lies on; 0 when the stack is an unknown
// one. The C library puts a thread's own data above its stack, errno among them; the kernel puts
// random bytes above the first thread's.
uintptr_t stack_end(uintptr_t frame) {
  uintptr_t end = UINTPTR_MAX;
  for (const uintptr_t above :
       {reinterpret_cast<uintptr_t>(&errno), static_cast<uintptr_t>(getauxval(AT_RANDOM))}) {
    if (above > frame && above < end) end = above;
  }
  return end - frame <= kMaxStackBytes ? end : 0;
}

struct Search {
  uintptr_t address;
  CodePlace found;
};

int look_into(dl_phdr_info* module, size_t, void* argument) {
  Search* search = static_cast<Search*>(argument);
  for (size_t index = 0; index < module->dlpi_phnum; ++index) {
    const ElfW(Phdr)& segment = module->dlpi_phdr[index];
    const uintptr_t start = module->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || search->address - start >= segment.p_memsz) continue;
    // The program itself has no name here.
    const bool has_name = module->dlpi_name != nullptr && module->dlpi_name[0] != '\0';
    search->found.file =
        has_name ? module->dlpi_name : reinterpret_cast<const char*>(getauxval(AT_EXECFN));
    search->found.offset = search->address - module->dlpi_addr;
    return 1;
  }
  return 0;
}

}  // namespace

size_t capture_stack(const void* frame, uintptr_t* addresses, size_t capacity) {
  const uintptr_t end = stack_end(reinterpret_cast<uintptr_t>(frame));
  const uintptr_t* words = static_cast<const uintptr_t*>(frame);
  size_t count = 0;
  while (count < capacity) {
    if (words[1] < kLeastAddress) break;
    addresses[count++] = words[1];
    const uintptr_t here = reinterpret_cast<uintptr_t>(words);
    const uintptr_t next = words[0];
    if (next <= here || next - here > kMaxFrameBytes || next % alignof(uintptr_t) != 0) break;
    if (next + 2 * sizeof(uintptr_t) > end) break;
    words = reinterpret_cast<const uintptr_t*>(next);
  }
  return count;
}

CodePlace find_code(uintptr_t address) {
  Search search{address, {}};
  dl_iterate_phdr(&look_into, &search);
  return search.found;
}

}  // namespace spanmalloc::platform
