// The library opened with dlopen in a process that has another malloc: both work side by side.
// Usage: dlopen_test PATH_OF_LIBRARY
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;

struct Library {
  void* handle;
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  int (*malloc_trim)(size_t);
};

Library library{};
const char* path_of_library = nullptr;
pthread_barrier_t barrier;

void use_library() {
  void* block[500];
  for (size_t i = 0; i < 500; ++i) {
    block[i] = library.malloc(i * 30);
    REQUIRE(block[i] != nullptr);
    fill(block[i], i * 30, i);
    void* other = malloc(i * 30);
    free(other);
  }
  for (size_t i = 0; i < 500; ++i) {
    block[i] = library.realloc(block[i], i * 60 + 1);
    REQUIRE(block[i] != nullptr);
    EXPECT(is_filled(block[i], i * 30, i));
    library.free(block[i]);
  }
  void* large = library.calloc(1, 50 << 20);
  REQUIRE(large != nullptr);
  EXPECT(contract::is_zero(large, 50 << 20));
  library.free(large);
}

// A thread that is older than the library.
void* older_thread(void*) {
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  if (!contract::has_failed()) use_library();
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  return nullptr;
}

void* newer_thread(void*) {
  use_library();
  return nullptr;
}

template <typename Function>
void find(Function** function, const char* name) {
  *function = reinterpret_cast<Function*>(dlsym(library.handle, name));
  EXPECT(*function != nullptr);
}

void open_library(const char* path) {
  library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library.handle == nullptr) contract::say("%s", dlerror());
  REQUIRE(library.handle != nullptr);
  find(&library.malloc, "malloc");
  find(&library.free, "free");
  find(&library.calloc, "calloc");
  find(&library.realloc, "realloc");
  find(&library.malloc_trim, "malloc_trim");
}

// In a child: a program that has cleared its environment has no options, which is known from the
// start.
void open_without_environment() {
  clearenv();
  open_library(path_of_library);
  if (contract::has_failed()) return;
  size_t (*malloc_usable_size)(void*);
  int (*set_option)(const char*, uint64_t);
  find(&malloc_usable_size, "malloc_usable_size");
  find(&set_option, "spanmalloc_set_option");
  if (contract::has_failed()) return;
  void* block = library.malloc(100);
  // Without hardening a block may be used to the end of its size class.
  EXPECT(malloc_usable_size(block) > 100);
  EXPECT_EQ(set_option("hardening", 2), -1);
  library.free(block);
  use_library();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  contract::current_case = "dlopen";
  EXPECT(contract::malloc_is_from_libc());
  path_of_library = argv[1];
  EXPECT_EQ(contract::run_in_child(20, open_without_environment), 0);
  pthread_barrier_init(&barrier, nullptr, 5);
  pthread_t older[4];
  for (pthread_t& thread : older) {
    EXPECT_EQ(pthread_create(&thread, nullptr, older_thread, nullptr), 0);
  }
  pthread_barrier_wait(&barrier);
  open_library(argv[1]);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  if (!contract::has_failed()) {
    EXPECT(library.malloc != malloc);
    use_library();
    pthread_t newer;
    EXPECT_EQ(pthread_create(&newer, nullptr, newer_thread, nullptr), 0);
    pthread_join(newer, nullptr);
    EXPECT_EQ(contract::run_in_child(10, use_library), 0);
    library.malloc_trim(0);
    // The library stays in memory: threads that used it end after this.
    EXPECT_EQ(dlclose(library.handle), 0);
  }
  pthread_barrier_wait(&barrier);
  for (const pthread_t thread : older) pthread_join(thread, nullptr);
  void* again = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  EXPECT(again != nullptr);
  if (!contract::has_failed()) use_library();
  return contract::has_failed() ? 1 : 0;
}
