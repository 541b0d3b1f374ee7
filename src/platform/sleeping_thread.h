// Whether another thread of the process sleeps where nothing of it is half done.
#ifndef SPANMALLOC_PLATFORM_SLEEPING_THREAD_H_
#define SPANMALLOC_PLATFORM_SLEEPING_THREAD_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

// The calling thread's identity in the kernel.
int kernel_thread_id();

// Whether the process has a thread of this identity; one that is about to end counts as living.
enum class ThreadLife : uint8_t { kLiving, kGone, kUnknown };
ThreadLife life_of_thread(int thread_id);

inline bool has_no_thread(int thread_id) {
  return life_of_thread(thread_id) == ThreadLife::kGone;
}

// Looks at other threads. Reads small files of the kernel; nothing in it allocates.
class SleepWatch {
 public:
  constexpr SleepWatch() = default;

  // Whether the thread sleeps in a system call, no signal handler of it is under way, and it has
  // not run since before this was called. `anchor` is the address of one of the thread's
  // thread-local variables. False whenever that is not certain: where the kernel does not tell, on
  // processors for which it was not written, and while the thread is on another stack than the one
  // that it was started with.
  //
  // A handler that interrupted the thread has left the address that it returns through on the
  // thread's stack, so the stack is searched for the addresses that the process has given the
  // kernel for this.
  bool sleeps(int thread_id, uintptr_t anchor);

 private:
  // Addresses that handlers return through. The C library has one; programs that talk to the
  // kernel themselves may bring theirs.
  static constexpr size_t kMaxReturns = 8;

  bool note_handler_returns();
  bool is_handler_return(uintptr_t word) const;
  bool has_handler_frame(uintptr_t stack_pointer, uintptr_t stack_end) const;

  uintptr_t returns_[kMaxReturns] = {};
  size_t return_count_ = 0;
};

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_SLEEPING_THREAD_H_
