// Threads, thread exit and fork, as far as an allocator needs them.
#ifndef SPANMALLOC_PLATFORM_THREAD_H_
#define SPANMALLOC_PLATFORM_THREAD_H_

#include <atomic>
#include <cstdint>

#include "platform/compiler.h"

namespace spanmalloc::platform {

// Registers `at_exit` for the process; it then runs in each thread that called arm_thread_exit(),
// while the thread ends. False when the system has no room for it.
// REQUIRES: no two calls at a time; none after a call that succeeded.
[[nodiscard]] bool register_thread_exit(void (*at_exit)(void*));

bool thread_exit_is_registered();

// Makes the exit function, if there is one, run in the calling thread with `argument`, which is not
// nullptr. May call malloc. False when the system has no memory for it.
[[nodiscard]] bool arm_thread_exit(void* argument);

// Registers the functions that run round a fork in the forking thread. May call malloc. False when
// the system has no memory for it.
[[nodiscard]] bool register_fork_handlers(void (*prepare)(), void (*in_parent)(),
                                          void (*in_child)());

// Notes how much stack the C library takes for thread-local variables. For the time of loading: it
// takes a lock of the loader, which the child of a fork may find taken for ever.
void note_thread_local_bytes();

// Starts a detached thread of the usual priority with all signals blocked. May call malloc. False
// when refused.
// REQUIRES: not called again before the body has begun.
[[nodiscard]] bool start_background_thread(void (*body)(void*), void* argument);

// True in the child of a vfork, which runs in the memory of its parent. It is recognised by its
// identity, noted when this was first called; so it is true as well in a child with memory of its
// own that does not note it.
bool may_be_vfork_child();

// Notes the process's new identity; for the child of a fork.
void note_new_process();

// True when the calling thread is the only one of the process; false also when unknown.
bool is_only_thread();

// Numbers for threads: they are counted, as long as numbers last, since the child of a fork has no
// thread that was counted before but one. Then they follow from the kernel's, which differ between
// living threads.
class ThreadNumbers {
 public:
  static constexpr uint32_t kMax = (uint32_t{1} << 30) - 1;
  // The kernel's are below 2^22 (PID_MAX_LIMIT).
  static constexpr uint32_t kLastCounted = kMax - (uint32_t{1} << 22);

  constexpr explicit ThreadNumbers(uint32_t counted = 0) : counted_(counted) {}

  // A number for a thread that has none; `kernel_thread_id()` tells the kernel's, by a system call,
  // and is called only when all numbers are counted.
  template <typename KernelThreadId>
  uint32_t next(KernelThreadId&& kernel_thread_id) {
    const uint32_t number = count();
    return number != 0 ? number : kLastCounted + kernel_thread_id();
  }
  // For the child of a fork, whose only thread keeps its number: where the parent has no numbers
  // left to count, counts anew.
  void count_anew(uint32_t survivor);

 private:
  // The next to count; 0 when all are counted.
  uint32_t count();

  // The last that was given.
  std::atomic<uint32_t> counted_;
};

SPANMALLOC_COLD uint32_t new_thread_number();

// A number that differs between living threads, from 1 up to ThreadNumbers::kMax. The thread that
// goes on in the child of a fork keeps its own.
inline uint32_t thread_number() {
  static constinit thread_local uint32_t number SPANMALLOC_INITIAL_EXEC_TLS = 0;
  if (SPANMALLOC_UNLIKELY(number == 0)) number = new_thread_number();
  return number;
}

// For the child of a fork: its threads to come get numbers that none of its own has.
void number_threads_anew();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_THREAD_H_
