// The C library's list of open streams, which it locks in a fork, behind the handlers, where other
// threads run. Who holds that lock may wait for a thread that allocates (fflush of all streams), or
// allocate (in a stream's own functions): so a fork takes it before it takes what malloc waits for.
#ifndef SPANMALLOC_PLATFORM_STREAM_LIST_H_
#define SPANMALLOC_PLATFORM_STREAM_LIST_H_

namespace spanmalloc::platform {

// Waits for the list; the thread that holds it may take it again. False where there is nothing to
// hold: the process has one thread, or the C library gives no access to its list.
[[nodiscard]] bool hold_stream_list();
// After each call of the above that took it, also in a child that had it reset meanwhile.
void release_stream_list();
// In the child of a fork, where nobody holds it, however often it was taken.
void reset_stream_list_in_child();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_STREAM_LIST_H_
