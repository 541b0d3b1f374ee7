#include "platform/thread.h"

#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "platform/call_filter.h"
#include "platform/errno_guard.h"
#include "platform/processor_set_linux.h"
#include "platform/raw_file_linux.h"
#include "platform/sleeping_thread.h"

namespace spanmalloc::platform {

namespace {

constinit pthread_key_t exit_key = 0;
constinit std::atomic<bool> exit_key_is_made{false};

constinit std::atomic<pid_t> known_process{0};

constinit ThreadNumbers thread_numbers;

using Body = void (*)(void*);

// One thread is started at a time, so what it is to run can wait in a static place.
constinit std::atomic<Body> pending_body{nullptr};

// By the call itself: that of musl does nothing.
void leave_policy_of_starter() {
  constexpr sched_param kNoPriority{};
  (void)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &kNoPriority);
}

// Not with the priority that the program has given the thread that happened to start this one, nor
// on its processors but on those of the main thread.
void leave_schedule_of_starter() {
  leave_policy_of_starter();
  // The kernel counts from 40, the highest priority, down to 1, and refuses what would raise it.
  const long priority = syscall(SYS_getpriority, PRIO_PROCESS, getpid());
  if (priority > 0) (void)syscall(SYS_setpriority, PRIO_PROCESS, 0, 20 - priority);
  ProcessorSet processors;
  if (processors.read_of(getpid())) {
    (void)syscall(SYS_sched_setaffinity, 0, sizeof(processors), &processors);
  }
}

void* run_body(void* argument) {
  const Body body = pending_body.load(std::memory_order_relaxed);
  if (!has_inherited_filter()) {
    leave_schedule_of_starter();
  } else if (syscall(SYS_sched_getscheduler, 0) != SCHED_OTHER) {
    // Service managers often forbid to choose a schedule, and end who does; here the program has.
    leave_policy_of_starter();
  }
  body(argument);
  return nullptr;
}

// The state is the letter behind the name in parentheses, which may itself have parentheses.
bool main_thread_has_ended() {
  char text[128];
  const size_t length = RawFile("/proc/self/stat").read(text, sizeof(text));
  for (size_t at = length < 3 ? 0 : length - 3; at > 0; --at) {
    if (text[at] == ')') return text[at + 2] == 'Z';
  }
  return false;
}

// Large enough for the scavenger's few shallow frames, the C library's thread block, and a function
// of the program that is called on it. Only what is touched costs memory.
constexpr size_t kBackgroundStackBytes = size_t{256} << 10;
// Where glibc, which puts thread-local variables there, takes more than was noted.
constexpr size_t kLargeStackBytes = size_t{16} << 20;

// Beyond what the first stack has to spare.
constexpr size_t kFewThreadLocalBytes = size_t{16} << 10;

// Of all that was loaded with the program; what is loaded later has no part in stacks.
constinit std::atomic<size_t> thread_local_bytes{0};

int add_thread_local_bytes(dl_phdr_info* info, size_t, void* sum) {
  for (size_t index = 0; index < info->dlpi_phnum; ++index) {
    const auto& header = info->dlpi_phdr[index];
    if (header.p_type == PT_TLS) *static_cast<size_t*>(sum) += header.p_memsz + header.p_align;
  }
  return 0;
}

size_t background_stack_bytes() {
  const size_t taken = thread_local_bytes.load(std::memory_order_relaxed);
  if (taken <= kFewThreadLocalBytes) return kBackgroundStackBytes;
  return (kBackgroundStackBytes + taken) / kBackgroundStackBytes * kBackgroundStackBytes +
         kBackgroundStackBytes;
}

}  // namespace

bool register_thread_exit(void (*at_exit)(void*)) {
  if (pthread_key_create(&exit_key, at_exit) != 0) return false;
  exit_key_is_made.store(true, std::memory_order_release);
  return true;
}

bool thread_exit_is_registered() {
  return exit_key_is_made.load(std::memory_order_acquire);
}

bool arm_thread_exit(void* argument) {
  if (!thread_exit_is_registered()) return true;
  ErrnoGuard errno_guard;
  return pthread_setspecific(exit_key, argument) == 0;
}

bool register_fork_handlers(void (*prepare)(), void (*in_parent)(), void (*in_child)()) {
  ErrnoGuard errno_guard;
  return pthread_atfork(prepare, in_parent, in_child) == 0;
}

void note_thread_local_bytes() {
  size_t sum = 0;
  (void)dl_iterate_phdr(&add_thread_local_bytes, &sum);
  thread_local_bytes.store(sum, std::memory_order_relaxed);
}

bool start_background_thread(void (*body)(void*), void* argument) {
  ErrnoGuard errno_guard;
  pending_body.store(body, std::memory_order_relaxed);
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // The new thread inherits the mask: no handler of the program ever runs in it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  const bool masked = pthread_sigmask(SIG_SETMASK, &all, &before) == 0;
  bool started = false;
  for (const size_t stack_bytes : {background_stack_bytes(), kLargeStackBytes}) {
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_t thread;
    const int error = masked ? pthread_create(&thread, &attributes, run_body, argument) : EPERM;
    started = error == 0;
    if (error != EINVAL) break;
  }
  if (masked) pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return started;
}

bool may_be_vfork_child() {
  const pid_t now = getpid();
  pid_t noted = 0;
  return !known_process.compare_exchange_strong(noted, now) && noted != now;
}

void note_new_process() {
  known_process.store(getpid());
}

uint32_t ThreadNumbers::count() {
  // Relaxed: a number is all that is given. It is passed by the threads at most that come at once.
  if (counted_.load(std::memory_order_relaxed) < kLastCounted) {
    const uint32_t number = counted_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (number <= kLastCounted) return number;
  }
  return 0;
}

void ThreadNumbers::count_anew(uint32_t survivor) {
  if (counted_.load(std::memory_order_relaxed) < kLastCounted) return;
  counted_.store(survivor < kLastCounted ? survivor : 0, std::memory_order_relaxed);
}

uint32_t new_thread_number() {
  return thread_numbers.next([] { return static_cast<uint32_t>(kernel_thread_id()); });
}

void number_threads_anew() {
  thread_numbers.count_anew(thread_number());
}

bool is_only_thread() {
  ErrnoGuard errno_guard;
  // A directory has one link for itself, one for its parent and one for each folder: each thread.
  constexpr nlink_t kNoThreads = 2;
  struct stat status {};
  if (stat("/proc/self/task", &status) != 0) return false;
  // A main thread that has ended stays as a zombie as long as the process lives.
  return status.st_nlink == kNoThreads + 1 ||
         (status.st_nlink == kNoThreads + 2 && main_thread_has_ended());
}

}  // namespace spanmalloc::platform
