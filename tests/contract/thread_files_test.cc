// The background thread has no part in the open files of the program: what it reads never takes a
// descriptor that the program counts on, and it keeps nothing open. The environment makes its clock
// tick every 10 ms.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;

using Callback = void (*)(int reason, size_t excess, void* context);
using SetCallback = int (*)(Callback callback, void* context);
using SetLimit = int (*)(size_t bytes, int kind);

constexpr double kSeconds = 20;

// Makes a heap that is large enough for the thread. False when it does not come.
bool get_thread() {
  for (int count = 0; count < 1000; ++count) {
    void* block = malloc(64 << 10);
    if (block == nullptr) return false;
    memset(contract::opaque(block), 1, 64 << 10);
  }
  return contract::becomes_true(kSeconds, [] { return contract::count_threads() == 2; });
}

// The entries of a folder with numbers for names, or the first of them but `own`.
int count_numbers(const char* path, int own, int* other) {
  DIR* folder = opendir(path);
  if (folder == nullptr) return -1;
  int count = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    ++count;
    const int number = atoi(entry->d_name);
    if (number != own && other != nullptr) *other = number;
  }
  closedir(folder);
  return count;
}

bool has_no_files(int thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/fd", thread);
  return count_numbers(path, 0, nullptr) == 0;
}

bool leaves_files() {
  const int thread = [] {
    int found = 0;
    count_numbers("/proc/self/task", getpid(), &found);
    return found;
  }();
  return thread != 0 && contract::becomes_true(kSeconds, [=] { return has_no_files(thread); });
}

// Not before Linux 5.9, nor under a filter that was there before the program.
bool can_leave_files() {
  const bool can = syscall(SYS_close_range, ~0U, ~0U, 0) == 0 && prctl(PR_GET_SECCOMP) == 0;
  if (!can) contract::say("note: threads cannot leave files here");
  return can;
}

int written = -1;

void write_a_letter(int, size_t, void*) {
  if (write(written, "x", 1) != 1) _exit(9);
}

void set_function_later() {
  const auto set_callback =
      reinterpret_cast<SetCallback>(dlsym(RTLD_DEFAULT, "spanmalloc_set_pressure_callback"));
  const auto set_limit =
      reinterpret_cast<SetLimit>(dlsym(RTLD_DEFAULT, "spanmalloc_set_memory_limit"));
  REQUIRE(set_callback != nullptr && set_limit != nullptr);
  REQUIRE(get_thread());
  EXPECT(!can_leave_files() || leaves_files());
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  written = ends[1];
  EXPECT_EQ(set_callback(write_a_letter, nullptr), 0);
  EXPECT_EQ(set_limit(32 * kMiB, 0), 0);
  pollfd end{ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&end, 1, 20000), 1);
}

// Its lines are all that it writes.
int tracing_child() {
  if (!get_thread()) return 2;
  contract::sleep_milliseconds(60000);
  return 3;
}

}  // namespace

CASE(the_thread_has_no_descriptor_of_the_programs) {
  if (contract::not_promised_by_libc() || !can_leave_files()) return;
  EXPECT_EQ(contract::run_in_child(3 * kSeconds,
                                   [] {
                                     REQUIRE(get_thread());
                                     EXPECT(leaves_files());
                                     EXPECT(count_numbers("/proc/self/fd", 0, nullptr) > 0);
                                   }),
            0);
}

// By the raw call, of which the library does not know.
CASE(a_file_that_the_program_no_longer_shares_is_closed) {
  if (contract::not_promised_by_libc() || !can_leave_files()) return;
  EXPECT_EQ(contract::run_in_child(3 * kSeconds,
                                   [] {
                                     int ends[2];
                                     REQUIRE(pipe(ends) == 0);
                                     REQUIRE(get_thread() && leaves_files());
                                     REQUIRE(syscall(SYS_unshare, CLONE_FILES) == 0);
                                     close(ends[1]);
                                     pollfd end{ends[0], POLLIN, 0};
                                     EXPECT(poll(&end, 1, 5000) == 1 && end.revents == POLLHUP);
                                   }),
            0);
}

// A socket can only be handed over, not opened again.
CASE(lines_of_the_thread_reach_standard_error) {
  if (contract::not_promised_by_libc()) return;
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    setenv("SPANMALLOC_OPTIONS", "epoch_ms=10:trace=scavenger", 1);
    execl("/proc/self/exe", "self", "trace", static_cast<char*>(nullptr));
    _exit(127);
  }
  close(ends[1]);
  pollfd end{ends[0], POLLIN, 0};
  char text[512] = "";
  EXPECT_EQ(poll(&end, 1, 20000), 1);
  EXPECT(read(ends[0], text, sizeof text - 1) > 0);
  EXPECT(strstr(text, "spanmalloc: scavenger: ") != nullptr);
  close(ends[0]);
  kill(child, SIGKILL);
  EXPECT_EQ(contract::wait_for(child, kSeconds), -SIGKILL);
}

CASE(a_function_that_is_set_later_has_the_programs_files) {
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(contract::run_in_child(3 * kSeconds, set_function_later), 0);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "trace") == 0) return tracing_child();
  return contract::run_cases(argc, argv);
}
