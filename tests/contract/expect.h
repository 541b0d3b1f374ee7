// Checks for programs that test malloc itself. Nothing here allocates memory, so a check never
// disturbs what it checks, and works when no memory is left.
#ifndef SPANMALLOC_TESTS_CONTRACT_EXPECT_H_
#define SPANMALLOC_TESTS_CONTRACT_EXPECT_H_

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

namespace contract {

// The exit status that ctest reads as "skipped".
inline constexpr int kSkipped = 77;

struct Case {
  const char* name;
  void (*run)();
  Case* next;
};

inline Case* first_case = nullptr;
inline Case** last_case = &first_case;
inline const char* current_case = "(outside a case)";
// Written by every thread of a test; only zero or not zero matters.
inline int failures = 0;

struct Registration {
  explicit Registration(Case* test) {
    *last_case = test;
    last_case = &test->next;
  }
};

// Writes one formatted line to stderr without stdio's buffers.
[[gnu::format(printf, 1, 2)]] inline void say(const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  const int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length < 0) return;
  size_t end = static_cast<size_t>(length);
  if (end > sizeof line - 2) end = sizeof line - 2;
  line[end] = '\n';
  if (write(2, line, end + 1) < 0) return;
}

inline void fail(const char* file, int line, const char* text) {
  __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
  const char* base = strrchr(file, '/');
  say("FAILED %s:%d in %s: %s", base == nullptr ? file : base + 1, line, current_case, text);
}

inline bool has_failed() {
  return __atomic_load_n(&failures, __ATOMIC_RELAXED) != 0;
}

// Hides a value from the optimiser: it can neither be computed nor be proved unused.
template <typename T>
inline T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

// Names of cases that another home of the library leaves out; see tests/homes.
#ifndef SPANMALLOC_TESTS_LEAVE_OUT_CASES
inline constexpr const char* kLeftOutCases[] = {""};
#endif

inline bool is_left_out(const char* name) {
  for (const char* left_out : kLeftOutCases) {
    if (strcmp(name, left_out) == 0) return true;
  }
  return false;
}

// Runs every case, or those named on the command line. Returns the exit status.
inline int run_cases(int argc, char** argv) {
  for (const Case* test = first_case; test != nullptr; test = test->next) {
    bool wanted = argc < 2;
    for (int i = 1; i < argc; ++i) wanted |= strcmp(argv[i], test->name) == 0;
    if (!wanted || is_left_out(test->name)) continue;
    current_case = test->name;
    test->run();
  }
  if (has_failed()) say("%d checks failed", failures);
  return has_failed() ? 1 : 0;
}

}  // namespace contract

#define CASE(name)                                                       \
  static void name();                                                    \
  static contract::Case name##_case{#name, name, nullptr};               \
  static const contract::Registration name##_registration{&name##_case}; \
  static void name()

#define EXPECT(condition)                                             \
  do {                                                                \
    if (!(condition)) contract::fail(__FILE__, __LINE__, #condition); \
  } while (false)

// As EXPECT, with both values (as signed numbers) in the message.
#define EXPECT_EQ(left, right)                                                      \
  do {                                                                              \
    const auto expect_left = (left);                                                \
    const auto expect_right = (right);                                              \
    if (!(expect_left == expect_right)) {                                           \
      contract::fail(__FILE__, __LINE__, #left " == " #right);                      \
      contract::say("  left %lld, right %lld", static_cast<long long>(expect_left), \
                    static_cast<long long>(expect_right));                          \
    }                                                                               \
  } while (false)

// As EXPECT, and leaves the function (which returns nothing) when the condition is false.
#define REQUIRE(condition)                            \
  do {                                                \
    if (!(condition)) {                               \
      contract::fail(__FILE__, __LINE__, #condition); \
      return;                                         \
    }                                                 \
  } while (false)

// A program of cases ends with this line.
#define RUN_CASES()                         \
  int main(int argc, char** argv) {         \
    return contract::run_cases(argc, argv); \
  }

#endif  // SPANMALLOC_TESTS_CONTRACT_EXPECT_H_
