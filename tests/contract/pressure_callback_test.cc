// The callback for passed limits, ticks by call, and the line of a tick.
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

using Callback = void (*)(int reason, size_t excess, void* context);
using SetCallback = int (*)(Callback callback, void* context);
using SetLimit = int (*)(size_t bytes, int kind);
using Tick = size_t (*)();

constexpr const char* kVariable = "SPANMALLOC_OPTIONS";

void* cache = nullptr;
size_t cache_bytes = 0;
size_t largest_excess = 0;
int calls = 0;
pthread_t caller;

// Drops the program's cache, as it is meant to.
void drop_cache(int reason, size_t excess, void* context) {
  if (reason != 1) return;
  if (excess > largest_excess) largest_excess = excess;
  caller = pthread_self();
  free(__atomic_exchange_n(&cache, nullptr, __ATOMIC_ACQ_REL));
  // It may allocate as well.
  free(contract::opaque(malloc(100)));
  __atomic_add_fetch(static_cast<int*>(context), 1, __ATOMIC_RELEASE);
}

int child() {
  const auto set_callback =
      reinterpret_cast<SetCallback>(dlsym(RTLD_DEFAULT, "spanmalloc_set_pressure_callback"));
  const auto set_limit =
      reinterpret_cast<SetLimit>(dlsym(RTLD_DEFAULT, "spanmalloc_set_memory_limit"));
  if (set_callback == nullptr || set_limit == nullptr) return 2;
  cache_bytes = 20 * kMiB;
  cache = malloc(cache_bytes);
  memset(cache, 1, cache_bytes);
  EXPECT_EQ(set_limit(24 * kMiB, 0), 0);
  EXPECT_EQ(set_callback(drop_cache, &calls), 0);
  contract::sleep_milliseconds(300);
  EXPECT_EQ(__atomic_load_n(&calls, __ATOMIC_ACQUIRE), 0);
  void* more = malloc(20 * kMiB);
  memset(more, 1, 20 * kMiB);
  for (int round = 0; round < 3000 && __atomic_load_n(&calls, __ATOMIC_ACQUIRE) == 0; ++round) {
    contract::sleep_milliseconds(10);
  }
  EXPECT(__atomic_load_n(&calls, __ATOMIC_ACQUIRE) > 0);
  EXPECT(cache == nullptr);
  EXPECT(largest_excess > 14 * kMiB);
  EXPECT(largest_excess < 24 * kMiB);
  EXPECT(!pthread_equal(caller, pthread_self()));
  EXPECT_EQ(set_callback(nullptr, nullptr), 0);
  free(more);
  return contract::has_failed() ? 1 : 0;
}

int mismatches = 0;
int pair_calls = 0;
int first_context;
int second_context;

template <int* expected>
void check_context(int, size_t, void* context) {
  if (context != expected) __atomic_add_fetch(&mismatches, 1, __ATOMIC_RELAXED);
  __atomic_add_fetch(&pair_calls, 1, __ATOMIC_RELAXED);
}

// Sets one function and the other, all the time that the limit is passed.
int replacing_child() {
  const auto set_callback =
      reinterpret_cast<SetCallback>(dlsym(RTLD_DEFAULT, "spanmalloc_set_pressure_callback"));
  const auto set_limit =
      reinterpret_cast<SetLimit>(dlsym(RTLD_DEFAULT, "spanmalloc_set_memory_limit"));
  if (set_callback == nullptr || set_limit == nullptr) return 2;
  void* block = malloc(8 * kMiB);
  memset(block, 1, 8 * kMiB);
  EXPECT_EQ(set_limit(4 * kMiB, 0), 0);
  const size_t before = contract::resident_bytes();
  const double end = contract::now() + 1;
  while (contract::now() < end || __atomic_load_n(&pair_calls, __ATOMIC_RELAXED) == 0) {
    EXPECT_EQ(set_callback(check_context<&first_context>, &first_context), 0);
    EXPECT_EQ(set_callback(check_context<&second_context>, &second_context), 0);
  }
  EXPECT_EQ(set_callback(nullptr, nullptr), 0);
  EXPECT_EQ(__atomic_load_n(&mismatches, __ATOMIC_RELAXED), 0);
  // Nothing is kept for a function that was set before. Huge pages may come at a first touch.
  EXPECT(contract::resident_bytes() < before + 6 * kMiB);
  free(block);
  return contract::has_failed() ? 1 : 0;
}

int child_without_thread() {
  const auto set_callback =
      reinterpret_cast<SetCallback>(dlsym(RTLD_DEFAULT, "spanmalloc_set_pressure_callback"));
  if (set_callback == nullptr) return 2;
  EXPECT_EQ(set_callback(drop_cache, &calls), -1);
  return contract::has_failed() ? 1 : 0;
}

int ticking_child() {
  const auto tick = reinterpret_cast<Tick>(dlsym(RTLD_DEFAULT, "spanmalloc_scavenge_epoch"));
  if (tick == nullptr) return 2;
  void* block = malloc(20 * kMiB);
  memset(block, 1, 20 * kMiB);
  free(block);
  size_t released = 0;
  for (int count = 0; count < 12; ++count) released += tick();
  return released >= 19 * kMiB ? 7 : 1;
}

int run_with(const char* options, const char* name) {
  setenv(kVariable, options, 1);
  const int status = contract::run_self(name, 60);
  unsetenv(kVariable);
  return status;
}

}  // namespace

CASE(a_passed_limit_is_told_on_another_thread) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("epoch_ms=50:cgroup=0:pressure=0", "child"), 0);
}

CASE(a_function_is_called_with_its_own_context) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("epoch_ms=10:cgroup=0:pressure=0", "replace"), 0);
}

CASE(without_a_thread_there_is_no_call) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("scavenger=0", "none"), 0);
}

CASE(calls_tick_and_the_trace_has_a_line_for_each) {
  if (contract::not_promised_by_libc()) return;
  const int file = memfd_create("report", 0);
  REQUIRE(file >= 0);
  const int saved = dup(2);
  dup2(file, 2);
  const int status = run_with("trace=scavenger:scavenger=0:cgroup=0", "tick");
  dup2(saved, 2);
  close(saved);
  static char report[8192];
  const ssize_t length = pread(file, report, sizeof report - 1, 0);
  close(file);
  EXPECT_EQ(status, 7);
  REQUIRE(length > 0);
  report[length] = '\0';
  int lines = 0;
  for (const char* at = report; (at = strstr(at, "spanmalloc: scavenger: ")) != nullptr; ++at) {
    ++lines;
  }
  EXPECT_EQ(lines, 12);
  for (const char* word : {" KiB in use, ", " KiB idle, ", " KiB released, ", " KiB consumed, ",
                           " given back now, ", "no limit"}) {
    EXPECT(strstr(report, word) != nullptr);
  }
}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "child") == 0) return child();
  if (strcmp(name, "replace") == 0) return replacing_child();
  if (strcmp(name, "none") == 0) return child_without_thread();
  if (strcmp(name, "tick") == 0) return ticking_child();
  return contract::run_cases(argc, argv);
}
