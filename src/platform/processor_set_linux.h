// A set of processors for the kernel's calls, which refuse one smaller than the machine.
#ifndef SPANMALLOC_PLATFORM_PROCESSOR_SET_LINUX_H_
#define SPANMALLOC_PLATFORM_PROCESSOR_SET_LINUX_H_

#include <sched.h>
#include <sys/types.h>
#include <bit>
#include <cstddef>

namespace spanmalloc::platform {

struct ProcessorSet {
  // As many as the largest kernels are configured for.
  static constexpr size_t kProcessors = 8192;
  static constexpr size_t kWordBits = 8 * sizeof(unsigned long);

  // What the thread may run on; 0 is the calling one. errno is lost.
  [[nodiscard]] bool read_of(pid_t thread) {
    return sched_getaffinity(thread, sizeof(words), reinterpret_cast<cpu_set_t*>(words)) == 0;
  }

  unsigned count() const {
    unsigned sum = 0;
    for (const unsigned long word : words) sum += static_cast<unsigned>(std::popcount(word));
    return sum;
  }

  unsigned long words[kProcessors / kWordBits] = {};
};

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_PROCESSOR_SET_LINUX_H_
