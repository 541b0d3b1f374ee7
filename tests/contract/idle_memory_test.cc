// Memory that was freed goes back to the system without any further call.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;
using contract::resident_bytes;

// Their addresses fill pages, which are given back; behind them lies what is not ours.
constexpr size_t kBlocks = size_t{2344} * 512;
constexpr size_t kSize = 256;
// The promise is 15 s; the rest is room for a machine under load.
constexpr double kSeconds = 30;
constexpr size_t kBound = 30 * kMiB;

alignas(4096) void* block[kBlocks];

void expect_release_while_idle() {
  const double start = contract::now();
  const size_t resident = contract::wait_until_resident(kBound, kSeconds);
  contract::say("resident %zu after %.1f s of idleness", resident, contract::now() - start);
  EXPECT(resident <= kBound);
}

void allocate_and_free() {
  for (void*& one : block) {
    one = malloc(kSize);
    REQUIRE(one != nullptr);
    memset(one, 1, kSize);
  }
  EXPECT(resident_bytes() > 280 * kMiB);
  for (void* one : block) free(one);
}

}  // namespace

CASE(idle_memory_returns) {
  allocate_and_free();
  madvise(block, sizeof block, MADV_DONTNEED);
  expect_release_while_idle();
}

// A thread that waits for work keeps nothing back either.
CASE(memory_of_an_idle_thread_returns) {
  if (contract::not_promised_by_libc()) return;
  const auto body = [](void*) -> void* {
    allocate_and_free();
    madvise(block, sizeof block, MADV_DONTNEED);
    expect_release_while_idle();
    return nullptr;
  };
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, body, nullptr) == 0);
  pthread_join(thread, nullptr);
}

// The background thread rests when it has had nothing to do for a while. Blocks that are freed
// afterwards, with no malloc among them, go back as well: most of them leave holes between others.
CASE(memory_freed_after_a_long_rest_returns) {
  if (contract::not_promised_by_libc()) return;
  constexpr size_t kFragments = 200000;
  constexpr size_t kFragmentBytes = 1000;
  constexpr size_t kKeptOneOf = 16;
  for (size_t index = 0; index < kFragments; ++index) {
    block[index] = malloc(kFragmentBytes);
    REQUIRE(block[index] != nullptr);
    memset(block[index], 1, kFragmentBytes);
  }
  // With a tick of 100 ms the thread rests by then.
  contract::sleep_milliseconds(3000);
  const size_t before = resident_bytes();
  for (size_t index = 0; index < kFragments; ++index) {
    if (index % kKeptOneOf != 0) free(block[index]);
  }
  // A quarter of the kernel's pages hold a kept block.
  const size_t after = contract::wait_until_resident(before / 2, kSeconds);
  contract::say("resident %zu, %zu after the frees", before, after);
  EXPECT(after <= before / 2);
  for (size_t index = 0; index < kFragments; index += kKeptOneOf) free(block[index]);
}

RUN_CASES()
