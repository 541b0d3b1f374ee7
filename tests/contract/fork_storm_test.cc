// Everything at once: many allocating threads, several of them forking, handlers of other
// libraries that allocate round each fork, and signals that interrupt malloc and fork.
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr double kChildSeconds = 20;
constexpr size_t kWorkers = 12;
constexpr size_t kForkers = 4;

bool stop = false;
bool is_child = false;

bool stopped() {
  return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

// Blocks of all kinds, small ones most of the time.
size_t next_size(contract::Random& random) {
  const size_t kind = random.below(400);
  if (kind == 0) return 1 + random.below(3000000);
  if (kind < 20) return 1 + random.below(100000);
  return 1 + random.below(1000);
}

void allocate_some(uint64_t seed, size_t count) {
  contract::Random random(seed);
  void* blocks[32] = {};
  for (size_t i = 0; i < count; ++i) {
    void*& block = blocks[i % 32];
    free(block);
    const size_t size = next_size(random);
    block = malloc(size);
    if (block == nullptr) abort();
    static_cast<char*>(block)[0] = static_cast<char*>(block)[size - 1] = 1;
  }
  for (void* block : blocks) free(block);
}

void* work(void* argument) {
  uint64_t seed = reinterpret_cast<uintptr_t>(argument);
  while (!stopped()) allocate_some(++seed, 200);
  return nullptr;
}

// What a library's handlers keep: replaced before, freed and replaced after each fork. Several
// threads fork, and the C library runs the handlers of one fork beside those of another.
void* held[16];
int prepared = 0;

void replace_held(size_t size) {
  for (void*& slot : held) {
    void* block = malloc(size);
    if (block == nullptr) abort();
    memset(block, 1, size);
    free(__atomic_exchange_n(&slot, block, __ATOMIC_ACQ_REL));
  }
}

void prepare() {
  __atomic_add_fetch(&prepared, 1, __ATOMIC_RELAXED);
  replace_held(100);
  free(calloc(1, 200000));
}
void resume_parent() {
  replace_held(1000);
  free(malloc(3000000));
}
void resume_child() {
  replace_held(50);
  allocate_some(9, 50);
  malloc_trim(0);
}

void* fork_often(void* argument) {
  const uint64_t seed = reinterpret_cast<uintptr_t>(argument);
  for (int i = 0; !stopped() && !contract::has_failed(); ++i) {
    allocate_some(seed, 20);
    const int status = contract::run_in_child(kChildSeconds, [=] {
      allocate_some(seed, 300);
      if (i % 4 == 0) {
        EXPECT_EQ(contract::run_in_child(kChildSeconds, [=] { allocate_some(seed, 300); }), 0);
      }
    });
    EXPECT_EQ(status, 0);
  }
  return nullptr;
}

void join_all(const pthread_t* threads, size_t count) {
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (size_t i = 0; i < count; ++i) pthread_join(threads[i], nullptr);
  __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
}

template <size_t kCount>
void start_all(pthread_t (&threads)[kCount], void* (*body)(void*)) {
  for (size_t i = 0; i < kCount; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, body, reinterpret_cast<void*>(i + 1)) == 0);
  }
}

void arm_timer(long microseconds) {
  itimerval timer{};
  timer.it_value.tv_usec = microseconds;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

int forks_in_handler = 0;
int failed_forks = 0;

// The child comes back from the handler and finishes the call that was interrupted.
void fork_and_return(int) {
  const int saved = errno;
  const pid_t child = fork();
  if (child == 0) {
    is_child = true;
    errno = saved;
    return;
  }
  if (child < 0 || contract::wait_for(child, kChildSeconds) != 0) ++failed_forks;
  ++forks_in_handler;
  arm_timer(300 + forks_in_handler * 13 % 500);
  errno = saved;
}

void mask_alarm(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(how, &set, nullptr);
}

[[noreturn]] void live_as_child(void** blocks, size_t count) {
  for (size_t i = 0; i < count; ++i) free(blocks[i]);
  allocate_some(count, 2000);
  malloc_trim(0);
  _exit(0);
}

constexpr int kForksInHandler = 60;
constexpr double kMostSeconds = 15;

// Allocates until the handler has forked often enough, or until it finds itself in a child: that
// works for a while with all it inherited, and ends.
void allocate_and_be_forked() {
  struct sigaction action {};
  action.sa_handler = fork_and_return;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  forks_in_handler = failed_forks = 0;
  const double end = contract::now() + kMostSeconds;
  static void* blocks[1000];
  arm_timer(500);
  contract::Random random(3);
  for (size_t i = 0; !is_child && forks_in_handler < kForksInHandler && contract::now() < end;
       ++i) {
    for (size_t j = 0; j < 100 && !is_child; ++j) {
      const size_t index = random.below(1000);
      blocks[index] = realloc(blocks[index], next_size(random));
      if (blocks[index] == nullptr) abort();
    }
    if (i % 50 == 0) malloc_trim(0);
  }
  mask_alarm(SIG_BLOCK);
  if (is_child) live_as_child(blocks, 1000);
  arm_timer(0);
  for (void*& block : blocks) {
    free(block);
    block = nullptr;
  }
  mask_alarm(SIG_UNBLOCK);
  contract::say("%d forks in handlers", forks_in_handler);
  EXPECT(forks_in_handler > 0);
  EXPECT_EQ(failed_forks, 0);
}

}  // namespace

CASE(several_threads_fork_among_many_that_allocate) {
  pthread_t workers[kWorkers];
  pthread_t forkers[kForkers];
  start_all(workers, work);
  start_all(forkers, fork_often);
  contract::sleep_milliseconds(2500);
  join_all(forkers, kForkers);
  join_all(workers, kWorkers);
}

CASE(children_of_handlers_go_on_with_what_was_interrupted) {
  if (contract::not_promised_by_libc()) return;
  allocate_and_be_forked();
}

// The child has the C library's own locks as they were: it may use malloc, which is what counts
// here, and nothing else.
CASE(children_of_handlers_go_on_among_threads) {
  if (contract::not_promised_by_libc()) return;
  pthread_t workers[kWorkers];
  mask_alarm(SIG_BLOCK);
  start_all(workers, work);
  mask_alarm(SIG_UNBLOCK);
  allocate_and_be_forked();
  join_all(workers, kWorkers);
}

// As the first case, with handlers of other libraries. They stay registered, so this comes last.
CASE(handlers_allocate_in_the_midst_of_it_all) {
  if (contract::not_promised_by_libc()) return;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(pthread_atfork(prepare, resume_parent, resume_child) == 0);
  }
  pthread_t workers[kWorkers];
  pthread_t forkers[kForkers];
  start_all(workers, work);
  start_all(forkers, fork_often);
  contract::sleep_milliseconds(2500);
  join_all(forkers, kForkers);
  join_all(workers, kWorkers);
  EXPECT(prepared > 0);
  contract::say("%d calls of prepare", prepared);
}

RUN_CASES()
