// What happens when the library is loaded, before most constructors of the program. Nothing here
// is needed for malloc to work: calls that come earlier find constant-initialised state.

#include "api/load.h"

#include <atomic>
#include <cstdlib>

#include "heap/hardened.h"
#include "heap/heap.h"
#include "platform/call_filter.h"
#include "platform/system.h"
#include "platform/thread.h"
#include "stats/heap_stats.h"

namespace spanmalloc {

const char load_anchor = 0;

namespace {

// Both run at the end of the program. A signal handler that interrupted the heap may end it so.

void print_statistics() {
  if (heap.options()[Option::kStatsAtExit] == 0 || was_interrupted_by_caller()) return;
  BufferedText<2048> text;
  write_text(read_stats(heap), text);
  platform::write_error(text.begin(), text.length());
}

// Writes to freed blocks that still wait are told at the end of the program.
void look_into_quarantine() {
  if (was_interrupted_by_caller()) return;
  if (ThreadCache* cache = own_thread_cache(); cache != nullptr) empty_quarantine(*cache);
}

// Among other things the first thread's cache comes with the fork handlers, which are to be the
// first in the process (heap/fork.h): in a program of its own this library's constructor comes
// first, and as a shared one it sees who else registers (fork_handlers_glibc.cc).
__attribute__((constructor(101))) void on_load() {
  // The secrets are chosen first, then the options say who gets a copy of them.
  (void)heap.open();
  heap.settle_options();
  heap.attach_thread();
  platform::note_thread_local_bytes();
  platform::note_inherited_filters();
  heap.watch_faults();
  if (heap.hardening().delays()) atexit(&look_into_quarantine);
  if (heap.options()[Option::kStatsAtExit] != 0) print_statistics_at_exit();
}

}  // namespace

void print_statistics_at_exit() {
  static constinit std::atomic<bool> asked{false};
  if (!asked.exchange(true)) atexit(&print_statistics);
}

}  // namespace spanmalloc
