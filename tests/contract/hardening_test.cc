// What hardening promises to programs without a fault: exact sizes, zeros in place of what other
// blocks held, places that differ from run to run. Runs at each level; misuse is tests/misuse.
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

constexpr uint64_t kSecret = 0x5ec2e75ec2e75ec2;
constexpr size_t kSizes[] = {16,   17,   24,   64,    100,    500,    1000, 2048,
                             4000, 8000, 9000, 30000, 100000, 140000, kMiB, 3 * kMiB};

int level() {
  const char* options = getenv("SPANMALLOC_OPTIONS");
  const char* found = options == nullptr ? nullptr : strstr(options, "hardening=");
  return found == nullptr ? 0 : found[10] - '0';
}

void write_secret(void* block, size_t size) {
  for (size_t at = 0; at + 8 <= size; at += 8) {
    memcpy(static_cast<char*>(block) + at, &kSecret, 8);
  }
}

bool has_secret(const void* block, size_t size) {
  for (size_t at = 0; at + 8 <= size; at += 8) {
    if (memcmp(static_cast<const char*>(block) + at, &kSecret, 8) == 0) return true;
  }
  return false;
}

// Places of some new blocks of one size, relative to the first.
constexpr size_t kPlaces = 64;
struct Places {
  int64_t offset[kPlaces];
};

int write_places(int file) {
  Places places;
  const char* first = nullptr;
  for (int64_t& offset : places.offset) {
    const char* block = static_cast<const char*>(malloc(64));
    if (first == nullptr) first = block;
    offset = reinterpret_cast<intptr_t>(block) - reinterpret_cast<intptr_t>(first);
  }
  return pwrite(file, &places, sizeof places, 0) == sizeof places ? 0 : 1;
}

Places places_of_a_run() {
  Places places{};
  const int file = memfd_create("places", 0);
  char argument[32];
  snprintf(argument, sizeof argument, "places:%d", file);
  EXPECT_EQ(contract::run_self(argument, 20), 0);
  EXPECT(pread(file, &places, sizeof places, 0) == sizeof places);
  close(file);
  return places;
}

// Walks the loaded objects and never comes back.
int is_in_loader = 0;

void* stay_in_loader(void*) {
  const auto stay = [](dl_phdr_info*, size_t, void*) {
    __atomic_store_n(&is_in_loader, 1, __ATOMIC_RELEASE);
    while (true) pause();
    return 0;
  };
  dl_iterate_phdr(stay, nullptr);
  return nullptr;
}

}  // namespace

CASE(usable_sizes_are_those_that_were_asked_for) {
  for (size_t size = 0; size < 200000; size += 1 + size / 20) {
    void* blocks[] = {malloc(size), calloc(1, size), memalign(256, size),
                      realloc(malloc(size / 2 + 1), size + 1)};
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(malloc_usable_size(blocks[i]), i < 3 ? size : size + 1);
      free(blocks[i]);
    }
  }
}

CASE(what_a_block_held_is_not_in_the_next) {
  for (const size_t size : kSizes) {
    const size_t count = size < 10000 ? 300 : 10;
    for (int round = 0; round < 3; ++round) {
      void* blocks[300];
      for (size_t i = 0; i < count; ++i) {
        blocks[i] = malloc(size);
        REQUIRE(blocks[i] != nullptr);
        EXPECT(contract::is_zero(blocks[i], size));
        write_secret(blocks[i], size);
      }
      for (size_t i = 0; i < count; ++i) free(blocks[i]);
    }
  }
}

CASE(what_a_block_held_is_gone_when_it_is_freed) {
  for (const size_t size : kSizes) {
    // The memory of larger ones may go back, or become inaccessible, at once.
    if (size > 30000) continue;
    char* block = static_cast<char*>(malloc(size));
    REQUIRE(block != nullptr);
    write_secret(block, size);
    const char* freed = contract::opaque(block);
    free(block);
    EXPECT(!has_secret(contract::opaque(freed), size));
  }
}

CASE(growing_in_place_shows_zeros) {
  for (size_t size = 40; size < 100000; size = size * 3 / 2) {
    char* block = static_cast<char*>(malloc(size));
    REQUIRE(block != nullptr);
    write_secret(block, size);
    block = static_cast<char*>(realloc(block, size - size / 10));
    block = static_cast<char*>(realloc(block, size));
    REQUIRE(block != nullptr);
    EXPECT(contract::is_zero(block + size - size / 10, size / 10));
    free(block);
  }
}

CASE(growing_large_blocks_shows_zeros) {
  for (size_t size = 150000; size < 6 * kMiB; size *= 2) {
    // What is cut off and what is freed lies where others grow to.
    char* others[4];
    for (char*& other : others) {
      other = static_cast<char*>(malloc(2 * size));
      REQUIRE(other != nullptr);
      write_secret(other, 2 * size);
      other = static_cast<char*>(realloc(other, size));
      REQUIRE(other != nullptr);
    }
    free(others[1]);
    free(others[3]);
    for (char* other : {others[0], others[2]}) {
      size_t old_size = size;
      for (const size_t new_size : {size + 50000, 3 * size, 5 * size}) {
        other = static_cast<char*>(realloc(other, new_size));
        REQUIRE(other != nullptr);
        EXPECT(contract::is_zero(other + old_size, new_size - old_size));
        old_size = new_size;
      }
      free(other);
    }
  }
}

CASE(a_freed_block_is_not_handed_out_at_once) {
  if (level() < 2) return;
  for (const size_t size : kSizes) {
    if (size > 30000) continue;
    for (int round = 0; round < 20; ++round) {
      void* freed = malloc(size);
      free(freed);
      void* blocks[50];
      for (void*& block : blocks) {
        block = malloc(size);
        EXPECT(block != contract::opaque(freed));
      }
      for (void* block : blocks) free(block);
    }
  }
}

// The report must not wait for what another thread does with the loaded objects.
CASE(a_fault_ends_the_program_while_the_loader_is_busy) {
  if (level() < 3) return;
  EXPECT_EQ(contract::run_in_child(20,
                                   [] {
                                     volatile char* block = static_cast<char*>(malloc(kMiB));
                                     free(const_cast<char*>(block));
                                     pthread_t thread;
                                     pthread_create(&thread, nullptr, &stay_in_loader, nullptr);
                                     EXPECT(contract::becomes_true(10, [] {
                                       return __atomic_load_n(&is_in_loader, __ATOMIC_ACQUIRE) == 1;
                                     }));
                                     block[5] = 1;
                                   }),
            -SIGSEGV);
}

// Few blocks of some size each, so that nearly all lie in quarantines, which level 1 has not.
CASE(what_threads_held_comes_back_to_the_child_of_a_fork) {
  const char* options = getenv("SPANMALLOC_OPTIONS");
  if (options == nullptr || strstr(options, "hardening=1") != nullptr) return;
  constexpr size_t kThreads = 16;
  constexpr size_t kBlocks = 100;
  constexpr size_t kBytes = 4000;
  static pthread_barrier_t ready;
  pthread_barrier_init(&ready, nullptr, kThreads + 1);
  const auto hold = [](void*) -> void* {
    static thread_local void* blocks[kBlocks];
    for (void*& block : blocks) {
      block = malloc(kBytes);
      memset(block, 1, kBytes);
    }
    for (void* block : blocks) free(block);
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&ready);
    return nullptr;
  };
  // What earlier cases have left goes first.
  malloc_trim(0);
  pthread_t threads[kThreads];
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, nullptr, hold, nullptr) != 0) abort();
  }
  pthread_barrier_wait(&ready);
  const int child = contract::run_in_child(30, [] {
    const size_t before = contract::resident_bytes();
    malloc_trim(0);
    EXPECT(contract::resident_bytes() + kThreads * kBlocks * kBytes / 2 < before);
  });
  EXPECT_EQ(child, 0);
  pthread_barrier_wait(&ready);
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

// The first blocks of a size are chosen among 32 KiB of places, not from the beginning of them.
CASE(places_are_chosen_among_many) {
  if (level() < 2) return;
  constexpr uintptr_t kFar = 12 << 10;
  int sizes = 0;
  int far_apart = 0;
  for (size_t size = 520; size < 1000; size += 48, ++sizes) {
    uintptr_t lowest = UINTPTR_MAX;
    uintptr_t highest = 0;
    for (int block = 0; block < 8; ++block) {
      const uintptr_t address = reinterpret_cast<uintptr_t>(malloc(size));
      lowest = std::min(lowest, address);
      highest = std::max(highest, address);
    }
    if (highest - lowest > kFar) ++far_apart;
  }
  EXPECT(far_apart > sizes / 2);
}

CASE(places_differ_from_run_to_run) {
  if (level() < 2) return;
  const Places first = places_of_a_run();
  const Places second = places_of_a_run();
  EXPECT(memcmp(&first, &second, sizeof first) != 0);
}

int main(int argc, char** argv) {
  if (argc > 1 && strncmp(argv[1], "places:", 7) == 0) return write_places(atoi(argv[1] + 7));
  EXPECT(level() > 0);
  return contract::run_cases(argc, argv);
}
