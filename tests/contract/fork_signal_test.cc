// fork inside a signal handler that interrupts malloc. The child only leaves again: nothing else
// is allowed to it there.
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/time.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr double kSeconds = 2;

bool stop = false;
int forks = 0;
int failed_forks = 0;

void arm_timer(long microseconds) {
  itimerval timer{};
  timer.it_value.tv_usec = microseconds;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

// When the timer is set again: after a fork, so that the interrupted thread gets on, or before,
// so that several threads are in their handlers at the same time.
enum class Rearm { kAfterFork, kBeforeFork };

Rearm rearm = Rearm::kAfterFork;
pid_t (*make_child)() = &fork;
double end_of_forks = 0;

// fork, and the atfork handlers of the allocator with it, in the middle of anything.
void fork_in_handler(int) {
  const int saved = errno;
  if (rearm == Rearm::kBeforeFork && contract::now() < end_of_forks) arm_timer(1500);
  const pid_t child = make_child();
  if (child == 0) _exit(0);
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    __atomic_add_fetch(&failed_forks, 1, __ATOMIC_RELAXED);
  }
  __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
  if (rearm == Rearm::kAfterFork) arm_timer(200 + forks * 7 % 300);
  errno = saved;
}

bool is_over(double end) {
  return contract::now() > end || __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

// Mallocs and frees so that all levels are visited: caches overflow and run dry.
void allocate_until(double end) {
  static constexpr size_t kBlocks = 2000;
  static thread_local void* blocks[kBlocks];
  for (size_t round = 0; !is_over(end); ++round) {
    const size_t size = size_t{16} << round % 11;
    for (size_t i = 0; i < kBlocks && (i % 100 != 0 || !is_over(end)); ++i) {
      blocks[i] = malloc(size);
      if (blocks[i] == nullptr) abort();
      *static_cast<char*>(blocks[i]) = 1;
    }
    for (void*& block : blocks) {
      free(block);
      block = nullptr;
    }
    free(calloc(1, size_t{300000} << round % 6));
    if (round % 8 == 0) malloc_trim(0);
  }
}

void* other_thread(void*) {
  allocate_until(contract::now() + 1000);
  return nullptr;
}

void block_alarm(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(how, &set, nullptr);
}

void expect_forks_to_work(Rearm when) {
  rearm = when;
  forks = failed_forks = 0;
  struct sigaction action {};
  action.sa_handler = fork_in_handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  end_of_forks = contract::now() + kSeconds;
  arm_timer(500);
  allocate_until(end_of_forks);
  block_alarm(SIG_BLOCK);
  arm_timer(0);
  contract::say("%d forks", forks);
  EXPECT(forks > 20);
  EXPECT_EQ(failed_forks, 0);
}

}  // namespace

CASE(fork_in_a_handler_with_one_thread) {
  expect_forks_to_work(Rearm::kAfterFork);
}

CASE(fork_in_a_handler_with_many_threads) {
  if (contract::not_promised_by_libc()) return;
  pthread_t threads[4];
  block_alarm(SIG_BLOCK);
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, other_thread, nullptr) == 0);
  }
  block_alarm(SIG_UNBLOCK);
  expect_forks_to_work(Rearm::kAfterFork);
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  stop = false;
}

// The signal may come to any thread, also while another forks.
CASE(fork_in_handlers_of_all_threads) {
  if (contract::not_promised_by_libc()) return;
  pthread_t threads[4];
  block_alarm(SIG_UNBLOCK);
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, nullptr, other_thread, nullptr) == 0);
  }
  expect_forks_to_work(Rearm::kBeforeFork);
  __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  stop = false;
}

// The one that a handler may call by its definition, where the C library has it.
CASE(bare_fork_in_handlers_of_all_threads) {
  if (contract::not_promised_by_libc()) return;
  void* const function = dlsym(RTLD_DEFAULT, "_Fork");
  if (function == nullptr) return;
  make_child = reinterpret_cast<pid_t (*)()>(function);
  fork_in_handlers_of_all_threads();
  make_child = &fork;
}

RUN_CASES()
