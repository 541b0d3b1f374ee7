// A program, or a library that it preloads, may have a sigaction() of its own that keeps its notes
// in allocated memory. The allocator's own handler, which explains faults, is installed through it.
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr int kMaxSignal = 65;

struct Notes {
  size_t calls[kMaxSignal];
};
Notes* notes = nullptr;

}  // namespace

extern "C" int sigaction(int signal, const struct sigaction* action, struct sigaction* before) {
  using Function = int(int, const struct sigaction*, struct sigaction*);
  static Function* const next = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "sigaction"));
  if (notes == nullptr) notes = static_cast<Notes*>(calloc(1, sizeof(Notes)));
  if (signal > 0 && signal < kMaxSignal) ++notes->calls[signal];
  return next(signal, action, before);
}

CASE(the_handler_is_installed_by_an_allocating_sigaction) {
  EXPECT(notes != nullptr && notes->calls[SIGSEGV] == 1);
  struct sigaction now {};
  EXPECT(sigaction(SIGSEGV, nullptr, &now) == 0);
  EXPECT(now.sa_handler != SIG_DFL);
}

CASE(faults_still_end_the_program) {
  EXPECT_EQ(contract::run_in_child(20,
                                   [] {
                                     volatile char* nowhere = contract::opaque<char*>(nullptr);
                                     nowhere[16] = 1;
                                   }),
            -SIGSEGV);
}

RUN_CASES()
