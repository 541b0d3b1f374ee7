#include "platform/own_files.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "platform/call_filter.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"

// Older headers lack these.
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace spanmalloc::platform {

namespace {

constexpr unsigned kCloseRangeUnshare = 2;
constexpr unsigned kLastDescriptor = ~0U;

constinit thread_local bool has_own_files SPANMALLOC_INITIAL_EXEC_TLS = false;

// A descriptor of this thread's for standard error of the process; negative when refused, and under
// a filter that may end who asks.
int borrow_error_output() {
  if (has_late_filter()) return -1;
  const long process = syscall(SYS_pidfd_open, getpid(), 0);
  if (process < 0) return -1;
  const long borrowed = syscall(SYS_pidfd_getfd, process, STDERR_FILENO, 0);
  syscall(SYS_close, process);
  return static_cast<int>(borrowed);
}

}  // namespace

void leave_files_of_process() {
  // The sanitizer's reports are written by the thread they are about.
  if (kThreadSanitizer || has_own_files || has_inherited_filter()) return;
  ErrnoGuard errno_guard;
  // One call for both: a copy would keep open what the program closes meanwhile.
  has_own_files = syscall(SYS_close_range, 0, kLastDescriptor, kCloseRangeUnshare) == 0;
}

bool has_left_files_of_process() {
  return has_own_files;
}

ErrorOutput::ErrorOutput() : descriptor_(has_own_files ? borrow_error_output() : STDERR_FILENO) {}

ErrorOutput::~ErrorOutput() {
  if (has_own_files && descriptor_ >= 0) syscall(SYS_close, descriptor_);
}

void take_error_output_along() {
  if (!has_own_files) return;
  ErrnoGuard errno_guard;
  const int borrowed = borrow_error_output();
  if (borrowed < 0 || borrowed == STDERR_FILENO) return;
  syscall(SYS_dup3, borrowed, STDERR_FILENO, 0);
  syscall(SYS_close, borrowed);
}

}  // namespace spanmalloc::platform
