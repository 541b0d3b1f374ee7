// What the heap is asked to do while the system refuses calls.
#ifndef SPANMALLOC_TESTS_FAULTS_OPERATIONS_H_
#define SPANMALLOC_TESTS_FAULTS_OPERATIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "faults/injector.h"

namespace faults {

// Of a usual operation each call is refused in turn until a run meets no refusal any more. Where
// the number of calls is large or depends on time and on other threads, some of as many as an
// undisturbed run makes.
enum class Calls : uint8_t { kOfTheOperation, kTooMany };

// Where the operation starts: in a forked copy of the test, or in a process of its own, whose heap
// nobody has used.
enum class Process : uint8_t { kForked, kExecuted };

struct Operation {
  const char* name;
  void (*prepare)();  // undisturbed; nullptr: nothing
  void (*run)();
  Calls calls = Calls::kOfTheOperation;
  Process process = Process::kForked;
  Hints hints = Hints::kFollowed;
};

extern const Operation kOperations[];
extern const size_t kOperationCount;

// A thread of the test, whose start the faults do not reach (that of its memory they do). Returns
// whether it ran.
bool run_in_threads(size_t count, void (*body)());

// The C library keeps stacks of ended threads, with a little memory of malloc for each: this makes
// it keep some for the threads of the test and one for the allocator's.
void fill_stack_cache();

}  // namespace faults

#endif  // SPANMALLOC_TESTS_FAULTS_OPERATIONS_H_
