// Other libraries' atfork handlers allocate: before, between and after the allocator's own.
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr size_t kHandlers = 20;
void* held[kHandlers];
int prepared = 0;
int resumed = 0;
bool stop = false;

void allocate_some() {
  for (size_t size = 1; size < 3000000; size = size * 3 + 1) {
    void* block = malloc(size);
    if (block == nullptr) abort();
    memset(block, 1, size);
    free(block);
  }
}

void prepare() {
  allocate_some();
  for (void*& block : held) {
    free(block);
    block = malloc(100);
  }
  ++prepared;
}

void resume() {
  for (void*& block : held) {
    free(block);
    block = malloc(3000);
  }
  allocate_some();
  ++resumed;
}

// Registered before main, that is, before anything of this program has allocated.
[[gnu::constructor]] void register_early() {
  pthread_atfork(prepare, resume, resume);
}

void* work(void*) {
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) allocate_some();
  return nullptr;
}

void fork_some(int count) {
  for (int i = 0; i < count && !contract::has_failed(); ++i) {
    const int status = contract::run_in_child(10, [] {
      allocate_some();
      EXPECT(prepared > 0 && prepared == resumed);
    });
    EXPECT_EQ(status, 0);
  }
  EXPECT(prepared > 0 && prepared == resumed);
}

}  // namespace

CASE(handlers_may_allocate) {
  fork_some(50);
}

CASE(handlers_registered_late_may_allocate) {
  for (int i = 0; i < 3; ++i) REQUIRE(pthread_atfork(prepare, resume, resume) == 0);
  fork_some(50);
}

CASE(handlers_may_allocate_while_threads_do) {
  pthread_t threads[4];
  for (pthread_t& thread : threads) REQUIRE(pthread_create(&thread, nullptr, work, nullptr) == 0);
  fork_some(50);
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

RUN_CASES()
