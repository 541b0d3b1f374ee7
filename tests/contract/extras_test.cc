// The C library's extra calls tell the truth about the heap that is in use.
#include <ctype.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>

#include <algorithm>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;
using contract::resident_bytes;

size_t in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

constexpr size_t kBlocks = 200 * 1024;
void* block[kBlocks];

void allocate_all(size_t size) {
  for (void*& one : block) {
    one = malloc(size);
    REQUIRE(one != nullptr);
    memset(one, 1, size);
  }
}

void free_all() {
  for (void*& one : block) {
    free(one);
    one = nullptr;
  }
}

// Reads all that `write_report` writes to the descriptor it is given.
template <typename WriteReport>
size_t capture(char* text, size_t capacity, WriteReport write_report) {
  FILE* file = tmpfile();
  if (file == nullptr) return 0;
  write_report(file);
  fflush(file);
  rewind(file);
  const size_t length = fread(text, 1, capacity - 1, file);
  text[length] = '\0';
  fclose(file);
  return length;
}

// True if the tags of the text nest, there is one root, and attribute values are quoted.
bool is_well_formed(const char* text) {
  const char* open_tags[32];
  size_t open_lengths[32];
  size_t depth = 0;
  int roots = 0;
  for (const char* at = strchr(text, '<'); at != nullptr; at = strchr(at, '<')) {
    ++at;
    const char* end = strchr(at, '>');
    if (end == nullptr) return false;
    if (*at == '?' || *at == '!') continue;
    int quotes = 0;
    for (const char* c = at; c < end; ++c) quotes += *c == '"' ? 1 : 0;
    if (quotes % 2 != 0) return false;
    const bool closes = *at == '/';
    if (closes) ++at;
    size_t length = 0;
    while (isalnum(at[length]) || at[length] == '_' || at[length] == '-') ++length;
    if (length == 0) return false;
    if (closes) {
      if (depth == 0) return false;
      --depth;
      if (open_lengths[depth] != length || memcmp(open_tags[depth], at, length) != 0) return false;
    } else {
      if (depth == 0) ++roots;
      if (end[-1] != '/') {
        if (depth == 32) return false;
        open_tags[depth] = at;
        open_lengths[depth++] = length;
      }
    }
  }
  return depth == 0 && roots == 1;
}

}  // namespace

CASE(mallinfo2_moves_with_small_blocks) {
  const size_t before = in_use();
  allocate_all(512);
  const size_t during = in_use();
  EXPECT(during >= before + kBlocks * 512);
  EXPECT(during <= before + kBlocks * 640);
  free_all();
  const size_t after = in_use();
  contract::say("in use: before %zu, during %zu, after %zu", before, during, after);
  EXPECT(after <= before + 4 * kMiB);
}

CASE(mallinfo2_moves_with_large_blocks) {
  const size_t before = in_use();
  void* large = malloc(50 * kMiB);
  void* huge = malloc(300 * kMiB);
  REQUIRE(large != nullptr && huge != nullptr);
  EXPECT(in_use() >= before + 350 * kMiB);
  EXPECT(in_use() <= before + 360 * kMiB);
  free(large);
  EXPECT(in_use() <= before + 310 * kMiB);
  free(huge);
  EXPECT(in_use() <= before + kMiB);
}

CASE(mallinfo2_counts_the_heap) {
  allocate_all(512);
  const struct mallinfo2 info = mallinfo2();
  EXPECT(info.arena + info.hblkhd >= kBlocks * 512);
  EXPECT(info.arena <= contract::virtual_bytes());
  EXPECT(info.uordblks <= info.arena);
  EXPECT(info.uordblks + info.fordblks <= info.arena + info.hblkhd);
  free_all();
}

CASE(mallinfo_agrees_with_mallinfo2) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo small = mallinfo();
#pragma GCC diagnostic pop
  const struct mallinfo2 info = mallinfo2();
  EXPECT_EQ(static_cast<size_t>(small.uordblks), info.uordblks);
  EXPECT_EQ(static_cast<size_t>(small.arena), info.arena);
}

CASE(malloc_trim_returns_memory) {
  malloc_trim(0);
  const size_t before = resident_bytes();
  allocate_all(kKiB);
  EXPECT(resident_bytes() >= before + 190 * kMiB);
  free_all();
  const int released = malloc_trim(0);
  EXPECT(released == 0 || released == 1);
  const size_t after = resident_bytes();
  contract::say("resident: before %zu, after %zu", before, after);
  EXPECT(after < before + 20 * kMiB);
  malloc_trim(0);
  malloc_trim(100 * kMiB);
  allocate_all(kKiB);
  free_all();
}

// Holes between blocks that live can be released too.
CASE(malloc_trim_returns_holes) {
  malloc_trim(0);
  const size_t before = resident_bytes();
  allocate_all(kKiB);
  for (size_t i = 0; i < kBlocks; ++i) {
    if (i % 1024 == 0) continue;
    free(block[i]);
    block[i] = nullptr;
  }
  EXPECT_EQ(malloc_trim(0), 1);
  const size_t after = resident_bytes();
  contract::say("resident: before %zu, after %zu", before, after);
  EXPECT(after < before + 30 * kMiB);
  free_all();
}

CASE(malloc_info_is_xml_with_numbers) {
  static char text[kMiB];
  allocate_all(100);
  int result = -1;
  const size_t length =
      capture(text, sizeof text, [&](FILE* file) { result = malloc_info(0, file); });
  EXPECT_EQ(result, 0);
  EXPECT(length > 100);
  EXPECT(is_well_formed(text));
  EXPECT(strstr(text, "<malloc version=") != nullptr);
  // Some number in it is of the size of the heap.
  size_t largest = 0;
  for (const char* at = text; *at != '\0';) {
    if (!isdigit(*at)) {
      ++at;
      continue;
    }
    size_t number = 0;
    for (; isdigit(*at); ++at) number = number * 10 + static_cast<size_t>(*at - '0');
    if (number > largest) largest = number;
  }
  EXPECT(largest >= kBlocks * 100);
  EXPECT(largest < 100 * kBlocks * 100);
  free_all();
}

CASE(malloc_info_refuses_unknown_options) {
  static char text[kKiB];
  int result = 0;
  const size_t length =
      capture(text, sizeof text, [&](FILE* file) { result = malloc_info(1, file); });
  EXPECT(result != 0);
  EXPECT_EQ(length, 0u);
}

static void* write_info(void* file) {
  return malloc_info(0, static_cast<FILE*>(file)) == 0 ? file : nullptr;
}

CASE(malloc_info_needs_little_stack) {
  static char text[kMiB];
  for (size_t size = 16; size < 100000; size += size / 8) free(malloc(size));
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  // The least that a thread may have is more on some processors.
  const size_t stack_bytes = std::max(size_t{16384}, static_cast<size_t>(PTHREAD_STACK_MIN));
  EXPECT_EQ(pthread_attr_setstacksize(&attributes, stack_bytes), 0);
  void* result = nullptr;
  capture(text, sizeof text, [&](FILE* file) {
    fputs(" ", file);
    pthread_t thread;
    // Thread-local variables may leave no room in the smallest stack.
    if (pthread_create(&thread, &attributes, write_info, file) != 0) {
      result = write_info(file);
    } else {
      pthread_join(thread, &result);
    }
  });
  pthread_attr_destroy(&attributes);
  EXPECT(result != nullptr);
  EXPECT(is_well_formed(text));
}

CASE(malloc_stats_prints_to_stderr) {
  static char text[64 * kKiB];
  const int saved = dup(2);
  const size_t length = capture(text, sizeof text, [&](FILE* file) {
    dup2(fileno(file), 2);
    malloc_stats();
    fflush(stderr);
    dup2(saved, 2);
  });
  close(saved);
  EXPECT(length > 20);
  bool has_digit = false;
  for (size_t i = 0; i < length; ++i) has_digit |= isdigit(text[i]) != 0;
  EXPECT(has_digit);
}

CASE(mallopt_is_harmless) {
  for (const int parameter : {M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX, M_MXFAST}) {
    const int result = mallopt(parameter, 64);
    EXPECT(result == 0 || result == 1);
  }
  void* one = malloc(100000);
  EXPECT(one != nullptr);
  free(one);
}

CASE(mallopt_answers_as_the_c_library_s) {
  EXPECT_EQ(mallopt(M_MXFAST, 160), 1);
  EXPECT_EQ(mallopt(M_MXFAST, 161), 0);
  EXPECT_EQ(mallopt(M_MXFAST, -1), 0);
  EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 30), 1);
  EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 1 << 30), 1);
  EXPECT_EQ(mallopt(M_TOP_PAD, 0), 1);
  EXPECT_EQ(mallopt(M_ARENA_MAX, 2), 1);
}

RUN_CASES()
