// The interface of include/spanmalloc/spanmalloc.h, whose comments are the contract.

#include "spanmalloc/spanmalloc.h"

#include <atomic>
#include <cstring>
#include <new>

#include "api/load.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"
#include "platform/virtual_memory.h"
#include "stats/heap_stats.h"

using namespace spanmalloc;

namespace {

// A function of the program with its context: the context of the one below, which has the
// scavenger's types. Kept for good and used again for the same two, since a thread may still read
// it when the program has set another.
struct ProgramCallback {
  spanmalloc_pressure_callback function;
  void* context;
  ProgramCallback* next;
};

constinit std::atomic<ProgramCallback*> program_callbacks{nullptr};

// nullptr when the system refuses memory.
ProgramCallback* program_callback(spanmalloc_pressure_callback function, void* context) {
  ProgramCallback* first = program_callbacks.load(std::memory_order_acquire);
  for (ProgramCallback* each = first; each != nullptr; each = each->next) {
    if (each->function == function && each->context == context) return each;
  }
  void* memory = heap.arena().allocate(sizeof(ProgramCallback), alignof(ProgramCallback));
  if (memory == nullptr) return nullptr;
  auto* added = new (memory) ProgramCallback{function, context, first};
  // Release: who finds it finds it whole.
  while (!program_callbacks.compare_exchange_weak(added->next, added, std::memory_order_release,
                                                  std::memory_order_relaxed)) {
  }
  return added;
}

void call_program(PressureReason reason, size_t excess_bytes, void* context) {
  static_assert(static_cast<int>(PressureReason::kLimit) == SPANMALLOC_PRESSURE_LIMIT);
  static_assert(static_cast<int>(PressureReason::kSystem) == SPANMALLOC_PRESSURE_SYSTEM);
  const auto* callback = static_cast<const ProgramCallback*>(context);
  callback->function(static_cast<spanmalloc_pressure>(reason), excess_bytes, callback->context);
}

}  // namespace

extern "C" {

#define SPANMALLOC_TEXT_OF(number) #number
#define SPANMALLOC_VERSION_TEXT(major, minor, patch) \
  SPANMALLOC_TEXT_OF(major) "." SPANMALLOC_TEXT_OF(minor) "." SPANMALLOC_TEXT_OF(patch)

SPANMALLOC_EXPORT const char* spanmalloc_version(void) {
  return SPANMALLOC_VERSION_TEXT(SPANMALLOC_VERSION_MAJOR, SPANMALLOC_VERSION_MINOR,
                                 SPANMALLOC_VERSION_PATCH);
}

SPANMALLOC_EXPORT size_t spanmalloc_release_memory(void) {
  platform::ErrnoGuard errno_guard;
  return heap.release_everything();
}

SPANMALLOC_EXPORT int spanmalloc_get_stats(spanmalloc_stats* stats) {
  if (stats->size == 0) return -1;
  platform::ErrnoGuard errno_guard;
  const HeapStats now = read_stats(heap);
  spanmalloc_stats full{};
  full.size = stats->size < sizeof(full) ? stats->size : sizeof(full);
  full.mapped = now.mapped;
  full.in_use = now.in_use;
  full.free_retained = now.free_retained;
  full.released = now.released;
  full.live_small = now.live_small();
  full.live_large = now.live_large;
  full.cached = now.cached;
  full.free_in_spans = now.free_in_spans;
  full.span_waste = now.span_waste;
  full.metadata = now.metadata;
  full.resident = platform::resident_bytes();
  full.large_count = now.large_count;
  full.thread_caches = now.thread_caches;
  full.scavenged = now.scavenged;
  full.released_in_spans = now.released_in_spans;
  memcpy(stats, &full, full.size);
  return 0;
}

SPANMALLOC_EXPORT size_t spanmalloc_stats_json(char* buffer, size_t capacity) {
  if (capacity == 0) return 0;
  platform::ErrnoGuard errno_guard;
  TextWriter out(buffer, capacity);
  write_json(read_stats(heap), out);
  return out.length();
}

SPANMALLOC_EXPORT int spanmalloc_set_memory_limit(size_t bytes, spanmalloc_limit_kind kind) {
  if (kind != SPANMALLOC_LIMIT_SOFT && kind != SPANMALLOC_LIMIT_HARD) return -1;
  if (bytes > kOptionTable[static_cast<size_t>(Option::kMemoryLimit)].most) return -1;
  platform::ErrnoGuard errno_guard;
  heap.set_memory_limit(Bytes{bytes},
                        kind == SPANMALLOC_LIMIT_HARD ? LimitKind::kHard : LimitKind::kSoft);
  return 0;
}

SPANMALLOC_EXPORT size_t spanmalloc_get_memory_limit(spanmalloc_limit_kind* kind) {
  const MemoryLimit& limit = heap.page_heap().limit();
  if (kind != nullptr) *kind = limit.is_hard() ? SPANMALLOC_LIMIT_HARD : SPANMALLOC_LIMIT_SOFT;
  return limit.bytes();
}

SPANMALLOC_EXPORT int spanmalloc_set_pressure_callback(spanmalloc_pressure_callback callback,
                                                       void* context) {
  platform::ErrnoGuard errno_guard;
  if (!heap.open()) return -1;
  Scavenger& scavenger = heap.scavenger();
  if (callback == nullptr) return scavenger.set_pressure_callback(nullptr, nullptr) ? 0 : -1;
  ProgramCallback* called = program_callback(callback, context);
  if (called == nullptr) return -1;
  return scavenger.set_pressure_callback(&call_program, called) ? 0 : -1;
}

SPANMALLOC_EXPORT size_t spanmalloc_scavenge_epoch(void) {
  platform::ErrnoGuard errno_guard;
  if (!heap.is_open()) return 0;
  const EpochResult result = heap.scavenger().run_epoch(SIZE_MAX, EpochCause::kCall);
  return result.released_bytes + result.hole_bytes;
}

SPANMALLOC_EXPORT int spanmalloc_set_option(const char* name, uint64_t value) {
  const OptionRow* row = Options::find(name, strlen(name));
  if (row == nullptr) return -1;
  if (is_fixed_at_start(row->option) && heap.hardening().is_decided()) return -1;
  platform::ErrnoGuard errno_guard;
  if (!heap.options().set(row->option, value)) return -1;
  heap.apply_options();
  if (row->option == Option::kStatsAtExit && value != 0) print_statistics_at_exit();
  return 0;
}

SPANMALLOC_EXPORT int spanmalloc_get_option(const char* name, uint64_t* value) {
  const OptionRow* row = Options::find(name, strlen(name));
  if (row == nullptr) return -1;
  *value = heap.options()[row->option];
  return 0;
}

SPANMALLOC_EXPORT int spanmalloc_owns(const void* pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const PageMap& map = heap.page_map();
  return map.find(address) != nullptr || map.find_large_around(address) != nullptr ||
                 heap.guarded_blocks().contains(address)
             ? 1
             : 0;
}

SPANMALLOC_EXPORT void spanmalloc_check(void) {
  platform::ErrnoGuard errno_guard;
  heap.check_invariants();
}

}  // extern "C"
