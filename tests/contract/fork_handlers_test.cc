// Other libraries' atfork handlers allocate: before, between and after the allocator's own. So do
// threads that hold what the C library takes behind all handlers.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
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

#ifdef __GLIBC__

namespace {

sem_t is_writing;

// Of a stream: in the hands of who flushes all streams is the lock on the list of them.
ssize_t allocate_and_write(void*, const char*, size_t length) {
  sem_post(&is_writing);
  // The fork comes meanwhile.
  contract::sleep_milliseconds(30);
  allocate_some();
  return static_cast<ssize_t>(length);
}

void* flush_streams(void*) {
  FILE* stream = fopencookie(nullptr, "w", {nullptr, allocate_and_write, nullptr, nullptr});
  if (stream == nullptr) abort();
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
    fputs("text", stream);
    fflush(nullptr);
  }
  fclose(stream);
  return nullptr;
}

}  // namespace

CASE(streams_may_allocate_while_all_are_flushed) {
  __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
  REQUIRE(sem_init(&is_writing, 0, 0) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, flush_streams, nullptr) == 0);
  alarm(30);
  for (int i = 0; i < 10; ++i) {
    while (sem_wait(&is_writing) != 0) {
    }
    fork_some(1);
    // The children have the list as it was before a fork.
    EXPECT_EQ(contract::run_in_child(10, [] { EXPECT(fflush(nullptr) == 0); }), 0);
  }
  alarm(0);
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  pthread_join(thread, nullptr);
}

#endif

RUN_CASES()
