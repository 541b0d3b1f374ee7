// Calls before main: from .preinit_array, which musl does not have run, from early constructors,
// and from a program that is started with odd environments.
#include <malloc.h>
#include <stdlib.h>

#include <string>

#include "contract/expect.h"
#include "contract/process.h"

extern char** environ;

namespace {

using contract::fill;
using contract::is_filled;

constexpr size_t kStages = 4;
constexpr size_t kBlocks = 200;
void* block[kStages][kBlocks];
int reached[kStages];

void allocate(size_t stage) {
  reached[stage] = 1;
  free(nullptr);
  for (size_t i = 0; i < kBlocks; ++i) {
    void* gone = calloc(1, i * 300);
    block[stage][i] = malloc(i * 50);
    free(gone);
    if (block[stage][i] != nullptr) fill(block[stage][i], i * 50, i + stage);
  }
  free(realloc(malloc(10), 3000000));
}

void in_preinit_array() {
  allocate(0);
}
[[gnu::constructor(101)]] void in_first_constructor() {
  allocate(1);
}
[[gnu::constructor]] void in_constructor() {
  allocate(2);
}

struct Static {
  Static() : text(1000, 'x') { allocate(3); }
  std::string text;
};
const Static static_object;

}  // namespace

#ifdef __GLIBC__
[[gnu::section(".preinit_array"), gnu::used]] static void (*const preinit)() = in_preinit_array;
#else
[[gnu::constructor(101)]] static void in_place_of_preinit_array() {
  in_preinit_array();
}
#endif

CASE(blocks_from_before_main_are_intact) {
  for (size_t stage = 0; stage < kStages; ++stage) {
    EXPECT(reached[stage] == 1);
    for (size_t i = 0; i < kBlocks; ++i) {
      REQUIRE(block[stage][i] != nullptr);
      EXPECT(is_filled(block[stage][i], i * 50, i + stage));
      block[stage][i] = realloc(block[stage][i], i * 70 + 1);
      REQUIRE(block[stage][i] != nullptr);
      EXPECT(is_filled(block[stage][i], i * 50, i + stage));
      free(block[stage][i]);
    }
  }
}

CASE(immediate_binding_works) {
  setenv("LD_BIND_NOW", "1", 1);
  EXPECT_EQ(contract::run_self("blocks_from_before_main_are_intact", 10), 0);
  unsetenv("LD_BIND_NOW");
}

CASE(a_large_environment_works) {
  static char value[100000];
  memset(value, 'v', sizeof value - 1);
  setenv("CONTRACT_LARGE", value, 1);
  EXPECT_EQ(contract::run_self("blocks_from_before_main_are_intact", 10), 0);
  unsetenv("CONTRACT_LARGE");
}

// Without an environment the preload would be gone too: only that one entry stays.
CASE(an_empty_environment_works) {
  static char preload[4096] = "";
  const char* library = getenv("LD_PRELOAD");
  if (library != nullptr) snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
  const pid_t child = fork();
  if (child == 0) {
    char* const environment[] = {library == nullptr ? nullptr : preload, nullptr};
    char name[] = "self";
    char argument[] = "blocks_from_before_main_are_intact";
    char* const arguments[] = {name, argument, nullptr};
    execve("/proc/self/exe", arguments, environment);
    _exit(127);
  }
  EXPECT_EQ(contract::wait_for(child, 10), 0);
}

CASE(a_program_without_arguments_works) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("CONTRACT_EXIT_EARLY", "1", 1);
    char* const arguments[] = {nullptr};
    execve("/proc/self/exe", arguments, environ);
    _exit(127);
  }
  EXPECT_EQ(contract::wait_for(child, 10), 0);
}

int main(int argc, char** argv) {
  if (getenv("CONTRACT_EXIT_EARLY") != nullptr) return 0;
  return contract::run_cases(argc, argv);
}
