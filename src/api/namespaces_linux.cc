// Calls that the kernel refuses to a process with several threads. The program may have one, and
// the scavenger's must not be what they fail for.
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap/heap.h"
#include "platform/compiler.h"

namespace spanmalloc {

namespace {

// Stands for as long as the process has no thread of ours.
class ThreadAway {
 public:
  ThreadAway() { heap.scavenger().send_thread_away(); }
  ~ThreadAway() { heap.scavenger().let_thread_return(); }
  ThreadAway(const ThreadAway&) = delete;
  ThreadAway& operator=(const ThreadAway&) = delete;
};

int unshare_alone(int flags) {
  const ThreadAway away;
  return static_cast<int>(syscall(SYS_unshare, flags));
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

extern "C" {

// As the C library's, with -1 and errno of unshare(2).
SPANMALLOC_EXPORT int unshare(int flags) {
  constexpr int kForOneThread = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  if ((flags & kForOneThread) != 0) return unshare_alone(flags);
  return static_cast<int>(syscall(SYS_unshare, flags));
}

// As the C library's, with -1 and errno of setns(2). The descriptor tells what kind of namespace it
// is, so all kinds are taken for such that want one thread.
SPANMALLOC_EXPORT int setns(int descriptor, int kind) {
  const ThreadAway away;
  return static_cast<int>(syscall(SYS_setns, descriptor, kind));
}

}  // extern "C"
