// A program that is not position independent and takes addresses of functions, which are then
// addresses in the program itself, for the library too. It has no malloc of its own.
#include <stdlib.h>

#include <new>

#include "contract/expect.h"
#include "contract/process.h"

extern "C" void free_sized(void* block, size_t size) __attribute__((weak));
extern "C" char __executable_start;
extern "C" char end;

namespace {

using contract::opaque;

using New = void*(size_t);

// Whether the address of a function is one in the program.
template <typename Function>
bool is_in_program(Function* function) {
  const char* address = reinterpret_cast<const char*>(opaque(function));
  return address >= &__executable_start && address < &end;
}

constexpr double kSeconds = 30;

}  // namespace

CASE(wrong_sizes_are_told) {
  REQUIRE(is_in_program(&malloc) && is_in_program(static_cast<New*>(&operator new)));
  const int by_free = contract::run_in_child(kSeconds, [] { free_sized(opaque(malloc(64)), 40); });
  EXPECT_EQ(by_free, -SIGABRT);
  const int by_delete = contract::run_in_child(
      kSeconds, [] { operator delete (opaque(operator new(64)), size_t{40}); });
  EXPECT_EQ(by_delete, -SIGABRT);
}

CASE(right_sizes_are_taken) {
  free_sized(opaque(malloc(64)), 64);
  operator delete (opaque(operator new(64)), size_t{64});
}

RUN_CASES()
