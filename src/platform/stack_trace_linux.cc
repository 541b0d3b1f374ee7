#include "platform/stack_trace.h"

#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <initializer_list>

#include "platform/errno_guard.h"

namespace spanmalloc::platform {

namespace {

// A frame that is larger than this, or a stack, is taken for a register that holds something else.
constexpr uintptr_t kMaxFrameBytes = uintptr_t{128} << 10;
constexpr uintptr_t kMaxStackBytes = uintptr_t{64} << 20;

// The kernel and the C library lay nothing below here.
constexpr uintptr_t kLeastAddress = 4096;

// No kernel protects less than this at a time.
constexpr uintptr_t kLeastPageBytes = 4096;

// What a frame pointer points to: that of the caller, and the return address. Calling conventions
// align it so that it lies in one page.
constexpr uintptr_t kRecordBytes = 2 * sizeof(uintptr_t);

}  // namespace

// The kernel reads a set of signals there, and then refuses what it is told to do with it; filters
// of system calls let this one pass.
bool is_readable(uintptr_t address) {
  ErrnoGuard errno_guard;
  constexpr int kNoSuchWay = -1;
  constexpr size_t kSetBytes = sizeof(uint64_t);
  return syscall(SYS_rt_sigprocmask, kNoSuchWay, address, nullptr, kSetBytes) == -1 &&
         errno == EINVAL;
}

namespace {

// An address at the upper end of the stack that `frame` lies on; 0 when the stack is an unknown
// one. The C library puts a thread's own data above its stack, errno among them; the kernel puts
// random bytes above the first thread's.
uintptr_t stack_end(uintptr_t frame) {
  uintptr_t end = UINTPTR_MAX;
  for (const uintptr_t above :
       {reinterpret_cast<uintptr_t>(&errno), static_cast<uintptr_t>(getauxval(AT_RANDOM))}) {
    if (above > frame && above < end) end = above;
  }
  return end - frame <= kMaxStackBytes ? end : 0;
}

}  // namespace

size_t capture_stack(const void* frame, uintptr_t* addresses, size_t capacity) {
  const uintptr_t end = stack_end(reinterpret_cast<uintptr_t>(frame));
  const uintptr_t* words = static_cast<const uintptr_t*>(frame);
  size_t count = 0;
  while (count < capacity) {
    if (words[1] < kLeastAddress) break;
    addresses[count++] = words[1];
    const uintptr_t here = reinterpret_cast<uintptr_t>(words);
    const uintptr_t next = words[0];
    if (next <= here || next - here > kMaxFrameBytes || next % kRecordBytes != 0) break;
    if (next + kRecordBytes > end) break;
    // A function without a frame pointer leaves anything in its register.
    if (next / kLeastPageBytes != here / kLeastPageBytes && !is_readable(next)) break;
    words = reinterpret_cast<const uintptr_t*>(next);
  }
  return count;
}

}  // namespace spanmalloc::platform
