#include "platform/sleeping_thread.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cerrno>

#include "platform/compiler.h"
#include "platform/errno_guard.h"
#include "platform/raw_file_linux.h"

namespace spanmalloc::platform {

namespace {

// Stacks are searched up to this; who sleeps deeper is left alone.
constexpr size_t kMaxStackBytes = size_t{256} << 10;
constexpr size_t kSignals = 64;

// What the kernel's rt_sigaction() reports on x86-64.
struct KernelSigaction {
  void* handler;
  unsigned long flags;
  uintptr_t restorer;
  uint64_t mask;
};
constexpr unsigned long kHasRestorer = 0x04000000;

// System calls of x86-64 in which a thread sleeps while its thread-local variables may be at work:
// in clone, fork, vfork and clone3, and in waits for a child, which may be one that has the memory
// and the thread-local storage of its parent; and at the end of a handler, whose frame is off the
// stack by then.
constexpr uint64_t kCallsAtWork[] = {15 /* rt_sigreturn */,
                                     56 /* clone */,
                                     57 /* fork */,
                                     58 /* vfork */,
                                     61 /* wait4 */,
                                     247 /* waitid */,
                                     435 /* clone3 */};

// The text of /proc/self/task/<thread>/<name>, ended by a zero; false when there is none.
bool read_task_file(int thread_id, const char* name, char* text, size_t capacity) {
  char path[64];
  char* at = path;
  const auto append = [&](const char* part) {
    while (*part != '\0') *at++ = *part++;
  };
  append("/proc/self/task/");
  char digits[16];
  size_t count = 0;
  for (int rest = thread_id; rest > 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) *at++ = digits[--count];
  append("/");
  append(name);
  *at = '\0';
  return RawFile(path).read_text(text, capacity);
}

// The field with this index of a line of numbers, decimal or hexadecimal with 0x; 0 when there is
// none or it is no number.
uint64_t field(const char* text, size_t index) {
  for (; index > 0; --index) {
    while (*text != '\0' && *text != ' ') ++text;
    if (*text == ' ') ++text;
  }
  uint64_t base = 10;
  if (text[0] == '0' && text[1] == 'x') {
    base = 16;
    text += 2;
  }
  uint64_t value = 0;
  for (;; ++text) {
    if (*text >= '0' && *text <= '9') {
      value = value * base + static_cast<uint64_t>(*text - '0');
    } else if (base == 16 && *text >= 'a' && *text <= 'f') {
      value = value * base + static_cast<uint64_t>(*text - 'a') + 10;
    } else {
      return value;
    }
  }
}

size_t fields(const char* text) {
  size_t count = *text != '\0' ? 1 : 0;
  for (; *text != '\0'; ++text) count += *text == ' ' ? 1 : 0;
  return count;
}

// How often the thread was given a processor; 0 when the kernel does not tell.
uint64_t times_run(int thread_id) {
  char text[96];
  if (!read_task_file(thread_id, "schedstat", text, sizeof(text))) return 0;
  return fields(text) == 3 ? field(text, 2) : 0;
}

// The stack pointer of a thread that sleeps in a system call, but for those above; 0 for any other.
uintptr_t sleeping_stack_pointer(int thread_id) {
  char text[256];
  if (!read_task_file(thread_id, "syscall", text, sizeof(text))) return 0;
  // The number of the call, six arguments, stack pointer, program counter. "running" has one field,
  // and what sleeps without a call, at a page fault for one, has -1 and two addresses.
  constexpr size_t kFields = 9;
  constexpr size_t kStackPointer = 7;
  if (text[0] < '0' || text[0] > '9' || fields(text) != kFields) return 0;
  const uint64_t call = field(text, 0);
  for (const uint64_t at_work : kCallsAtWork) {
    if (call == at_work) return 0;
  }
  return static_cast<uintptr_t>(field(text, kStackPointer));
}

// Where the stack of the process's first thread begins; 0 when unknown.
uintptr_t first_stack_end(int thread_id) {
  char text[512];
  if (!read_task_file(thread_id, "stat", text, sizeof(text))) return 0;
  // The name in parentheses may have spaces and parentheses itself; the 26th field behind it.
  const char* behind_name = text;
  for (const char* at = text; *at != '\0'; ++at) {
    if (*at == ')') behind_name = at;
  }
  constexpr size_t kStartStack = 26;
  return static_cast<uintptr_t>(field(behind_name, kStartStack));
}

}  // namespace

int kernel_thread_id() {
  ErrnoGuard errno_guard;
  return static_cast<int>(syscall(SYS_gettid));
}

ThreadLife life_of_thread(int thread_id) {
  ErrnoGuard errno_guard;
  // The kernel only looks whether it could be sent.
  constexpr int kNoSignal = 0;
  if (syscall(SYS_tgkill, getpid(), thread_id, kNoSignal) == 0) return ThreadLife::kLiving;
  return errno == ESRCH ? ThreadLife::kGone : ThreadLife::kUnknown;
}

// False when there are more than are kept.
bool SleepWatch::note_handler_returns() {
  for (size_t signal = 1; signal <= kSignals; ++signal) {
    KernelSigaction action{};
    if (syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof(action.mask)) != 0) continue;
    // Also of signals that are no longer handled: the handler may still be under way.
    if ((action.flags & kHasRestorer) == 0 || is_handler_return(action.restorer)) continue;
    if (return_count_ == kMaxReturns) return false;
    returns_[return_count_++] = action.restorer;
  }
  return true;
}

bool SleepWatch::is_handler_return(uintptr_t word) const {
  for (size_t index = 0; index < return_count_; ++index) {
    if (returns_[index] == word) return true;
  }
  return false;
}

// True also when the stack cannot be read.
bool SleepWatch::has_handler_frame(uintptr_t stack_pointer, uintptr_t stack_end) const {
  constexpr size_t kWords = 256;
  uintptr_t words[kWords];
  while (stack_pointer < stack_end) {
    const size_t left = stack_end - stack_pointer;
    const size_t bytes = left < sizeof(words) ? left : sizeof(words);
    const iovec to{words, bytes};
    const iovec from{reinterpret_cast<void*>(stack_pointer), bytes};
    // The call fails where a plain read would end the process.
    if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != static_cast<ssize_t>(bytes)) return true;
    for (size_t index = 0; index < bytes / sizeof(uintptr_t); ++index) {
      if (is_handler_return(words[index])) return true;
    }
    stack_pointer += bytes;
  }
  return false;
}

bool SleepWatch::sleeps(int thread_id, uintptr_t anchor) {
  if constexpr (!kHandlersReturnByStack) return false;
  ErrnoGuard errno_guard;
  // Of itself a thread would read that it is in the call that reads.
  if (thread_id == kernel_thread_id()) return false;
  const uint64_t runs = times_run(thread_id);
  if (runs == 0) return false;
  const uintptr_t stack_pointer = sleeping_stack_pointer(thread_id);
  if (stack_pointer == 0) return false;
  // The C library puts the thread-local variables of all threads but the first above their stacks.
  const uintptr_t stack_end = thread_id == getpid() ? first_stack_end(thread_id) : anchor;
  if (stack_pointer >= stack_end || stack_end - stack_pointer > kMaxStackBytes) return false;
  if (!note_handler_returns() || has_handler_frame(stack_pointer, stack_end)) return false;
  return times_run(thread_id) == runs;
}

}  // namespace spanmalloc::platform
