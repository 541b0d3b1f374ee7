// Accesses to memory that is not there.
#ifndef SPANMALLOC_PLATFORM_FAULT_H_
#define SPANMALLOC_PLATFORM_FAULT_H_

#include <cstdint>

namespace spanmalloc::platform {

struct Fault {
  uintptr_t address = 0;  // that was accessed
  uintptr_t code = 0;     // of the instruction; 0 when unknown
};

// From here on `describe` is called in the thread that made an invalid access, in its signal
// handler; it says whether it knows the address. Then the fault goes on to whom it went before: a
// handler of the program, or the end of the process. False when the system refuses.
// REQUIRES: called once.
[[nodiscard]] bool watch_faults(bool (*describe)(const Fault& fault));

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_FAULT_H_
