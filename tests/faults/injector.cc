#include "faults/injector.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>

// The linker (--wrap=name) sends calls of name() to __wrap_name() and those of __real_name() to the
// C library.
extern "C" {
void* __real_mmap(void*, size_t, int, int, int, off_t);
int __real_munmap(void*, size_t);
int __real_mprotect(void*, size_t, int);
int __real_madvise(void*, size_t, int);
void* __real_mremap(void*, size_t, size_t, int, ...);
int __real_prctl(int, ...);
long __real_syscall(long, ...);
int __real_stat(const char*, struct stat*);
int __real_getrlimit(decltype(RLIMIT_AS), struct rlimit*);
int __real_sysinfo(struct sysinfo*);
int __real_sched_getaffinity(pid_t, size_t, cpu_set_t*);
int __real_clock_gettime(clockid_t, timespec*);
int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int __real_pthread_attr_init(pthread_attr_t*);
int __real_pthread_key_create(pthread_key_t*, void (*)(void*));
int __real_pthread_setspecific(pthread_key_t, const void*);
int __real_pthread_atfork(void (*)(), void (*)(), void (*)());
int __real_pthread_sigmask(int, const sigset_t*, sigset_t*);
ssize_t __real_process_vm_readv(pid_t, const iovec*, unsigned long, const iovec*, unsigned long,
                                unsigned long);
int __real_sigaction(int, const struct sigaction*, struct sigaction*);
}

namespace faults {

static bool threads_are_refused = false;

namespace {

constexpr const char* kNames[kCallCount] = {
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
    "mremap",
    "prctl",
    "syscall",
    "open",
    "read",
    "close",
    "stat",
    "getrlimit",
    "sysinfo",
    "sched_getaffinity",
    "clock_gettime",
    "pthread_create",
    "pthread_attr",
    "pthread_key_create",
    "pthread_setspecific",
    "pthread_atfork",
    "pthread_sigmask",
    "sigaction",
    "process_vm_readv",
};

Record own_record;
Record* current_record = nullptr;

// Whether this call is to be refused.
bool is_refused(Call call) {
  Record& now = record();
  if (now.plan.which == Which::kNone) return false;
  const size_t index = static_cast<size_t>(call);
  const uint64_t number = __atomic_add_fetch(&now.calls, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&now.calls_of[index], 1, __ATOMIC_RELAXED);
  const bool refused =
      now.plan.which == Which::kOne ? number == now.plan.first : number >= now.plan.first;
  if (!refused) return false;
  __atomic_add_fetch(&now.injected, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&now.injected_of[index], 1, __ATOMIC_RELAXED);
  return true;
}

bool is_harsh() {
  return record().plan.manner == Manner::kHarsh;
}

int no_memory_or_forbidden() {
  return is_harsh() ? ENOMEM : EPERM;
}

}  // namespace

const char* name_of(Call call) {
  return kNames[static_cast<size_t>(call)];
}

Record& record() {
  Record* found = __atomic_load_n(&current_record, __ATOMIC_ACQUIRE);
  if (found != nullptr) return *found;
  found = &own_record;
  const char* descriptor = getenv(kRecordVariable);
  if (descriptor != nullptr) {
    void* shared = __real_mmap(nullptr, sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED,
                               atoi(descriptor), 0);
    if (shared != MAP_FAILED) found = static_cast<Record*>(shared);
  }
  __atomic_store_n(&current_record, found, __ATOMIC_RELEASE);
  return *found;
}

void use_record(Record* shared) {
  __atomic_store_n(&current_record, shared, __ATOMIC_RELEASE);
}

void start(const Plan& plan) {
  record() = Record{};
  record().plan = plan;
}

void stop() {
  Which none = Which::kNone;
  __atomic_store(&record().plan.which, &none, __ATOMIC_SEQ_CST);
}

void refuse_threads() {
  threads_are_refused = true;
}

}  // namespace faults

using faults::Call;
using faults::is_harsh;
using faults::is_refused;
using faults::no_memory_or_forbidden;
using faults::record;
using faults::Which;

namespace {

// Calls of the kind that tell their failure by -1 and errno.
int refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

extern "C" {

void* __wrap_mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
  if (!is_refused(Call::kMmap)) {
    const faults::Plan& plan = record().plan;
    const bool is_hint = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == 0;
    if (is_hint && plan.which != Which::kNone && plan.hints == faults::Hints::kIgnored) {
      address = nullptr;
    }
    return __real_mmap(address, length, protection, flags, file, offset);
  }
  errno = no_memory_or_forbidden();
  return MAP_FAILED;
}

int __wrap_munmap(void* address, size_t length) {
  if (is_refused(Call::kMunmap)) return refuse(no_memory_or_forbidden());
  return __real_munmap(address, length);
}

int __wrap_mprotect(void* address, size_t length, int protection) {
  if (is_refused(Call::kMprotect)) return refuse(no_memory_or_forbidden());
  return __real_mprotect(address, length, protection);
}

int __wrap_madvise(void* address, size_t length, int advice) {
  if (!is_refused(Call::kMadvise)) return __real_madvise(address, length, advice);
  constexpr size_t kPage = 4096;
  if (is_harsh()) __real_madvise(address, length / 2 / kPage * kPage, advice);
  return refuse(no_memory_or_forbidden());
}

void* __wrap_mremap(void* from, size_t old_length, size_t length, int flags, void* to) {
  if (!is_refused(Call::kMremap)) return __real_mremap(from, old_length, length, flags, to);
  if (is_harsh() && (flags & MREMAP_FIXED) != 0) __real_munmap(to, length);
  errno = no_memory_or_forbidden();
  return MAP_FAILED;
}

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  if (is_refused(Call::kPrctl)) return refuse(is_harsh() ? EINVAL : EPERM);
  return __real_prctl(option, a, b, c, d);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
  switch (number) {
    case SYS_openat:
      if (is_refused(Call::kOpen)) return refuse(is_harsh() ? ENFILE : EPERM);
      return __real_syscall(number, a, b, c);
    case SYS_read:
    case SYS_pread64:
      return is_refused(Call::kRead) ? refuse(EIO) : __real_syscall(number, a, b, c, d);
    case SYS_close:
      // Linux closes the file whatever close() says.
      __real_syscall(number, a);
      return is_refused(Call::kClose) ? refuse(EINTR) : 0;
    default:
      break;
  }
  if (is_refused(Call::kSyscall)) {
    // So that threads that cannot sleep leave the processor to others.
    const timespec short_time{0, 100'000};
    __real_syscall(SYS_nanosleep, &short_time, nullptr);
    return refuse(is_harsh() ? EINTR : ENOSYS);
  }
  // What statistics print is of no interest here.
  if (number == SYS_write && record().plan.which != Which::kNone) return c;
  return __real_syscall(number, a, b, c, d, e, f);
}

int __wrap_stat(const char* path, struct stat* status) {
  if (is_refused(Call::kStat)) return refuse(is_harsh() ? ENOENT : EPERM);
  return __real_stat(path, status);
}

int __wrap_getrlimit(decltype(RLIMIT_AS) resource, struct rlimit* limit) {
  if (is_refused(Call::kGetrlimit)) return refuse(EPERM);
  return __real_getrlimit(resource, limit);
}

int __wrap_sysinfo(struct sysinfo* info) {
  if (is_refused(Call::kSysinfo)) return refuse(EPERM);
  return __real_sysinfo(info);
}

int __wrap_sched_getaffinity(pid_t process, size_t length, cpu_set_t* set) {
  if (is_refused(Call::kAffinity)) return refuse(EPERM);
  return __real_sched_getaffinity(process, length, set);
}

int __wrap_clock_gettime(clockid_t clock, timespec* time) {
  if (is_refused(Call::kClock)) return refuse(EPERM);
  return __real_clock_gettime(clock, time);
}

int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                          void* argument) {
  if (is_refused(Call::kThreadCreate)) return is_harsh() ? EAGAIN : EPERM;
  if (faults::threads_are_refused) return EAGAIN;
  return __real_pthread_create(thread, attributes, body, argument);
}

int __wrap_pthread_attr_init(pthread_attr_t* attributes) {
  if (is_refused(Call::kThreadAttributes)) return ENOMEM;
  return __real_pthread_attr_init(attributes);
}

int __wrap_pthread_key_create(pthread_key_t* key, void (*at_exit)(void*)) {
  if (is_refused(Call::kThreadKey)) return is_harsh() ? ENOMEM : EAGAIN;
  return __real_pthread_key_create(key, at_exit);
}

int __wrap_pthread_setspecific(pthread_key_t key, const void* value) {
  if (is_refused(Call::kThreadValue)) return ENOMEM;
  return __real_pthread_setspecific(key, value);
}

int __wrap_pthread_atfork(void (*prepare)(), void (*parent)(), void (*child)()) {
  if (is_refused(Call::kForkHandlers)) return ENOMEM;
  return __real_pthread_atfork(prepare, parent, child);
}

int __wrap_pthread_sigmask(int how, const sigset_t* set, sigset_t* before) {
  if (is_refused(Call::kSignalMask)) return EPERM;
  return __real_pthread_sigmask(how, set, before);
}

ssize_t __wrap_process_vm_readv(pid_t process, const iovec* to, unsigned long to_count,
                                const iovec* from, unsigned long from_count, unsigned long flags) {
  if (is_refused(Call::kReadMemory)) return refuse(is_harsh() ? EFAULT : EPERM);
  return __real_process_vm_readv(process, to, to_count, from, from_count, flags);
}

int __wrap_sigaction(int signal, const struct sigaction* action, struct sigaction* before) {
  if (is_refused(Call::kSignalAction)) return refuse(EINVAL);
  return __real_sigaction(signal, action, before);
}

}  // extern "C"
