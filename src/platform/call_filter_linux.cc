#include "platform/call_filter.h"

#include <sys/prctl.h>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "platform/compiler.h"
#include "platform/errno_guard.h"
#include "platform/raw_file_linux.h"

namespace spanmalloc::platform {

namespace {

// How many filters were inherited; 0 also when the system does not tell.
constinit std::atomic<uint32_t> inherited_filters{0};
// Whether the program could still get rights by executing a file. Who is not the superuser has to
// give that up before the first filter of its own.
constinit std::atomic<bool> could_get_rights{false};
// A filter is of a thread and those that it starts, and is never taken away from one: what was seen
// once is not asked for again.
constinit thread_local bool late_filter_was_seen SPANMALLOC_INITIAL_EXEC_TLS = false;

enum class Filtered : uint8_t { kNo, kYes, kUnknown };

Filtered filtered() {
  const int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
  if (mode > 0) return Filtered::kYes;
  // A kernel without filters does not know the question.
  return mode == 0 || errno == EINVAL ? Filtered::kNo : Filtered::kUnknown;
}

bool can_get_rights() {
  return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

// The filters of the calling thread, from Linux 5.9 on; 0 when unknown.
uint32_t count_filters() {
  constexpr char kName[] = "\nSeccomp_filters:\t";
  constexpr size_t kNameLength = sizeof(kName) - 1;
  const RawFile status("/proc/thread-self/status");
  char text[512];
  size_t matched = 0;
  uint32_t count = 0;
  while (const size_t length = status.read(text, sizeof(text))) {
    for (size_t at = 0; at < length; ++at) {
      if (matched == kNameLength) {
        if (text[at] < '0' || text[at] > '9') return count;
        count = count * 10 + static_cast<uint32_t>(text[at] - '0');
      } else if (text[at] == kName[matched]) {
        ++matched;
      } else {
        matched = text[at] == kName[0] ? 1 : 0;
      }
    }
  }
  return 0;
}

// The file is read last: a later filter may forbid it.
bool has_more_filters_than_inherited() {
  const uint32_t inherited = inherited_filters.load(std::memory_order_relaxed);
  if (inherited == 0) return true;
  if (could_get_rights.load(std::memory_order_relaxed) && !can_get_rights()) return true;
  return count_filters() != inherited;
}

}  // namespace

void note_inherited_filters() {
  ErrnoGuard errno_guard;
  if (filtered() != Filtered::kYes) return;
  could_get_rights.store(can_get_rights(), std::memory_order_relaxed);
  inherited_filters.store(count_filters(), std::memory_order_relaxed);
}

bool has_inherited_filter() {
  return inherited_filters.load(std::memory_order_relaxed) > 0;
}

bool has_late_filter() {
  if (late_filter_was_seen) return true;
  ErrnoGuard errno_guard;
  const Filtered now = filtered();
  if (now != Filtered::kYes) return now == Filtered::kUnknown;
  if (!has_more_filters_than_inherited()) return false;
  late_filter_was_seen = true;
  return true;
}

}  // namespace spanmalloc::platform
