// Memory that stays in use comes to lie in huge pages, goes back all the same when it is freed, and
// a small program stays small whatever the system's setting is.
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace {

using contract::kKiB;
using contract::kMiB;
using contract::resident_bytes;

constexpr char kSetting[] = "/sys/kernel/mm/transparent_hugepage/enabled";

bool write_setting(const char* value) {
  const int file = open(kSetting, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = write(file, value, strlen(value)) > 0;
  close(file);
  return written;
}

// Bytes of this process in huge pages.
size_t huge_bytes() {
  char text[4 * kKiB];
  if (!contract::read_text("/proc/self/smaps_rollup", text)) return 0;
  const char* line = strstr(text, "AnonHugePages:");
  return line != nullptr ? strtoul(line + strlen("AnonHugePages:"), nullptr, 10) * kKiB : 0;
}

bool system_has_huge_pages() {
  char text[256];
  if (!contract::read_text(kSetting, text) || strstr(text, "[never]") != nullptr) return false;
  constexpr size_t kHuge = 2 * kMiB;
  char* memory = static_cast<char*>(
      mmap(nullptr, 2 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return false;
  memset(memory, 1, 2 * kHuge);
  char* aligned = memory + (kHuge - reinterpret_cast<uintptr_t>(memory) % kHuge) % kHuge;
  const bool done = madvise(aligned, kHuge, MADV_COLLAPSE) == 0;
  munmap(memory, 2 * kHuge);
  return done;
}

constexpr double kMostSeconds = 40;

int run_case_with_options(const char* name, const char* options) {
  setenv("SPANMALLOC_OPTIONS", options, 1);
  const int result = contract::run_self(name, 100);
  unsetenv("SPANMALLOC_OPTIONS");
  return result;
}

bool is_asked_for(const char* name) {
  const char* asked = getenv("CONTRACT_HUGE_PAGES");
  return asked != nullptr && strcmp(asked, name) == 0;
}

constexpr size_t kBlocks = 700000;
constexpr size_t kSize = 256;
// A page keeps a block with a probability of a quarter.
constexpr size_t kKeptOf = 64;
void* block[kBlocks];

}  // namespace

// Epochs are short here, so that it does not take long; what happens is the same.
CASE(dense_memory_lies_in_huge_pages_and_goes_back) {
  if (contract::not_promised_by_libc()) return;
  if (!is_asked_for("dense")) {
    if (!system_has_huge_pages()) {
      contract::say("note: this system has no huge pages for those who ask");
      return;
    }
    setenv("CONTRACT_HUGE_PAGES", "dense", 1);
    EXPECT_EQ(
        run_case_with_options(contract::current_case, "epoch_ms=100:scavenger_cpu_percent=20"), 0);
    unsetenv("CONTRACT_HUGE_PAGES");
    return;
  }
  for (size_t i = 0; i < kBlocks; ++i) {
    block[i] = malloc(kSize);
    REQUIRE(block[i] != nullptr);
    contract::fill(block[i], kSize, i);
  }
  const size_t full = resident_bytes();
  EXPECT(contract::becomes_true(kMostSeconds, [] { return huge_bytes() >= 32 * kMiB; }));
  contract::say("resident %zu MiB, in huge pages %zu MiB", full / kMiB, huge_bytes() / kMiB);
  // Nothing is backed that was not before.
  EXPECT(resident_bytes() < full + 4 * kMiB);
  contract::Random random(5);
  for (size_t i = 0; i < kBlocks; ++i) {
    if (random.below(kKeptOf) == 0) continue;
    free(block[i]);
    block[i] = nullptr;
  }
  EXPECT(contract::becomes_true(kMostSeconds, [full] { return resident_bytes() < full / 2; }));
  contract::say("thinned out: resident %zu MiB", resident_bytes() / kMiB);
  for (size_t i = 0; i < kBlocks; ++i) {
    EXPECT(block[i] == nullptr || contract::is_filled(block[i], kSize, i));
    free(block[i]);
  }
}

CASE(none_are_asked_for_when_that_is_switched_off) {
  if (contract::not_promised_by_libc()) return;
  if (!is_asked_for("off")) {
    setenv("CONTRACT_HUGE_PAGES", "off", 1);
    EXPECT_EQ(run_case_with_options(contract::current_case,
                                    "huge_pages=off:epoch_ms=20:scavenger_cpu_percent=20"),
              0);
    unsetenv("CONTRACT_HUGE_PAGES");
    return;
  }
  char text[256];
  (void)contract::read_text(kSetting, text);
  for (size_t i = 0; i < kBlocks; ++i) {
    block[i] = malloc(kSize);
    REQUIRE(block[i] != nullptr);
    contract::fill(block[i], kSize, i);
  }
  contract::sleep_milliseconds(1000);
  EXPECT(strstr(text, "[always]") != nullptr || huge_bytes() == 0);
}

// Under each setting of the system, where this test may change it, for a moment.
CASE(a_small_program_is_small_under_every_setting) {
  if (is_asked_for("small")) {
    void* one = malloc(100);
    REQUIRE(one != nullptr);
    memset(one, 1, 100);
    contract::say("resident %zu KiB", resident_bytes() / kKiB);
    // Its libraries are 3 MiB at most; a huge page would make it more than that.
    EXPECT(huge_bytes() == 0);
    return;
  }
  char before[256];
  if (!contract::read_text(kSetting, before)) {
    contract::say("note: this system has no huge pages");
    return;
  }
  char* end = strchr(before, ']');
  const char* chosen = strchr(before, '[');
  REQUIRE(chosen != nullptr && end != nullptr);
  *end = '\0';
  setenv("CONTRACT_HUGE_PAGES", "small", 1);
  for (const char* setting : {"never", "always", "madvise", chosen + 1}) {
    if (!write_setting(setting)) {
      contract::say("note: the setting cannot be changed to %s here", setting);
      continue;
    }
    EXPECT_EQ(contract::run_self(contract::current_case, 10), 0);
  }
  unsetenv("CONTRACT_HUGE_PAGES");
}

RUN_CASES()
