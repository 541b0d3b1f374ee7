// Threads whose caches change while another thread forks: the child must be able to use, drain and
// give back all that those caches hold, whatever step they were copied in.
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "contract/expect.h"

namespace {

constexpr int kThreads = 2;
constexpr int kForks = 600;
constexpr size_t kBlocks = 700;

int stop = 0;

// More blocks than one list takes, so that lists change places all the time.
void* work(void*) {
  static thread_local void* block[kBlocks];
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    for (void*& each : block) each = malloc(64);
    for (void* each : block) free(each);
  }
  return nullptr;
}

// Takes what the lost threads' caches hold, twice over, and writes to it; then drains all.
void* use_caches(void*) {
  static void* block[4 * kBlocks];
  for (void*& each : block) {
    each = malloc(64);
    if (each == nullptr) _exit(2);
    memset(each, 0, 64);
  }
  for (size_t index = 0; index < 4 * kBlocks; ++index) {
    if (*static_cast<size_t*>(block[index]) != 0) _exit(3);
    *static_cast<size_t*>(block[index]) = index + 1;
  }
  for (size_t index = 0; index < 4 * kBlocks; ++index) {
    if (*static_cast<size_t*>(block[index]) != index + 1) _exit(4);
  }
  for (void* each : block) free(each);
  return nullptr;
}

void run_child() {
  pthread_t threads[kThreads + 1];
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, nullptr, use_caches, nullptr) != 0) _exit(5);
    pthread_join(thread, nullptr);
  }
  malloc_trim(0);
  _exit(0);
}

}  // namespace

CASE(caches_of_threads_that_a_child_has_lost_are_whole) {
  pthread_t threads[kThreads];
  for (pthread_t& thread : threads) REQUIRE(pthread_create(&thread, nullptr, work, nullptr) == 0);
  for (int count = 0; count < kForks; ++count) {
    const pid_t child = fork();
    if (child == 0) run_child();
    REQUIRE(child > 0);
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}

RUN_CASES()
