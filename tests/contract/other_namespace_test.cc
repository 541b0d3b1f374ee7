// Threads end after a library in another namespace of the loader has kept data of theirs: its C
// library gives out thread-specific keys that ours has given out too, for the same places.
// Usage: other_namespace_test PLUGIN
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::fill;
using contract::is_filled;

int (*keep)(const void*) = nullptr;
const char* kept = nullptr;

void use_malloc() {
  void* block[200];
  for (size_t i = 0; i < 200; ++i) {
    block[i] = malloc(i * 20);
    REQUIRE(block[i] != nullptr);
    fill(block[i], i * 20, i);
  }
  for (size_t i = 0; i < 200; ++i) {
    EXPECT(is_filled(block[i], i * 20, i));
    free(block[i]);
  }
}

void* body(void*) {
  use_malloc();
  EXPECT_EQ(keep(kept), 0);
  use_malloc();
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  contract::current_case = "other_namespace";
  void* plugin = dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
  if (plugin == nullptr) {
    contract::say("%s", dlerror());
    return contract::kSkipped;
  }
  keep = reinterpret_cast<int (*)(const void*)>(dlsym(plugin, "keep"));
  if (keep == nullptr) return 2;
  static const char data[4096] = {};
  for (int round = 0; round < 40; ++round) {
    kept = round % 4 == 3 ? nullptr : data;
    pthread_t thread[4];
    for (pthread_t& each : thread) {
      EXPECT_EQ(pthread_create(&each, nullptr, body, nullptr), 0);
    }
    for (const pthread_t each : thread) pthread_join(each, nullptr);
  }
  use_malloc();
  EXPECT_EQ(contract::run_in_child(20, use_malloc), 0);
  return contract::has_failed() ? 1 : 0;
}
