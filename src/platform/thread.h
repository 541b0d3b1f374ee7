// Threads, thread exit and fork, as far as an allocator needs them.
#ifndef SPANMALLOC_PLATFORM_THREAD_H_
#define SPANMALLOC_PLATFORM_THREAD_H_

namespace spanmalloc::platform {

// Registers `at_exit` once for the process; it then runs in each thread that called
// arm_thread_exit(), while the thread ends. False when the system has no room for it.
// REQUIRES: called once.
[[nodiscard]] bool register_thread_exit(void (*at_exit)(void*));

// Makes the exit function run in the calling thread with `argument`, which is not nullptr. May
// call malloc.
void arm_thread_exit(void* argument);

// Registers the functions that run round a fork in the forking thread. May call malloc.
void register_fork_handlers(void (*prepare)(), void (*in_parent)(), void (*in_child)());

// Starts a detached thread with all signals blocked. May call malloc. False when refused.
// REQUIRES: not called again before the body has begun.
[[nodiscard]] bool start_background_thread(void (*body)(void*), void* argument);

// True when the process has a system call filter, under which starting a thread may kill it.
bool system_calls_are_filtered();

// True in the child of a vfork, which runs in the memory of its parent. It is recognised by its
// identity, noted when this was first called.
bool shares_memory_with_parent();

// Notes the process's new identity; for the child of a fork.
void note_new_process();

// True when the calling thread is the only one of the process; false also when unknown.
bool is_only_thread();

// An address that is the same for every call of one thread and differs between living threads.
inline const void* thread_identity() {
  static thread_local char identity __attribute__((tls_model("initial-exec")));
  return &identity;
}

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_THREAD_H_
