// The library's account of its memory against the kernel's: what it says is in use, retained and
// metadata, less what was given back inside of spans, is what the process holds.
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../../include/spanmalloc/spanmalloc.h"
#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

struct Random {
  uint64_t state;
  size_t below(size_t bound) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return static_cast<size_t>(state % bound);
  }
};

struct Block {
  char* bytes;
  size_t size;
};

constexpr size_t kBlocks = 60000;
Block* blocks;
size_t resident_before;

spanmalloc_stats stats_now() {
  static const auto get = reinterpret_cast<decltype(&spanmalloc_get_stats)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_get_stats"));
  spanmalloc_stats stats{};
  stats.size = sizeof(stats);
  EXPECT(get != nullptr && get(&stats) == 0);
  return stats;
}

void expect_parts_to_add_up(const spanmalloc_stats& stats) {
  EXPECT_EQ(stats.in_use + stats.free_retained + stats.released, stats.mapped);
  EXPECT_EQ(
      stats.live_small + stats.live_large + stats.cached + stats.free_in_spans + stats.span_waste,
      stats.in_use);
  EXPECT(stats.released_in_spans <= stats.cached + stats.free_in_spans + stats.span_waste);
}

// The kernel's figure has the parts of the process that are no heap, which hardly change; the
// library's has memory that it handed out and the program has not touched yet: rests of spans and
// of pages taken at once.
void expect_agreement(const char* when) {
  const spanmalloc_stats stats = stats_now();
  expect_parts_to_add_up(stats);
  const size_t ours = stats.in_use - stats.released_in_spans + stats.free_retained + stats.metadata;
  const size_t kernels = contract::resident_bytes() - resident_before;
  const size_t tolerance = 3 * kMiB + ours / 25;
  contract::say("%s: ours %zu KiB, the kernel's %zu KiB", when, ours / kKiB, kernels / kKiB);
  EXPECT(ours <= kernels + tolerance);
  EXPECT(kernels <= ours + tolerance);
  EXPECT(stats.resident >= kernels);
}

size_t random_size(Random& random) {
  switch (random.below(8)) {
    case 0:
      return 1 + random.below(60 * kKiB);
    case 1:
      return 1 + random.below(8 * kKiB);
    default:
      return 1 + random.below(600);
  }
}

void fill(Random& random, size_t one_of) {
  for (size_t index = 0; index < kBlocks; ++index) {
    Block& block = blocks[index];
    if (block.bytes != nullptr || random.below(one_of) != 0) continue;
    block.size = random_size(random);
    block.bytes = static_cast<char*>(malloc(block.size));
    REQUIRE(block.bytes != nullptr);
    memset(block.bytes, 1, block.size);
  }
}

void thin_out(Random& random, size_t percent) {
  for (size_t index = 0; index < kBlocks; ++index) {
    if (blocks[index].bytes == nullptr || random.below(100) >= percent) continue;
    free(blocks[index].bytes);
    blocks[index] = {};
  }
}

}  // namespace

CASE(figures_add_up_to_what_the_kernel_says) {
  if (contract::not_promised_by_libc()) return;
  blocks = static_cast<Block*>(mmap(nullptr, kBlocks * sizeof(Block), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  REQUIRE(blocks != MAP_FAILED);
  // The lists of libraries and the like are made now.
  free(malloc(1));
  stats_now();
  malloc_trim(0);
  resident_before = contract::resident_bytes();
  Random random{12345};
  for (int round = 0; round < 6; ++round) {
    fill(random, 1 + random.below(3));
    expect_agreement("filled");
    thin_out(random, 50 + random.below(50));
    expect_agreement("thinned out");
    malloc_trim(0);
    expect_agreement("trimmed");
    EXPECT_EQ(stats_now().free_retained, size_t{0});
    thin_out(random, 30);
    expect_agreement("thinned out again");
  }
  thin_out(random, 100);
  malloc_trim(0);
  expect_agreement("empty");
}

CASE(the_texts_have_the_same_figures) {
  if (contract::not_promised_by_libc()) return;
  const auto json = reinterpret_cast<decltype(&spanmalloc_stats_json)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_stats_json"));
  REQUIRE(json != nullptr);
  static char text[16384];
  REQUIRE(json(text, sizeof(text)) < sizeof(text));
  const spanmalloc_stats stats = stats_now();
  char figure[64];
  snprintf(figure, sizeof(figure), "\"released_in_spans\": %zu,", stats.released_in_spans);
  EXPECT(strstr(text, figure) != nullptr);
  snprintf(figure, sizeof(figure), "\"mapped\": %zu,", stats.mapped);
  EXPECT(strstr(text, figure) != nullptr);
  const struct mallinfo2 info = mallinfo2();
  EXPECT_EQ(info.arena, stats.in_use - stats.released_in_spans + stats.free_retained);
}

// At level 3 of hardening they stay inaccessible for a while; nobody pays for them.
CASE(the_interface_keeps_within_what_it_is_given) {
  if (contract::not_promised_by_libc()) return;
  const auto get = reinterpret_cast<decltype(&spanmalloc_get_stats)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_get_stats"));
  const auto json = reinterpret_cast<decltype(&spanmalloc_stats_json)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_stats_json"));
  const auto version =
      reinterpret_cast<decltype(&spanmalloc_version)>(dlsym(RTLD_DEFAULT, "spanmalloc_version"));
  REQUIRE(get != nullptr && json != nullptr && version != nullptr);

  spanmalloc_stats stats;
  memset(&stats, 0x5a, sizeof(stats));
  stats.size = 0;
  EXPECT_EQ(get(&stats), -1);
  stats.size = offsetof(spanmalloc_stats, in_use);
  EXPECT_EQ(get(&stats), 0);
  EXPECT_EQ(stats.size, offsetof(spanmalloc_stats, in_use));
  EXPECT(stats.mapped > 0);
  for (size_t at = stats.size; at < sizeof(stats); ++at) {
    EXPECT_EQ(reinterpret_cast<const unsigned char*>(&stats)[at], 0x5a);
  }
  // A library that is older than the program says how much it knows.
  struct {
    spanmalloc_stats known;
    size_t unknown;
  } later{};
  later.known.size = sizeof(later);
  later.unknown = 7;
  EXPECT_EQ(get(&later.known), 0);
  EXPECT_EQ(later.known.size, sizeof(spanmalloc_stats));
  EXPECT_EQ(later.unknown, size_t{7});

  char text[8];
  memset(text, 'x', sizeof(text));
  EXPECT_EQ(json(text, 0), size_t{0});
  EXPECT_EQ(text[0], 'x');
  EXPECT_EQ(json(text, 4), size_t{3});
  EXPECT_EQ(text[3], '\0');
  EXPECT_EQ(text[4], 'x');

  char expected[32];
  snprintf(expected, sizeof(expected), "%d.%d.%d", SPANMALLOC_VERSION_MAJOR,
           SPANMALLOC_VERSION_MINOR, SPANMALLOC_VERSION_PATCH);
  EXPECT_EQ(strcmp(version(), expected), 0);
}

CASE(freed_large_blocks_count_neither_as_live_nor_as_held) {
  if (contract::not_promised_by_libc()) return;
  const spanmalloc_stats before = stats_now();
  for (int round = 0; round < 20; ++round) {
    void* block = malloc(8 * contract::kMiB);
    REQUIRE(block != nullptr);
    memset(block, 1, 8 * contract::kMiB);
    free(block);
  }
  const spanmalloc_stats stats = stats_now();
  EXPECT_EQ(stats.large_count, before.large_count);
  EXPECT_EQ(stats.live_large, before.live_large);
  const size_t held_before = before.in_use - before.released_in_spans;
  EXPECT(stats.in_use - stats.released_in_spans < held_before + 20 * contract::kMiB);
}

// The kernel's file of the process is that of its first thread.
CASE(the_resident_memory_is_known_when_the_first_thread_has_ended) {
  if (contract::not_promised_by_libc()) return;
  const auto end_of_another_thread = [](void*) -> void* {
    contract::sleep_milliseconds(200);
    _exit(stats_now().resident > 0 ? 7 : 1);
  };
  const int status = contract::run_in_child(20, [&] {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, end_of_another_thread, nullptr) == 0)
      pthread_exit(nullptr);
  });
  EXPECT_EQ(status, 7);
}

RUN_CASES()
