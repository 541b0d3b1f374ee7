// A process ends with its last thread, whichever that is and whatever threads the allocator has.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr double kSeconds = 20;

// Enough for the allocator to want a thread of its own.
void use_much_memory() {
  static constexpr size_t kBlocks = 1000;
  static constexpr size_t kBytes = 100000;
  static thread_local void* blocks[kBlocks];
  for (void*& block : blocks) {
    block = malloc(kBytes);
    memset(block, 1, kBytes);
  }
  for (void* block : blocks) free(block);
}

void* use_memory_and_end(void*) {
  use_much_memory();
  contract::sleep_milliseconds(200);
  return nullptr;
}

}  // namespace

CASE(the_main_thread_may_end_first) {
  const int status = contract::run_in_child(kSeconds, [] {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, use_memory_and_end, nullptr) != 0) abort();
    use_much_memory();
    pthread_exit(nullptr);
  });
  EXPECT_EQ(status, 0);
}

CASE(the_main_thread_may_end_last_by_pthread_exit) {
  const int status = contract::run_in_child(kSeconds, [] {
    use_much_memory();
    pthread_exit(nullptr);
  });
  EXPECT_EQ(status, 0);
}

RUN_CASES()
