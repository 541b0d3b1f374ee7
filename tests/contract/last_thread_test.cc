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

void end_first() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, use_memory_and_end, nullptr) != 0) abort();
  use_much_memory();
  pthread_exit(nullptr);
}

void end_last() {
  use_much_memory();
  pthread_exit(nullptr);
}

}  // namespace

CASE(the_main_thread_may_end_first) {
  EXPECT_EQ(contract::run_self("end_first", kSeconds), 0);
}

CASE(the_main_thread_may_end_last_by_pthread_exit) {
  EXPECT_EQ(contract::run_self("end_last", kSeconds), 0);
}

CASE(the_main_thread_of_a_child_may_end_first) {
  EXPECT_EQ(contract::run_in_child(kSeconds, end_first), 0);
}

CASE(the_main_thread_of_a_child_may_end_last_by_pthread_exit) {
  EXPECT_EQ(contract::run_in_child(kSeconds, end_last), 0);
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "end_first") == 0) end_first();
  if (argc == 2 && strcmp(argv[1], "end_last") == 0) end_last();
  return contract::run_cases(argc, argv);
}
