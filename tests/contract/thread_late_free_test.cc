// malloc and free in the destructors of keys and thread_local objects, before and after the
// allocator's own clean-up of the thread, whatever the order is.
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;
using contract::resident_bytes;

// Values of keys beyond the 32nd live in a block that libc allocates.
constexpr size_t kKeys = 60;
pthread_key_t keys[kKeys];

struct Late {
  int rounds_left;
  pthread_key_t key;
  void* blocks[20];
};

void hold(Late* late) {
  for (size_t i = 0; i < 20; ++i) {
    late->blocks[i] = malloc(1 + i * 100);
    if (late->blocks[i] != nullptr) memset(late->blocks[i], 0x5a, 1 + i * 100);
  }
}

void drop(Late* late) {
  for (size_t i = 0; i < 20; ++i) {
    EXPECT(late->blocks[i] != nullptr && static_cast<char*>(late->blocks[i])[i * 100] == 0x5a);
    free(late->blocks[i]);
  }
}

// Runs again in the next round of destructors until no round is left.
void late_destructor(void* value) {
  Late* late = static_cast<Late*>(value);
  drop(late);
  if (late->rounds_left-- > 0) {
    hold(late);
    pthread_setspecific(late->key, late);
    return;
  }
  free(calloc(1, 5000));
  free(late);
}

void* thread_with_keys(void*) {
  for (const pthread_key_t key : keys) {
    Late* late = static_cast<Late*>(malloc(sizeof(Late)));
    if (late == nullptr) return nullptr;
    late->rounds_left = static_cast<int>(key) % PTHREAD_DESTRUCTOR_ITERATIONS;
    late->key = key;
    hold(late);
    pthread_setspecific(key, late);
  }
  return nullptr;
}

struct Local {
  std::vector<std::string> strings;
  ~Local() {
    strings.push_back(std::string(3000, 'x'));
    std::vector<std::unique_ptr<int[]>> more;
    for (size_t i = 1; i < 100; ++i) more.push_back(std::make_unique<int[]>(i));
  }
};

thread_local Local first_local;
thread_local Local second_local;

void* thread_with_locals(void*) {
  for (int i = 0; i < 50; ++i) {
    first_local.strings.push_back(std::string(100, 'a'));
    second_local.strings.push_back(std::string(10, 'b'));
  }
  return thread_with_keys(nullptr);
}

void run_threads(int count, void* (*body)(void*)) {
  for (int i = 0; i < count; i += 4) {
    pthread_t threads[4];
    for (pthread_t& thread : threads) REQUIRE(pthread_create(&thread, nullptr, body, nullptr) == 0);
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  }
}

void expect_flat(void* (*body)(void*)) {
  run_threads(200, body);
  const size_t resident_before = resident_bytes();
  const size_t used_before = mallinfo2().uordblks;
  run_threads(3000, body);
  const size_t resident_after = resident_bytes();
  const size_t used_after = mallinfo2().uordblks;
  contract::say("resident %zu -> %zu, in use %zu -> %zu", resident_before, resident_after,
                used_before, used_after);
  EXPECT(resident_after < resident_before + 6 * kMiB);
  EXPECT(used_after < used_before + 2 * kMiB);
}

// A thread whose first malloc happens in a destructor.
void* only_late(void*) {
  pthread_setspecific(keys[0], &keys);
  return nullptr;
}

}  // namespace

CASE(key_destructors_may_allocate) {
  for (pthread_key_t& key : keys) REQUIRE(pthread_key_create(&key, late_destructor) == 0);
  expect_flat(thread_with_keys);
  for (const pthread_key_t key : keys) pthread_key_delete(key);
}

CASE(thread_local_destructors_may_allocate) {
  for (pthread_key_t& key : keys) REQUIRE(pthread_key_create(&key, late_destructor) == 0);
  expect_flat(thread_with_locals);
  for (const pthread_key_t key : keys) pthread_key_delete(key);
}

CASE(a_thread_may_start_to_allocate_in_a_destructor) {
  const auto destructor = [](void*) {
    for (size_t i = 0; i < 300; ++i) free(malloc(i * 8));
  };
  REQUIRE(pthread_key_create(&keys[0], destructor) == 0);
  expect_flat(only_late);
  pthread_key_delete(keys[0]);
}

RUN_CASES()
