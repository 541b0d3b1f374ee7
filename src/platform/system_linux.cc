#include "platform/system.h"

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "platform/errno_guard.h"
#include "platform/processor_set_linux.h"

// The C library's own name for the environment. `environ` a program may define for itself. The
// header of musl does not declare it.
extern "C" char** __environ;

namespace spanmalloc::platform {

namespace {

uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every output bit depends on every input
// bit, so that the kernel's random bytes, which also seed the stack protector, do not show.
uint64_t mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

uint64_t coarse_monotonic_ns() {
  ErrnoGuard errno_guard;
  return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t thread_cpu_ns() {
  ErrnoGuard errno_guard;
  return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

unsigned usable_processors() {
  ErrnoGuard errno_guard;
  ProcessorSet set;
  return set.read_of(0) ? std::max(set.count(), 1u) : 1;
}

void sleep_ns(uint64_t nanoseconds) {
  ErrnoGuard errno_guard;
  const timespec time{static_cast<time_t>(nanoseconds / 1'000'000'000),
                      static_cast<long>(nanoseconds % 1'000'000'000)};
  // The raw call: the library's own is a point where a thread may be cancelled.
  syscall(SYS_nanosleep, &time, nullptr);
}

uint64_t process_random() {
  static constinit std::atomic<uint64_t> calls{0};
  uint64_t seed[2] = {0, 0};
  const unsigned long kernel_random = getauxval(AT_RANDOM);
  if (kernel_random != 0) {
    memcpy(seed, reinterpret_cast<const void*>(kernel_random), sizeof(seed));
  } else {
    seed[0] = read_clock(CLOCK_MONOTONIC);
  }
  return mix(seed[0] ^ mix(seed[1] ^ mix(calls.fetch_add(1, std::memory_order_relaxed))));
}

// Not by getenv(), which calls functions for strings in code that few programs that end at once
// run.
const char* environment(const char* name) {
  if (getauxval(AT_SECURE) != 0 || !environment_is_there()) return nullptr;
  for (char** variable = __environ; *variable != nullptr; ++variable) {
    const char* text = *variable;
    const char* wanted = name;
    while (*wanted != '\0' && *text == *wanted) {
      ++text;
      ++wanted;
    }
    if (*wanted == '\0' && *text == '=') return text + 1;
  }
  return nullptr;
}

bool environment_is_there() {
  return __environ != nullptr;
}

void write_error(const char* text, size_t length) {
  ErrnoGuard errno_guard;
  while (length > 0) {
    // The raw call: the library's own is a point where a thread may be cancelled.
    const long written = syscall(SYS_write, STDERR_FILENO, text, length);
    if (written <= 0) return;
    text += written;
    length -= static_cast<size_t>(written);
  }
}

void abort_process() {
  abort();
}

}  // namespace spanmalloc::platform
