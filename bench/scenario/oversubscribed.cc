// oversubscribed [threads] [requests in all]
//
// Many more threads than processors, all busy with requests whose blocks are in part freed by
// another thread: a pool sized for waiting that has no more to wait for, or a container with a
// small share of a large machine. Threads are preempted anywhere, also while they hold a lock of
// the allocator, and every thread's cache holds memory that the running ones could use.
#include "server_mix.h"

int main(int count, char** arguments) {
  const size_t threads = scenario::argument(count, arguments, 1, 16);
  const size_t requests = scenario::argument(count, arguments, 2, 2000000);
  if (threads == 0) return 2;
  scenario::server_mix(threads, requests, []() noexcept {});
  return 0;
}
