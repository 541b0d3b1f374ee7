// SPANMALLOC_OPTIONS: what is wrong in it is reported once and ignored.
#include <stdlib.h>
#include <sys/mman.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

constexpr const char* kVariable = "SPANMALLOC_OPTIONS";
char report[65536];

// Runs this program again with the options, keeps what it writes to stderr, returns its status.
int run_with(const char* options, const char* program = "child") {
  const int file = memfd_create("report", 0);
  if (file < 0) return -1;
  setenv(kVariable, options, 1);
  const int saved = dup(2);
  dup2(file, 2);
  const int status = contract::run_self(program, 20);
  dup2(saved, 2);
  close(saved);
  unsetenv(kVariable);
  const ssize_t length = pread(file, report, sizeof report - 1, 0);
  report[length > 0 ? length : 0] = '\0';
  close(file);
  return status;
}

int count_lines() {
  int lines = 0;
  for (const char* at = report; *at != '\0'; ++at) lines += *at == '\n' ? 1 : 0;
  return lines;
}

// Sets an option of the library that is in force, if it knows options.
int set_option(const char* name, uint64_t value) {
  const auto set = reinterpret_cast<int (*)(const char*, uint64_t)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_set_option"));
  return set != nullptr ? set(name, value) : -1;
}

int child() {
  for (size_t size = 1; size < (size_t{50} << 20); size = size * 2 + 1) {
    void* block = malloc(size);
    if (block == nullptr) return 3;
    free(block);
  }
  return 7;
}

}  // namespace

CASE(no_options_are_silent) {
  EXPECT_EQ(run_with(""), 7);
  EXPECT_EQ(count_lines(), 0);
}

CASE(unknown_options_are_reported_once) {
  EXPECT_EQ(run_with("no_such_option=1"), 7);
  EXPECT_EQ(count_lines(), 1);
  EXPECT(strstr(report, "spanmalloc: ") == report);
  EXPECT(strstr(report, "no_such_option") != nullptr);
}

CASE(every_wrong_option_is_reported) {
  EXPECT_EQ(run_with("first=1:second=2::third"), 7);
  EXPECT_EQ(count_lines(), 3);
  EXPECT(strstr(report, "first") != nullptr);
  EXPECT(strstr(report, "second") != nullptr);
  EXPECT(strstr(report, "third") != nullptr);
}

CASE(help_lists_the_options) {
  EXPECT_EQ(run_with("help"), 7);
  EXPECT(count_lines() >= 1);
  EXPECT(strstr(report, "=") != nullptr);
}

CASE(statistics_are_written_at_the_end) {
  EXPECT_EQ(run_with("stats=1"), 7);
  EXPECT(count_lines() > 5);
  EXPECT(strstr(report, "mapped") != nullptr);
}

CASE(statistics_may_be_asked_for_or_given_up_later) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_with("", "late_statistics"), 7);
  EXPECT(count_lines() > 5);
  EXPECT(strstr(report, "mapped") != nullptr);
  EXPECT_EQ(run_with("stats=1", "no_statistics"), 7);
  EXPECT_EQ(count_lines(), 0);
}

CASE(nonsense_is_survived) {
  static char longest[8000];
  memset(longest, 'x', sizeof longest - 1);
  EXPECT_EQ(run_with(longest), 7);
  EXPECT_EQ(run_with(":::=:=::help=:=1"), 7);
  EXPECT_EQ(run_with("\xff\xfe%s%n=\x01"), 7);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return child();
  if (argc > 1 && strcmp(argv[1], "late_statistics") == 0) {
    return set_option("stats", 1) == 0 && set_option("stats", 1) == 0 ? 7 : 3;
  }
  if (argc > 1 && strcmp(argv[1], "no_statistics") == 0) {
    return set_option("stats", 0) == 0 ? 7 : 3;
  }
  return contract::run_cases(argc, argv);
}
