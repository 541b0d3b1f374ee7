#ifndef SPANMALLOC_PLATFORM_ERRNO_GUARD_H_
#define SPANMALLOC_PLATFORM_ERRNO_GUARD_H_

#include <cerrno>

namespace spanmalloc::platform {

// Puts errno back at the end of a scope: a successful malloc and every free leave it alone.
class ErrnoGuard {
 public:
  ErrnoGuard() : saved_(errno) {}
  ~ErrnoGuard() { errno = saved_; }
  ErrnoGuard(const ErrnoGuard&) = delete;
  ErrnoGuard& operator=(const ErrnoGuard&) = delete;

 private:
  const int saved_;
};

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_ERRNO_GUARD_H_
