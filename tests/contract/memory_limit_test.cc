// memory_limit: what the process holds stays below it as long as what is live allows that; a hard
// limit refuses, and everything is usable afterwards.
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <new>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;
using contract::opaque;
using contract::resident_bytes;

constexpr const char* kVariable = "SPANMALLOC_OPTIONS";
constexpr double kSeconds = 100;

// Runs a case of this program again in a process with these options.
int run_with(const char* options, const char* name) {
  setenv(kVariable, options, 1);
  const int status = contract::run_self(name, kSeconds);
  unsetenv(kVariable);
  return status;
}

struct Block {
  void* address;
  size_t bytes;
};

constexpr size_t kMaxBlocks = 400000;
Block blocks[kMaxBlocks];
size_t block_count = 0;
size_t live_bytes = 0;
size_t highest_resident = 0;

void sample() {
  const size_t now = resident_bytes();
  if (now > highest_resident) highest_resident = now;
}

bool add_block(size_t bytes) {
  void* block = malloc(bytes);
  if (block == nullptr || block_count == kMaxBlocks) return false;
  memset(block, 1, bytes);
  blocks[block_count++] = {block, bytes};
  live_bytes += bytes;
  return true;
}

// Frees all but one block in `kept_of`, at random.
void thin_out(contract::Random& random, size_t kept_of) {
  size_t kept = 0;
  for (size_t index = 0; index < block_count; ++index) {
    const Block block = blocks[index];
    if (random.below(kept_of) == 0) {
      blocks[kept++] = block;
    } else {
      live_bytes -= block.bytes;
      free(block.address);
    }
  }
  block_count = kept;
}

void free_all() {
  for (size_t index = 0; index < block_count; ++index) free(blocks[index].address);
  block_count = 0;
  live_bytes = 0;
}

// How the live set changes: a step frees all but one block in `kept_of` and fills up by blocks of
// `factor` times their size, from `smallest` to `largest` and from there on again.
struct Shape {
  size_t smallest;
  size_t largest;
  size_t factor;
  size_t kept_of;
};
// Without a limit both hold more than 290 MiB.
constexpr Shape kLarge{130 * kKiB, 24 * kMiB, 2, 2};
constexpr Shape kMixed{600, 4 * kMiB, 3, 10};

// The live set grows from 25 to 179 MiB. Returns whether every request was served.
bool step_live_set(const Shape& shape) {
  contract::Random random(7);
  const size_t step = 22 * kMiB;
  size_t bytes = shape.smallest;
  for (size_t target = 25 * kMiB; target <= 179 * kMiB; target += step) {
    thin_out(random, shape.kept_of);
    sample();
    for (size_t count = 0; live_bytes < target; ++count) {
      if (!add_block(bytes + random.below(bytes / 4))) return false;
      if (count % 64 == 0) sample();
    }
    sample();
    contract::say("live %zu MiB in blocks of %zu KiB, resident %zu MiB", target / kMiB,
                  bytes / kKiB, resident_bytes() / kMiB);
    bytes *= shape.factor;
    if (bytes > shape.largest) bytes = shape.smallest + bytes % shape.smallest / 2;
  }
  return true;
}

int stay_below(size_t limit, const Shape& shape) {
  if (!step_live_set(shape)) return 2;
  contract::say("highest resident %zu MiB", highest_resident / kMiB);
  return highest_resident <= limit + 16 * kMiB ? 0 : 1;
}

int fill_up_to_refusal() {
  // The largest that fits is what the limit leaves; what does not is refused with ENOMEM.
  size_t served = 0;
  errno = 0;
  while (add_block(100 * kKiB)) served += 100 * kKiB;
  EXPECT_EQ(errno, ENOMEM);
  EXPECT(served > 40 * kMiB);
  EXPECT(served < 64 * kMiB);
  EXPECT(resident_bytes() < 64 * kMiB + 16 * kMiB);

  errno = 0;
  EXPECT(opaque(malloc(opaque(size_t{1} << 40))) == nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT(opaque(calloc(1000, 100 * kKiB)) == nullptr);
  EXPECT(opaque(aligned_alloc(4096, 50 * kMiB)) == nullptr);
  void* same = realloc(blocks[0].address, 60 * kMiB);
  EXPECT(same == nullptr);
  EXPECT_EQ(static_cast<unsigned char*>(blocks[0].address)[100 * kKiB - 1], 1);
  EXPECT(opaque(::operator new(60 * kMiB, std::nothrow)) == nullptr);
  bool thrown = false;
  try {
    (void)opaque(::operator new(60 * kMiB));
  } catch (const std::bad_alloc&) {
    thrown = true;
  }
  EXPECT(thrown);

  // What was freed can be had again in any size, again and again.
  for (size_t bytes = 16; bytes <= 32 * kMiB; bytes *= 8) {
    free_all();
    const size_t wanted = 32 * kMiB / bytes < kMaxBlocks ? 32 * kMiB / bytes : kMaxBlocks;
    for (size_t count = 0; count < wanted; ++count) {
      if (!add_block(bytes)) {
        contract::fail(__FILE__, __LINE__, "memory that was freed is not there");
        contract::say("  block %zu of %zu bytes", count, bytes);
        return 1;
      }
    }
  }
  free_all();
  return contract::has_failed() ? 1 : 0;
}

// Memory inside of spans that was given back must not be had again beyond the limit, and does not
// count towards it while it is away.
int use_holes() {
  for (size_t count = 0; count < 240 * kMiB / (8 * kKiB); ++count) {
    if (!add_block(8 * kKiB)) return 2;
  }
  size_t kept = 0;
  for (size_t index = 0; index < block_count; ++index) {
    if (index % 8 == 0) {
      blocks[kept++] = blocks[index];
    } else {
      free(blocks[index].address);
    }
  }
  block_count = kept;
  malloc_trim(0);
  EXPECT(resident_bytes() < 100 * kMiB);
  errno = 0;
  const size_t live = block_count;
  while (add_block(kMiB)) {
  }
  EXPECT_EQ(errno, ENOMEM);
  EXPECT(block_count - live > 140);
  while (add_block(8 * kKiB)) {
  }
  EXPECT_EQ(errno, ENOMEM);
  contract::say("resident %zu MiB", resident_bytes() / kMiB);
  EXPECT(resident_bytes() < (256 + 16) * kMiB);
  free_all();
  EXPECT(add_block(150 * kMiB));
  return contract::has_failed() ? 1 : 0;
}

using SetLimit = int (*)(size_t bytes, int kind);
using GetLimit = size_t (*)(int* kind);

int set_through_the_interface() {
  const auto set = reinterpret_cast<SetLimit>(dlsym(RTLD_DEFAULT, "spanmalloc_set_memory_limit"));
  const auto get = reinterpret_cast<GetLimit>(dlsym(RTLD_DEFAULT, "spanmalloc_get_memory_limit"));
  if (set == nullptr || get == nullptr) return 2;
  while (live_bytes < 100 * kMiB && add_block(60 * kKiB)) {
  }
  free_all();
  EXPECT(resident_bytes() > 64 * kMiB);
  EXPECT_EQ(set(40 * kMiB, 0), 0);
  EXPECT(resident_bytes() < 56 * kMiB);
  int kind = -1;
  EXPECT_EQ(get(&kind), 40 * kMiB);
  EXPECT_EQ(kind, 0);
  EXPECT(add_block(50 * kMiB));
  free_all();

  EXPECT_EQ(set(40 * kMiB, 1), 0);
  EXPECT_EQ(get(&kind), 40 * kMiB);
  EXPECT_EQ(kind, 1);
  EXPECT(!add_block(50 * kMiB));
  EXPECT(add_block(20 * kMiB));
  EXPECT(!add_block(20 * kMiB));

  EXPECT_EQ(set(40 * kMiB, 2), -1);
  EXPECT_EQ(set(SIZE_MAX, 0), -1);
  EXPECT_EQ(get(nullptr), 40 * kMiB);
  EXPECT_EQ(set(0, 0), 0);
  EXPECT(add_block(50 * kMiB));
  return contract::has_failed() ? 1 : 0;
}

}  // namespace

CASE(soft_limit_holds_for_large_blocks) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=256M:cgroup=0", "large"), 0);
}

CASE(soft_limit_holds_for_blocks_of_all_sizes) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=256M:cgroup=0", "mixed"), 0);
}

CASE(soft_limit_holds_without_the_thread) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=256M:scavenger=0", "large"), 0);
}

CASE(soft_limit_refuses_nothing) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=16M", "beyond"), 0);
}

CASE(hard_limit_refuses_and_recovers) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=64M:memory_limit_hard=1", "refusal"), 0);
}

CASE(hard_limit_holds_for_holes) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("memory_limit=256M:memory_limit_hard=1:scavenger=0", "holes"), 0);
}

CASE(the_limit_can_be_set_by_a_call) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("cgroup=0", "interface"), 0);
}

int main(int argc, char** argv) {
  const char* name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "large") == 0) return stay_below(256 * kMiB, kLarge);
  if (strcmp(name, "mixed") == 0) return stay_below(256 * kMiB, kMixed);
  if (strcmp(name, "beyond") == 0) return step_live_set(kMixed) ? 0 : 1;
  if (strcmp(name, "refusal") == 0) return fill_up_to_refusal();
  if (strcmp(name, "holes") == 0) return use_holes();
  if (strcmp(name, "interface") == 0) return set_through_the_interface();
  return contract::run_cases(argc, argv);
}
