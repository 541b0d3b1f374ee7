// No signal handler runs in the calling thread while this lives.
#ifndef SPANMALLOC_PLATFORM_SIGNAL_BLOCK_H_
#define SPANMALLOC_PLATFORM_SIGNAL_BLOCK_H_

#include <pthread.h>
#include <signal.h>

namespace spanmalloc::platform {

// Where the system refuses it, handlers do run.
class SignalBlock {
 public:
  SignalBlock() {
    sigset_t all;
    sigfillset(&all);
    is_set_ = pthread_sigmask(SIG_SETMASK, &all, &before_) == 0;
  }
  ~SignalBlock() {
    if (is_set_) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalBlock(const SignalBlock&) = delete;
  SignalBlock& operator=(const SignalBlock&) = delete;

 private:
  sigset_t before_;
  bool is_set_;
};

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_SIGNAL_BLOCK_H_
