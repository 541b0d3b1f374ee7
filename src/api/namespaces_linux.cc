// Calls for a process with one thread: the kernel refuses some to others, and what a thread stops
// to share with the rest, the rest keeps. The scavenger's thread must not be what they fail for,
// nor what keeps the files open, the semaphores taken or the namespaces in use that the program has
// left behind.
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

// Namespaces that each thread is in by itself. Those of processes and of time change for children
// alone, and a thread that was sent away could not come back: the kernel refuses threads to a
// process whose children are to be in others.
constexpr int kOfEachThread =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
constexpr int kUnshareAlone = kOfEachThread | CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND |
                              CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SYSVSEM;
constexpr int kJoinAlone = kOfEachThread | CLONE_NEWUSER | CLONE_NEWTIME;

int unshare_alone(int flags) {
  const ThreadAway away;
  return static_cast<int>(syscall(SYS_unshare, flags));
}

int join_alone(int descriptor, int kinds) {
  const ThreadAway away;
  return static_cast<int>(syscall(SYS_setns, descriptor, kinds));
}

}  // namespace

}  // namespace spanmalloc

using namespace spanmalloc;

extern "C" {

// As the C library's, with -1 and errno of unshare(2).
SPANMALLOC_EXPORT int unshare(int flags) {
  if ((flags & kUnshareAlone) != 0) return unshare_alone(flags);
  return static_cast<int>(syscall(SYS_unshare, flags));
}

// As the C library's, with -1 and errno of setns(2). `kinds` may be 0: any.
SPANMALLOC_EXPORT int setns(int descriptor, int kinds) {
  if (kinds == 0 || (kinds & kJoinAlone) != 0) return join_alone(descriptor, kinds);
  return static_cast<int>(syscall(SYS_setns, descriptor, kinds));
}

}  // extern "C"
