// What a test asks of its own process and of its children. Nothing here allocates memory.
#ifndef SPANMALLOC_TESTS_CONTRACT_PROCESS_H_
#define SPANMALLOC_TESTS_CONTRACT_PROCESS_H_

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "contract/expect.h"

namespace contract {

inline constexpr size_t kKiB = size_t{1} << 10;
inline constexpr size_t kMiB = size_t{1} << 20;
inline constexpr size_t kGiB = size_t{1} << 30;

// Reads the beginning of a file as a string; false when there is none.
template <size_t capacity>
bool read_text(const char* path, char (&text)[capacity]) {
  text[0] = '\0';
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const ssize_t length = read(file, text, capacity - 1);
  close(file);
  if (length > 0) text[length] = '\0';
  return length > 0;
}

// The numbers of /proc/self/statm: total virtual pages, resident pages.
inline size_t statm_bytes(int field) {
  char text[256];
  if (!read_text("/proc/self/statm", text)) return 0;
  const char* at = text;
  for (int i = 0; i < field; ++i) {
    at = strchr(at, ' ');
    if (at == nullptr) return 0;
    ++at;
  }
  size_t pages = 0;
  for (; *at >= '0' && *at <= '9'; ++at) pages = pages * 10 + static_cast<size_t>(*at - '0');
  return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

inline size_t virtual_bytes() {
  return statm_bytes(0);
}
inline size_t resident_bytes() {
  return statm_bytes(1);
}

// Seconds of the monotonic clock.
inline double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline void sleep_milliseconds(long milliseconds) {
  timespec time{milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
}

// The threads that the kernel counts; 0 where it does not tell.
inline size_t count_threads() {
  char text[2048];
  if (!read_text("/proc/self/status", text)) return 0;
  const char* line = strstr(text, "\nThreads:");
  return line == nullptr ? 0 : strtoul(line + 9, nullptr, 10);
}

// Whether the condition comes true within `seconds`; it is asked again and again.
template <typename Condition>
bool becomes_true(double seconds, Condition condition) {
  const double end = now() + seconds;
  while (!condition()) {
    if (now() > end) return false;
    sleep_milliseconds(5);
  }
  return true;
}

// Waits until no more than `bound` bytes are resident, or `seconds` have passed. Returns the bytes
// last read: the kernel's count is summed up from parts and may differ at the next look.
inline size_t wait_until_resident(size_t bound, double seconds) {
  const double end = now() + seconds;
  size_t resident = resident_bytes();
  while (resident > bound && now() < end) {
    sleep_milliseconds(20);
    resident = resident_bytes();
  }
  return resident;
}

// True if the malloc of this process is the C library's, that is, nothing is preloaded.
inline bool malloc_is_from_libc() {
  Dl_info info{};
  void* symbol = dlsym(RTLD_DEFAULT, "malloc");
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return false;
  return strstr(info.dli_fname, "libc.so") != nullptr;
}

// Says that a promise is not the C library's. Returns whether to leave the case.
inline bool not_promised_by_libc() {
  if (!malloc_is_from_libc()) return false;
  say("note: %s is not checked against the C library's malloc", current_case);
  return true;
}

inline constexpr int kHung = -1000;

// Waits for a child. Returns its exit status, minus the signal that ended it, or kHung after
// `seconds` (the child is killed then).
inline int wait_for(pid_t child, double seconds) {
  const double deadline = now() + seconds;
  for (long pause = 0;; pause = pause < 10 ? pause + 1 : 10) {
    int status = 0;
    const pid_t got = waitpid(child, &status, WNOHANG);
    if (got == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (got < 0 && errno != EINTR) return -errno;
    if (now() > deadline) break;
    sleep_milliseconds(pause);
  }
  say("child %d hangs", static_cast<int>(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return kHung;
}

// Runs `body` in a forked child, which exits with 1 if a check failed in it. Returns as wait_for.
template <typename Body>
inline int run_in_child(double seconds, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    failures = 0;
    body();
    _exit(has_failed() ? 1 : 0);
  }
  return child < 0 ? -errno : wait_for(child, seconds);
}

// Executes this program again with one argument, under a limit. Returns as wait_for.
inline int run_self(const char* argument, double seconds, int resource, rlim_t limit) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limits{limit, limit};
    if (limit != RLIM_INFINITY) setrlimit(static_cast<__rlimit_resource>(resource), &limits);
    execl("/proc/self/exe", "self", argument, static_cast<char*>(nullptr));
    _exit(127);
  }
  return child < 0 ? -errno : wait_for(child, seconds);
}

inline int run_self(const char* argument, double seconds) {
  return run_self(argument, seconds, RLIMIT_AS, RLIM_INFINITY);
}

// A small generator of numbers for tests (xorshift64*).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}

  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1du;
  }

  // A number in [0, limit). REQUIRES: limit > 0.
  size_t below(size_t limit) { return static_cast<size_t>(next() >> 11) % limit; }

 private:
  uint64_t state_;
};

// Fills a block with bytes that depend on `seed` and the position.
inline void fill(void* block, size_t size, uint64_t seed) {
  unsigned char* bytes = static_cast<unsigned char*>(block);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t word = (seed + i) * 0x9e3779b97f4a7c15u;
    memcpy(bytes + i, &word, 8);
  }
  for (; i < size; ++i) bytes[i] = static_cast<unsigned char>(seed + i);
}

// True if the first `size` bytes are what fill() with the same seed and a size of `filled` wrote.
// REQUIRES: size <= filled.
inline bool is_filled(const void* block, size_t size, size_t filled, uint64_t seed) {
  const unsigned char* bytes = static_cast<const unsigned char*>(block);
  const size_t words_end = filled / 8 * 8;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t word = (seed + i) * 0x9e3779b97f4a7c15u;
    if (memcmp(bytes + i, &word, 8) != 0) return false;
  }
  const uint64_t last = (seed + i) * 0x9e3779b97f4a7c15u;
  unsigned char tail[8];
  memcpy(tail, &last, 8);
  for (size_t j = i; j < size; ++j) {
    const unsigned char want = j < words_end ? tail[j - i] : static_cast<unsigned char>(seed + j);
    if (bytes[j] != want) return false;
  }
  return true;
}

inline bool is_filled(const void* block, size_t size, uint64_t seed) {
  return is_filled(block, size, size, seed);
}

// True if every byte of the block is zero.
inline bool is_zero(const void* block, size_t size) {
  const unsigned char* bytes = static_cast<const unsigned char*>(block);
  size_t i = 0;
  for (; i < size && reinterpret_cast<uintptr_t>(bytes + i) % 8 != 0; ++i) {
    if (bytes[i] != 0) return false;
  }
  for (; i + 8 <= size; i += 8) {
    uint64_t word;
    memcpy(&word, bytes + i, 8);
    if (word != 0) return false;
  }
  for (; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

inline bool is_aligned(const void* block, size_t alignment) {
  return (reinterpret_cast<uintptr_t>(block) & (alignment - 1)) == 0;
}

}  // namespace contract

#endif  // SPANMALLOC_TESTS_CONTRACT_PROCESS_H_
