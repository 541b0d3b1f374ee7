// Frees and mallocs in exit handlers and static destructors, and threads that go on allocating
// while the process exits. Each case runs in a process of its own: this program again.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

void* kept[300];

void allocate_and_free() {
  for (size_t i = 0; i < 300; ++i) free(calloc(1, i * 100));
  free(realloc(malloc(10), 2000000));
}

// Everything a handler at exit may do; a failed check ends the process with status 3.
void at_exit() {
  for (size_t i = 0; i < 300; ++i) {
    if (!contract::is_filled(kept[i], i * 20, i)) _exit(3);
    free(kept[i]);
    kept[i] = nullptr;
  }
  allocate_and_free();
}

void keep() {
  for (size_t i = 0; i < 300; ++i) {
    kept[i] = malloc(i * 20);
    if (kept[i] == nullptr) _exit(3);
    contract::fill(kept[i], i * 20, i);
  }
}

struct Static {
  std::vector<std::string> strings;
  ~Static() {
    allocate_and_free();
    strings.resize(1000, std::string(100, 'x'));
  }
};
Static static_object;

[[gnu::destructor]] void in_destructor() {
  allocate_and_free();
}
[[gnu::destructor(101)]] void in_last_destructor() {
  allocate_and_free();
}

void* allocate_forever(void*) {
  contract::Random random(reinterpret_cast<uintptr_t>(&random));
  void* blocks[100] = {};
  for (;;) {
    const size_t i = random.below(100);
    free(blocks[i]);
    blocks[i] = malloc(random.below(50000));
  }
}

void start_threads() {
  for (int i = 0; i < 4; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, allocate_forever, nullptr) != 0) _exit(3);
    pthread_detach(thread);
  }
  contract::sleep_milliseconds(2);
}

void* exit_from_thread(void*) {
  allocate_and_free();
  exit(7);
}

// What the process that is to exit does.
int child(const char* how) {
  keep();
  if (strcmp(how, "child:return") == 0) {
    atexit(at_exit);
    return 7;
  }
  if (strcmp(how, "child:quick_exit") == 0) {
    at_quick_exit(at_exit);
    quick_exit(7);
  }
  if (strcmp(how, "child:underscore_exit") == 0) _exit(7);
  atexit(at_exit);
  start_threads();
  if (strcmp(how, "child:thread_exit") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, exit_from_thread, nullptr) != 0) _exit(3);
    pthread_join(thread, nullptr);
  }
  exit(7);
}

}  // namespace

CASE(exit_handlers_may_free) {
  EXPECT_EQ(contract::run_self("child:return", 10), 7);
}
CASE(quick_exit_handlers_may_free) {
  EXPECT_EQ(contract::run_self("child:quick_exit", 10), 7);
}
CASE(immediate_exit_works) {
  EXPECT_EQ(contract::run_self("child:underscore_exit", 10), 7);
}

CASE(exit_while_threads_allocate) {
  for (int i = 0; i < 40; ++i) EXPECT_EQ(contract::run_self("child:exit", 10), 7);
}

CASE(exit_from_a_thread_while_threads_allocate) {
  for (int i = 0; i < 40; ++i) EXPECT_EQ(contract::run_self("child:thread_exit", 10), 7);
}

int main(int argc, char** argv) {
  static_object.strings.push_back(std::string(100, 'a'));
  if (argc > 1 && strncmp(argv[1], "child:", 6) == 0) return child(argv[1]);
  return contract::run_cases(argc, argv);
}
