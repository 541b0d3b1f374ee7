// Included before each source of the tests, for the C library musl: what they call of glibc by what
// the library offers everywhere, and the cases that are left out.
#ifndef SPANMALLOC_TESTS_HOMES_MUSL_MUSL_H_
#define SPANMALLOC_TESTS_HOMES_MUSL_MUSL_H_

#include <errno.h>
#include <malloc.h>

#include "spanmalloc/spanmalloc.h"

using __rlimit_resource = int;

extern "C" {
// Weak: the library may be preloaded.
[[gnu::weak]] void* pvalloc(size_t size);
[[gnu::weak]] decltype(spanmalloc_get_stats) spanmalloc_get_stats;
[[gnu::weak]] decltype(spanmalloc_release_memory) spanmalloc_release_memory;
[[gnu::weak]] decltype(spanmalloc_stats_json) spanmalloc_stats_json;
}

// What the tests read of glibc's statistics.
struct mallinfo2 {
  size_t arena;
  size_t uordblks;
  size_t hblkhd;
};

inline struct mallinfo2 mallinfo2() {
  spanmalloc_stats stats{};
  stats.size = sizeof stats;
  spanmalloc_get_stats(&stats);
  return {stats.in_use - stats.released_in_spans + stats.free_retained,
          stats.live_small + stats.live_large, 0};
}

inline int malloc_trim(size_t) {
  const int before = errno;
  const size_t released = spanmalloc_release_memory();
  errno = before;
  return released > 0 ? 1 : 0;
}

inline void malloc_stats() {
  char text[4096];
  spanmalloc_stats_json(text, sizeof text);
}

#define SPANMALLOC_TESTS_LEAVE_OUT_CASES

namespace contract {

// What musl 1.2.3 cannot do whatever malloc is.
inline constexpr const char* kLeftOutCases[] = {
    // The stack of a thread that is cancelled at any instruction stays as it was found: it is not
    // aligned for calls.
    "threads_cancelled_at_any_instruction_of_their_own_leave_their_caches",
    // Whoever joins a thread that ended by the bare system call waits for ever.
    "threads_that_end_by_the_system_call_leave_nothing",
    "living_threads_and_children_of_fork_keep_what_they_have",
    "what_many_threads_leave_goes_back_in_time",
    // A lock is held while fork calls the handlers. So a thread that a signal interrupted in the
    // heap cannot fork while another one, which waits for it in its handlers, does.
    "fork_in_handlers_of_all_threads",
    // In a child, the thread that forked does not give up the lock of the list of threads when it
    // ends by itself.
    "the_forking_thread_may_end_in_the_child",
    "the_main_thread_of_a_child_may_end_first",
    "the_main_thread_of_a_child_may_end_last_by_pthread_exit",
};

}  // namespace contract

#endif  // SPANMALLOC_TESTS_HOMES_MUSL_MUSL_H_
