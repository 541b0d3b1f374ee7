// The first touch of memory that the process did not have before. Since that can be done but once
// in a process, each iteration starts the program again.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "api.h"

extern char** environ;

namespace micro {
namespace {

constexpr size_t kBlockBytes = 200;

// The nanoseconds that a new process printed; negative when it failed.
double run_in_new_process(size_t bytes) {
  int ends[2];
  if (pipe(ends) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = "bench.micro_api";
  std::string flag = "--touch-fresh";
  std::string size = std::to_string(bytes);
  char* arguments[] = {program.data(), flag.data(), size.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char text[64] = {};
  const ssize_t length = error == 0 ? read(ends[0], text, sizeof(text) - 1) : 0;
  close(ends[0]);
  int status = 0;
  if (error != 0 || waitpid(child, &status, 0) != child || status != 0 || length <= 0) return -1;
  return std::strtod(text, nullptr);
}

void first_touch(benchmark::State& state, size_t bytes) {
  for (auto _ : state) {
    const double nanoseconds = run_in_new_process(bytes);
    if (nanoseconds < 0) return state.SkipWithError("the new process failed");
    state.SetIterationTime(nanoseconds * 1e-9);
  }
  report_time_each(state, bytes / kBlockBytes);
}

}  // namespace

// Blocks of 200 bytes, each written as a whole.
void touch_fresh_memory(size_t bytes) {
  const auto start = std::chrono::steady_clock::now();
  for (size_t left = bytes; left >= kBlockBytes; left -= kBlockBytes) {
    char* block = static_cast<char*>(std::malloc(kBlockBytes));
    if (block == nullptr) std::abort();
    for (size_t at = 0; at < kBlockBytes; at += 8) {
      *reinterpret_cast<volatile uint64_t*>(block + at) = left;
    }
  }
  const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
  std::printf("%.0f\n", taken.count());
}

void register_fresh() {
  constexpr size_t kMB = 1000 * 1000;
  for (const size_t megabytes : {20, 200}) {
    add("first_touch/" + std::to_string(megabytes) + "MB",
        [megabytes](benchmark::State& state) { first_touch(state, megabytes * kMB); })
        ->UseManualTime()
        ->Iterations(3)
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace micro
