// Calls of the C library that copy the process and run no fork handlers. To the program it may have
// one thread, and the background thread is in the midst of the heap: the child would wait for it
// for ever. So these do what the handlers do. (The same by syscall() cannot be met.) Part of the
// shared library alone.
#include <dlfcn.h>
#include <features.h>
#include <linux/sched.h>
#include <sys/types.h>
#include <atomic>
#include <cerrno>

#include "heap/fork.h"
#include "heap/heap.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"

namespace spanmalloc {

namespace {

// Stands round the copy, in the process that makes it.
class HeldHeap {
 public:
  HeldHeap() {
    platform::ErrnoGuard errno_guard;
    is_held_ = heap.is_open() && prepare_bare_fork();
  }
  ~HeldHeap() {
    platform::ErrnoGuard errno_guard;
    if (is_held_) after_fork_in_parent();
  }
  HeldHeap(const HeldHeap&) = delete;
  HeldHeap& operator=(const HeldHeap&) = delete;

  // In the child, which has a copy of this.
  void become_child() {
    platform::ErrnoGuard errno_guard;
    if (is_held_) after_bare_fork_in_child();
    is_held_ = false;
  }

 private:
  bool is_held_;
};

using CloneBody = int (*)(void*);

struct CloneStart {
  CloneBody body;
  void* argument;
  HeldHeap held;
};

int run_clone(void* argument) {
  CloneStart* start = static_cast<CloneStart*>(argument);
  start->held.become_child();
  return start->body(start->argument);
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

extern "C" {

// Both without the dots that they have in <sched.h>: what follows the four is handed on as it came,
// also where the caller gave nothing.
int __clone(CloneBody body, void* stack, int flags, void* argument, pid_t* parent_id, void* tls,
            pid_t* child_id);

// As the C library's, with -1 and errno of clone(2).
SPANMALLOC_EXPORT int clone_as_given(CloneBody body, void* stack, int flags, void* argument,
                                     pid_t* parent_id, void* tls, pid_t* child_id) __asm__("clone");

int clone_as_given(CloneBody body, void* stack, int flags, void* argument, pid_t* parent_id,
                   void* tls, pid_t* child_id) {
  // With other thread-local data the child cannot use malloc, and where the caller sleeps until the
  // child ends, the heap cannot be held meanwhile.
  constexpr int kNotPrepared = CLONE_VM | CLONE_SETTLS | CLONE_VFORK;
  if ((flags & kNotPrepared) != 0 || body == nullptr || stack == nullptr) {
    return __clone(body, stack, flags, argument, parent_id, tls, child_id);
  }
  CloneStart start{body, argument, {}};
  return __clone(&run_clone, stack, flags, &start, parent_id, tls, child_id);
}

#if __GLIBC_PREREQ(2, 34)

namespace {

using ForkFunction = pid_t (*)();

// Looked for early, since a signal handler may be the first that calls it.
constinit std::atomic<ForkFunction> next_fork{nullptr};

__attribute__((constructor(102))) void find_next_fork() {
  next_fork.store(reinterpret_cast<ForkFunction>(dlsym(RTLD_NEXT, "_Fork")));
}

}  // namespace

// As the C library's, which async-signal-safe programs call.
SPANMALLOC_EXPORT pid_t _Fork() {
  if (next_fork.load() == nullptr) find_next_fork();
  const ForkFunction fork_now = next_fork.load();
  if (fork_now == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  HeldHeap held;
  const pid_t child = fork_now();
  if (child == 0) held.become_child();
  return child;
}

#endif

}  // extern "C"
