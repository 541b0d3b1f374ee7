#include "platform/fault.h"

#include <ucontext.h>
#include <csignal>

#include "platform/errno_guard.h"

namespace spanmalloc::platform {

namespace {

// Written before the handler is installed, and constant afterwards.
using Describe = bool (*)(const Fault&);
constinit Describe describe_fault = nullptr;
constinit struct sigaction before {};

uintptr_t code_of(const void* context) {
#if defined(__x86_64__)
  const auto* user = static_cast<const ucontext_t*>(context);
  return static_cast<uintptr_t>(user->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<const ucontext_t*>(context)->uc_mcontext.pc;
#else
  (void)context;
  return 0;
#endif
}

// Does what would have happened without this handler.
void pass_on(int signal, siginfo_t* info, void* context) {
  if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signal, info, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    return before.sa_handler(signal);
  }
  // The access is made again after the return, and a signal that somebody sent is sent again.
  sigaction(signal, &before, nullptr);
  if (info->si_code <= 0) raise(signal);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  ErrnoGuard errno_guard;
  if (info->si_code > 0) {
    (void)describe_fault({reinterpret_cast<uintptr_t>(info->si_addr), code_of(context)});
  }
  pass_on(signal, info, context);
}

}  // namespace

bool watch_faults(bool (*describe)(const Fault&)) {
  ErrnoGuard errno_guard;
  describe_fault = describe;
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(SIGSEGV, &action, &before) == 0;
}

}  // namespace spanmalloc::platform
