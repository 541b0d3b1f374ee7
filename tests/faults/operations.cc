#include "faults/operations.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "contract/expect.h"
#include "faults/blocks.h"
#include "faults/injector.h"
#include "spanmalloc/spanmalloc.h"

extern "C" int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

namespace faults {

namespace {

constexpr size_t kMaxThreads = 8;

void* call_body(void* body) {
  reinterpret_cast<void (*)()>(body)();
  return nullptr;
}

void sleep_milliseconds(long milliseconds) {
  timespec time{milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, nullptr);
}

void do_nothing() {}

void first_malloc() {
  take(Way::kMalloc, 100);
  take(Way::kMalloc, 5000);
  take(Way::kMalloc, 300 * kKiB);
}

void small_blocks() {
  for (size_t size = 16; size <= 4 * kKiB; size = size * 3 / 2) take(Way::kMalloc, size);
  take_many(Way::kMalloc, 1000, 3500);
  drop_every(3);
  take_many(Way::kMalloc, 1000, 1000);
}

void medium_blocks() {
  for (size_t size = 5 * kKiB; size <= 128 * kKiB; size = size * 4 / 3) {
    take_many(Way::kMalloc, size, 40);
  }
}

void large_blocks() {
  take_many(Way::kMalloc, 200 * kKiB, 30);
  take_many(Way::kMalloc, kMiB, 8);
  drop_every(2);
  take_many(Way::kMalloc, 3 * kMiB, 2);
}

void some_large_blocks() {
  take_many(Way::kMalloc, kMiB, 5);
}

void huge_blocks() {
  take(Way::kMalloc, 40 * kMiB);
  take(Way::kMalloc, 100 * kMiB);
  drop(0);
  take(Way::kMalloc, 33 * kMiB);
  take(Way::kMalloc, 700 * kMiB);
}

void aligned_blocks() {
  for (size_t alignment = 32; alignment <= 16 * kMiB; alignment *= 8) {
    take(Way::kAligned, 3 * alignment, alignment);
    take(Way::kPosixAligned, 100, alignment);
    take(Way::kPosixAligned, 300 * kKiB, alignment);
  }
}

void dirty_memory() {
  make_dirty(kMiB);
  make_dirty(6 * kMiB);
}

void zeroed_blocks() {
  take_many(Way::kCalloc, 100, 500);
  take_many(Way::kCalloc, 9000, 50);
  take_many(Way::kCalloc, 300 * kKiB, 8);
  take(Way::kCalloc, 7 * kMiB);
  take(Way::kCalloc, 40 * kMiB);
}

void small_reallocs() {
  constexpr size_t kCount = 60;
  take_many(Way::kMalloc, 16, kCount);
  for (size_t size = 32; size <= 128 * kKiB; size *= 2) {
    for (size_t i = 0; i < kCount; ++i) resize(i, size);
    take(Way::kMalloc, size);
  }
  for (size_t size = 64 * kKiB; size >= 16; size /= 4) resize(0, size);
}

// Each block is followed by one that stays, so that growth must move it.
void large_reallocs() {
  for (size_t i = 0; i < 2; ++i) {
    take(Way::kMalloc, 200 * kKiB);
    take(Way::kMalloc, 150 * kKiB);
  }
  for (size_t size = 500 * kKiB; size <= 5 * kMiB; size *= 3) {
    for (size_t i = 0; i < 4; i += 2) {
      resize(i, size);
      take(Way::kMalloc, 150 * kKiB);
    }
  }
  for (size_t i = 0; i < 4; i += 2) resize(i, 300 * kKiB);
  resize(0, 1000);
  resize(2, 16);
}

void huge_reallocs() {
  take(Way::kMalloc, 34 * kMiB);
  take(Way::kMalloc, kMiB);
  resize(0, 80 * kMiB);
  take(Way::kMalloc, kMiB);
  resize(0, 160 * kMiB);
  resize(0, 33 * kMiB);
  resize(0, kMiB);
  resize(0, 100);
}

void hold_all_kinds() {
  small_blocks();
  medium_blocks();
  large_blocks();
  huge_blocks();
}

void free_all_kinds() {
  drop_all();
}

void free_most() {
  take_many(Way::kMalloc, 1000, 2000);
  take_many(Way::kMalloc, 40 * kKiB, 40);
  large_blocks();
  for (size_t i = 0; i < block_count(); ++i) {
    if (i % 7 != 0) drop(i);
  }
}

void trim() {
  malloc_trim(0);
  take_many(Way::kMalloc, 500, 100);
  spanmalloc_release_memory();
}

void new_and_delete() {
  take_many(Way::kNew, 100, 300);
  take(Way::kNew, 2 * kMiB);
  take(Way::kNew, 50 * kMiB);
  take_many(Way::kNewNothrow, 5000, 300);
  take(Way::kNewNothrow, 5 * kMiB);
  take(Way::kNewAligned, 3000, 4096);
  take(Way::kNewAligned, 9 * kMiB, 64 * kKiB);
}

void threads() {
  run_in_threads(3, &use_heap_a_little);
  run_in_threads(2, &use_heap_a_little);
}

void use_heap_often() {
  for (int i = 0; i < 12; ++i) {
    void* blocks[20];
    for (void*& block : blocks) block = malloc(200 * kKiB);
    for (void* block : blocks) free(block);
    use_heap_a_little();
  }
}

void contention() {
  run_in_threads(4, &use_heap_often);
}

// Past the size at which the background thread starts, then idle for some of its epochs.
void short_epochs() {
  spanmalloc_set_option("epoch_ms", 10);
}

void scavenger_epochs() {
  take_many(Way::kMalloc, 64 * kKiB, 400);
  take_many(Way::kMalloc, 2 * kMiB, 8);
  take_many(Way::kMalloc, 3000, 2000);
  drop_all();
  sleep_milliseconds(35);
  take(Way::kMalloc, kMiB);
}

// No thread may be had: growth and frees tick.
void short_epochs_without_thread() {
  short_epochs();
  refuse_threads();
}

void ticks_without_thread() {
  take_many(Way::kMalloc, 64 * kKiB, 600);
  for (int round = 0; round < 3; ++round) {
    drop_every(2);
    take_many(Way::kMalloc, 2 * kMiB, 4);
    sleep_milliseconds(12);
  }
}

void fork_and_grow() {
  take_many(Way::kMalloc, 1000, 500);
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    take(Way::kMalloc, 40 * kMiB);
    take_many(Way::kMalloc, 200 * kKiB, 100);
    check_contents();
    drop_all();
    spanmalloc_check();
    _exit(contract::has_failed() ? 1 : 0);
  }
  int status = -1;
  EXPECT(child > 0 && waitpid(child, &status, 0) == child);
  EXPECT_EQ(status, 0);
  take_many(Way::kMalloc, 100 * kKiB, 50);
}

// Opened before the test's first run, with all the memory that it needs.
FILE* const nowhere = [] {
  static char buffer[kKiB];
  FILE* file = fopen("/dev/null", "w");
  if (file != nullptr) setvbuf(file, buffer, _IOFBF, sizeof buffer);
  return file;
}();

void statistics() {
  static char text[32 * kKiB];
  errno = 0;
  EXPECT(mallinfo2().arena > 0);
  EXPECT(nowhere != nullptr && malloc_info(0, nowhere) == 0);
  malloc_stats();
  spanmalloc_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(spanmalloc_get_stats(&stats), 0);
  EXPECT(stats.mapped > 0);
  EXPECT(spanmalloc_stats_json(text, sizeof text) > 0);
  EXPECT_EQ(errno, 0);
}

}  // namespace

void fill_stack_cache() {
  // It keeps 40 MiB, the newest, and gives a kept stack of up to four times the size.
  run_in_threads(4, [] { sleep_milliseconds(1); });
  for (const size_t stack : {64 * kKiB, 256 * kKiB, kMiB}) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    pthread_t thread;
    EXPECT_EQ(
        __real_pthread_create(&thread, &attributes, call_body, reinterpret_cast<void*>(do_nothing)),
        0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, nullptr);
  }
}

bool run_in_threads(size_t count, void (*body)()) {
  pthread_t thread[kMaxThreads];
  size_t started = 0;
  while (started < count && __real_pthread_create(&thread[started], nullptr, call_body,
                                                  reinterpret_cast<void*>(body)) == 0) {
    ++started;
  }
  for (size_t i = 0; i < started; ++i) pthread_join(thread[i], nullptr);
  return started == count;
}

const Operation kOperations[] = {
    {"first_malloc", nullptr, first_malloc, Calls::kOfTheOperation, Process::kExecuted},
    {"first_malloc_displaced", nullptr, first_malloc, Calls::kOfTheOperation, Process::kExecuted,
     Hints::kIgnored},
    {"displaced_growth", nullptr, some_large_blocks, Calls::kTooMany, Process::kForked,
     Hints::kIgnored},
    {"small_blocks", nullptr, small_blocks},
    {"medium_blocks", nullptr, medium_blocks},
    {"large_blocks", nullptr, large_blocks},
    {"huge_blocks", nullptr, huge_blocks},
    {"aligned_blocks", nullptr, aligned_blocks},
    {"zeroed_blocks", dirty_memory, zeroed_blocks},
    {"small_reallocs", nullptr, small_reallocs},
    {"large_reallocs", nullptr, large_reallocs},
    {"huge_reallocs", nullptr, huge_reallocs},
    {"free_all_kinds", hold_all_kinds, free_all_kinds},
    {"trim", free_most, trim},
    {"new_and_delete", nullptr, new_and_delete},
    {"threads", nullptr, threads},
    {"contention", nullptr, contention, Calls::kTooMany},
    {"scavenger_epochs", short_epochs, scavenger_epochs, Calls::kTooMany},
    {"ticks_without_thread", short_epochs_without_thread, ticks_without_thread, Calls::kTooMany},
    {"fork_and_grow", nullptr, fork_and_grow, Calls::kTooMany},
    {"statistics", nullptr, statistics},
};
const size_t kOperationCount = sizeof kOperations / sizeof kOperations[0];

}  // namespace faults
