#include "platform/stream_list.h"

#include <cstddef>

#include "platform/errno_guard.h"

// glibc's, in no header of it; other C libraries have none, and older releases not the last.
extern "C" {
__attribute__((weak)) void _IO_list_lock();
__attribute__((weak)) void _IO_list_unlock();
__attribute__((weak)) void _IO_list_resetlock();
__attribute__((weak)) extern char __libc_single_threaded;
}

namespace spanmalloc::platform {

namespace {

// How often hold_stream_list() took the list. Its holder's.
constinit size_t held_times = 0;

// As glibc, which leaves the list alone then: in the child, too.
bool is_single_threaded() {
  return &__libc_single_threaded != nullptr && __libc_single_threaded != 0;
}

}  // namespace

bool hold_stream_list() {
  if (_IO_list_lock == nullptr || _IO_list_unlock == nullptr || _IO_list_resetlock == nullptr ||
      is_single_threaded()) {
    return false;
  }
  ErrnoGuard errno_guard;
  _IO_list_lock();
  ++held_times;
  return true;
}

void release_stream_list() {
  if (held_times == 0) return;
  ErrnoGuard errno_guard;
  --held_times;
  _IO_list_unlock();
}

void reset_stream_list_in_child() {
  if (held_times == 0) return;
  held_times = 0;
  _IO_list_resetlock();
}

}  // namespace spanmalloc::platform
