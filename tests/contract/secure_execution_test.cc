// A program that runs with more rights than its caller (AT_SECURE) takes no options from it. The
// loader leaves a preloaded library out of such a program, so this one is linked with the archive.
// It makes a copy of itself that belongs to another user or group, whose rights it takes on.
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "contract/expect.h"
#include "contract/process.h"
#include "spanmalloc/spanmalloc.h"

namespace {

constexpr int kDefaults = 10;
constexpr int kOptionsRead = 11;
constexpr int kNotSecure = 20;  // added to one of the two

// One that changes a value, one that writes to standard error, one that writes at the end.
constexpr const char* kOptions = "retain_percent=33:no_such_option=1:stats=1";

char report[4096];
char copy[4096];

int child() {
  free(malloc(100000));
  uint64_t percent = 0;
  if (spanmalloc_get_option("retain_percent", &percent) != 0) return 1;
  const int seen = percent == 33 ? kOptionsRead : kDefaults;
  return getauxval(AT_SECURE) != 0 ? seen : kNotSecure + seen;
}

bool copy_self() {
  const ssize_t length = readlink("/proc/self/exe", copy, sizeof copy - 32);
  if (length <= 0) return false;
  snprintf(copy + length, 32, ".copy-%d", static_cast<int>(getpid()));
  const int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  const int to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
  struct stat status {};
  bool good = from >= 0 && to >= 0 && fstat(from, &status) == 0;
  while (good && lseek(to, 0, SEEK_CUR) < status.st_size) {
    good = sendfile(to, from, nullptr, static_cast<size_t>(status.st_size)) > 0;
  }
  close(from);
  close(to);
  return good;
}

// Gives the copy another owner or group and the bit for it; false where this user has none to give.
bool take_on_rights() {
  constexpr uid_t kNobody = 65534;
  if (geteuid() == 0) return chown(copy, kNobody, kNobody) == 0 && chmod(copy, 04755) == 0;
  gid_t groups[64];
  const int count = getgroups(64, groups);
  for (int i = 0; i < count; ++i) {
    if (groups[i] == getegid() || chown(copy, static_cast<uid_t>(-1), groups[i]) != 0) continue;
    return chmod(copy, 02755) == 0;
  }
  return false;
}

// Runs the copy with the options and keeps what it writes to standard error.
int run_copy() {
  const int file = memfd_create("report", 0);
  if (file < 0) return -1;
  const pid_t process = fork();
  if (process == 0) {
    setenv("SPANMALLOC_OPTIONS", kOptions, 1);
    dup2(file, 2);
    execl(copy, "copy", "child", static_cast<char*>(nullptr));
    _exit(127);
  }
  const int status = process < 0 ? -1 : contract::wait_for(process, 20);
  const ssize_t length = pread(file, report, sizeof report - 1, 0);
  report[length > 0 ? length : 0] = '\0';
  close(file);
  return status;
}

int test() {
  EXPECT(copy_self());
  EXPECT_EQ(run_copy(), kNotSecure + kOptionsRead);
  EXPECT(strstr(report, "no_such_option") != nullptr);
  if (!take_on_rights()) return contract::kSkipped;
  const int status = run_copy();
  // The folder is mounted nosuid, or this process may not gain rights.
  if (status == kNotSecure + kOptionsRead) return contract::kSkipped;
  EXPECT_EQ(status, kDefaults);
  EXPECT(report[0] == '\0');
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child") == 0) return child();
  contract::current_case = "secure execution";
  const int result = test();
  unlink(copy);
  return contract::has_failed() ? 1 : result;
}
