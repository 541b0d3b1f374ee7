// Assertions. A violation is a fault of the allocator (or memory of it that the program
// overwrote): one sentence on standard error, then abort.
#ifndef SPANMALLOC_BASE_CHECK_H_
#define SPANMALLOC_BASE_CHECK_H_

#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "platform/compiler.h"

namespace spanmalloc {

// Writes "spanmalloc: <sentence>" and a line break to standard error, then aborts.
[[noreturn]] SPANMALLOC_COLD void fatal(const char* sentence);

[[noreturn]] SPANMALLOC_COLD void check_failed(const char* sentence, const char* file, int line);

// Whether more was taken off a counter than was added: of nothing that fits into memory are there
// so many.
constexpr bool is_below_zero(size_t count) {
  return count > SIZE_MAX / 2;
}

}  // namespace spanmalloc

// Always tested. `sentence` says what is wrong when the condition is false.
#define SPANMALLOC_CHECK(condition, sentence)                        \
  do {                                                               \
    if (SPANMALLOC_UNLIKELY(!(condition))) {                         \
      ::spanmalloc::check_failed(sentence, __FILE_NAME__, __LINE__); \
    }                                                                \
  } while (false)

// Tested in builds without NDEBUG only; the condition always compiles.
#define SPANMALLOC_DCHECK(condition, sentence)                                       \
  do {                                                                               \
    if constexpr (::spanmalloc::kDebugChecks) SPANMALLOC_CHECK(condition, sentence); \
  } while (false)

#endif  // SPANMALLOC_BASE_CHECK_H_
