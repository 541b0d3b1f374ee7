// Small facts of the process and the machine.
#ifndef SPANMALLOC_PLATFORM_SYSTEM_H_
#define SPANMALLOC_PLATFORM_SYSTEM_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

// Nanoseconds of a clock that never goes back and that moves every few milliseconds only, for which
// reading it costs no more than a load.
uint64_t coarse_monotonic_ns();

// Nanoseconds of processor time that the calling thread has used.
uint64_t thread_cpu_ns();

// Processors that this process may run on, at least 1.
unsigned usable_processors();

void sleep_ns(uint64_t nanoseconds);

// 64 bits that differ from process to process and from call to call and are hard to guess; no
// system call.
uint64_t process_random();

// The value of an environment variable; nullptr when it is not set or when the process runs with
// more rights than its caller (set-uid), which must not steer it.
const char* environment(const char* name);

// False as long as the C library has not yet received the environment (calls from the loader).
bool environment_is_there();

// Writes to standard error, without buffering and without touching errno.
void write_error(const char* text, size_t length);

[[noreturn]] void abort_process();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_SYSTEM_H_
