// Limits of the address space and of data: NULL with ENOMEM, and after memory is freed
// everything can be allocated again. Each case runs in a process of its own: this program again.
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kGiB;
using contract::kKiB;
using contract::kMiB;

constexpr size_t kSizes[] = {16,        48,        100,    256,        1000, 4000,     9000,
                             32 * kKiB, 33 * kKiB, 100000, 300 * kKiB, kMiB, 3 * kMiB, 10 * kMiB};

// Blocks in a list through their first word, so that the test itself needs no memory.
struct Exhausted {
  void** list;
  size_t count;
};

Exhausted allocate_until_null(size_t size) {
  Exhausted result{nullptr, 0};
  errno = 0;
  for (;;) {
    void** block = static_cast<void**>(malloc(size));
    if (block == nullptr) break;
    *block = result.list;
    reinterpret_cast<char*>(block)[size - 1] = 'e';
    result.list = block;
    ++result.count;
  }
  EXPECT_EQ(errno, ENOMEM);
  return result;
}

void free_list(void** list) {
  while (list != nullptr) {
    void** next = static_cast<void**>(*list);
    free(list);
    list = next;
  }
}

enum class Order { kAscending, kDescending };

// Fills all memory with each size in turn, twice. `floor` bytes must be had each time (half of it
// in tiny blocks), and the second time nearly as much as the first.
void exhaust_with_all_sizes(size_t floor, Order order) {
  constexpr size_t kCount = sizeof kSizes / sizeof kSizes[0];
  for (size_t i = 0; i < kCount; ++i) {
    const size_t size = kSizes[order == Order::kAscending ? i : kCount - 1 - i];
    size_t first = 0;
    for (int round = 0; round < 2; ++round) {
      const Exhausted got = allocate_until_null(size);
      const bool is_enough = got.count * size >= (size < 64 ? floor / 2 : floor);
      if (!is_enough) contract::say("%zu blocks of %zu bytes", got.count, size);
      EXPECT(is_enough);
      errno = 0;
      EXPECT(calloc(1, 200 * kMiB) == nullptr);
      EXPECT_EQ(errno, ENOMEM);
      free_list(got.list);
      if (round == 0) first = got.count;
      EXPECT(got.count + got.count / 10 + 2 >= first);
    }
    if (contract::has_failed()) return;
  }
}

// realloc, aligned calls and calloc fail as well as malloc, and leave their blocks alone.
void other_calls_at_the_limit() {
  void* kept = malloc(1000);
  REQUIRE(kept != nullptr);
  contract::fill(kept, 1000, 1);
  const Exhausted got = allocate_until_null(64 * kKiB);
  errno = 0;
  EXPECT(realloc(contract::opaque(kept), 100 * kMiB) == nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT(contract::is_filled(kept, 1000, 1));
  errno = 0;
  EXPECT(memalign(16 * kMiB, 20 * kMiB) == nullptr);
  EXPECT_EQ(errno, ENOMEM);
  void* untouched = &untouched;
  EXPECT_EQ(posix_memalign(&untouched, kMiB, 50 * kMiB), ENOMEM);
  EXPECT(untouched == &untouched);
  free_list(got.list);
  kept = realloc(kept, 20 * kMiB);
  EXPECT(kept != nullptr && contract::is_filled(kept, 1000, 1));
  free(kept);
}

void* exhaust_in_thread(void*) {
  for (const size_t size : {size_t{100}, size_t{5000}, size_t{200000}}) {
    const Exhausted got = allocate_until_null(size);
    free_list(got.list);
  }
  return nullptr;
}

// Several threads run into the limit at once; afterwards all memory is there again.
void exhaust_in_threads(size_t floor) {
  // There from the start: the heap may take what a thread's stack leaves, and the next one need it.
  alignas(4096) static char stacks[3][128 * kKiB];
  for (int round = 0; round < 5; ++round) {
    pthread_t threads[3];
    for (size_t i = 0; i < 3; ++i) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstack(&attributes, stacks[i], sizeof stacks[i]);
      REQUIRE(pthread_create(&threads[i], &attributes, exhaust_in_thread, nullptr) == 0);
      pthread_attr_destroy(&attributes);
    }
    for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  }
  exhaust_with_all_sizes(floor, Order::kAscending);
}

size_t floor_of(const char* number) {
  return strtoul(number, nullptr, 10) * kMiB;
}

int child(const char* what) {
  contract::current_case = what;
  if (strncmp(what, "ascending:", 10) == 0) {
    exhaust_with_all_sizes(floor_of(what + 10), Order::kAscending);
  }
  if (strncmp(what, "descending:", 11) == 0) {
    exhaust_with_all_sizes(floor_of(what + 11), Order::kDescending);
  }
  if (strncmp(what, "threads:", 8) == 0) exhaust_in_threads(floor_of(what + 8));
  if (strcmp(what, "calls:") == 0) other_calls_at_the_limit();
  return contract::has_failed() ? 1 : 0;
}

constexpr double kSeconds = 25;

}  // namespace

CASE(address_space_of_80_mib) {
  EXPECT_EQ(contract::run_self("ascending:40", kSeconds, RLIMIT_AS, 80 * kMiB), 0);
  EXPECT_EQ(contract::run_self("descending:40", kSeconds, RLIMIT_AS, 80 * kMiB), 0);
  EXPECT_EQ(contract::run_self("calls:", kSeconds, RLIMIT_AS, 80 * kMiB), 0);
}

CASE(address_space_of_200_mib) {
  EXPECT_EQ(contract::run_self("ascending:130", kSeconds, RLIMIT_AS, 200 * kMiB), 0);
  EXPECT_EQ(contract::run_self("descending:130", kSeconds, RLIMIT_AS, 200 * kMiB), 0);
  EXPECT_EQ(contract::run_self("calls:", kSeconds, RLIMIT_AS, 200 * kMiB), 0);
}

CASE(address_space_of_200_mib_with_threads) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_self("threads:100", kSeconds, RLIMIT_AS, 200 * kMiB), 0);
}

CASE(data_of_100_mib) {
  EXPECT_EQ(contract::run_self("ascending:70", kSeconds, RLIMIT_DATA, 100 * kMiB), 0);
  EXPECT_EQ(contract::run_self("descending:70", kSeconds, RLIMIT_DATA, 100 * kMiB), 0);
  EXPECT_EQ(contract::run_self("calls:", kSeconds, RLIMIT_DATA, 100 * kMiB), 0);
}

// Programs limit themselves after they have started to allocate.
CASE(address_space_limited_after_the_start) {
  const int status = contract::run_in_child(kSeconds, [] {
    free_list(nullptr);
    free(malloc(10 * kMiB));
    const rlimit limits{1024 * kMiB, 1024 * kMiB};
    REQUIRE(setrlimit(RLIMIT_AS, &limits) == 0);
    for (const size_t size : {size_t{5000}, size_t{200000}, size_t{30 * kMiB}}) {
      const Exhausted got = allocate_until_null(size);
      contract::say("%zu MiB in blocks of %zu bytes", got.count * size / kMiB, size);
      EXPECT(got.count * size > 256 * kMiB);
      free_list(got.list);
    }
  });
  EXPECT_EQ(status, 0);
}

// A limit below what is in use: calls fail, frees and what was allocated before work.
CASE(address_space_limited_below_its_use) {
  const int status = contract::run_in_child(kSeconds, [] {
    void* blocks[500];
    for (size_t i = 0; i < 500; ++i) {
      blocks[i] = malloc(i * 100);
      REQUIRE(blocks[i] != nullptr);
      contract::fill(blocks[i], i * 100, i);
    }
    const rlimit limits{kMiB, kMiB};
    REQUIRE(setrlimit(RLIMIT_AS, &limits) == 0);
    errno = 0;
    EXPECT(malloc(200 * kMiB) == nullptr);
    EXPECT_EQ(errno, ENOMEM);
    for (size_t i = 0; i < 500; ++i) {
      EXPECT(contract::is_filled(blocks[i], i * 100, i));
      free(blocks[i]);
    }
    // What is mapped can be used again.
    void* again = malloc(1000);
    EXPECT(again != nullptr);
    free(again);
    const Exhausted got = allocate_until_null(3000);
    free_list(got.list);
  });
  EXPECT_EQ(status, 0);
}

// A large block that must move to grow: the pages are not moved where the kernel would take the
// target away first and then refuse.
CASE(realloc_below_a_limit_that_is_exceeded) {
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    const int status = contract::run_in_child(kSeconds, [resource] {
      constexpr size_t kBytes = kMiB;
      void* block = malloc(kBytes);
      void* behind = malloc(300 * kKiB);
      void* room = malloc(20 * kMiB);
      void* last = malloc(300 * kKiB);
      REQUIRE(block != nullptr && behind != nullptr && room != nullptr && last != nullptr);
      contract::fill(block, kBytes, 5);
      contract::fill(room, 20 * kMiB, 6);
      free(room);
      const rlimit limits{kMiB, kMiB};
      REQUIRE(setrlimit(resource, &limits) == 0);
      void* larger = realloc(block, 3 * kMiB);
      REQUIRE(larger != nullptr);
      EXPECT(contract::is_filled(larger, kBytes, kBytes, 5));
      contract::fill(larger, 3 * kMiB, 7);
      free(larger);
      free(behind);
      free(last);
    });
    EXPECT_EQ(status, 0);
  }
}

// From a large size to a small one, where no memory is left for the small block.
CASE(realloc_that_cannot_move_keeps_errno) {
  const int status = contract::run_in_child(kSeconds, [] {
    void* block = malloc(300000);
    const rlimit limits{contract::virtual_bytes() + 40 * kMiB, RLIM_INFINITY};
    REQUIRE(block != nullptr && setrlimit(RLIMIT_AS, &limits) == 0);
    contract::fill(block, 300000, 3);
    for (const size_t size : kSizes) (void)allocate_until_null(size);
    for (const size_t size : {size_t{90000}, size_t{20000}, size_t{300}}) {
      errno = 7;
      block = realloc(block, size);
      REQUIRE(block != nullptr);
      EXPECT_EQ(errno, 7);
      EXPECT(contract::is_filled(block, size, 300000, 3));
    }
  });
  EXPECT_EQ(status, 0);
}

CASE(refused_requests_leave_nothing_behind) {
  const int status = contract::run_in_child(kSeconds, [] {
    free(contract::opaque(malloc(kMiB)));
    const rlimit limits{contract::virtual_bytes() + 500 * kMiB, RLIM_INFINITY};
    REQUIRE(setrlimit(RLIMIT_AS, &limits) == 0);
    const size_t before = contract::virtual_bytes();
    for (size_t size = kGiB; size < 64 * kGiB; size *= 2) {
      EXPECT(contract::opaque(malloc(contract::opaque(size))) == nullptr);
      EXPECT(contract::opaque(memalign(size, 100)) == nullptr);
    }
    EXPECT(contract::virtual_bytes() <= before + 8 * kMiB);
  });
  EXPECT_EQ(status, 0);
}

int main(int argc, char** argv) {
  if (argc > 1 && strchr(argv[1], ':') != nullptr) return child(argv[1]);
  return contract::run_cases(argc, argv);
}
