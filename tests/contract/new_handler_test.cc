// The loop over std::get_new_handler() in every form of operator new.
#include <stdlib.h>

#include <new>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kMiB;
using contract::opaque;
using std::align_val_t;
using std::nothrow;

int calls = 0;

void give_up_at_the_third_call() {
  if (++calls == 3) std::set_new_handler(nullptr);
}

struct OutOfLuck : std::bad_alloc {};

void throw_out_of_luck() {
  ++calls;
  throw OutOfLuck();
}

void* reserve = nullptr;

void free_the_reserve() {
  ++calls;
  if (reserve == nullptr) throw std::bad_alloc();
  free(reserve);
  reserve = nullptr;
}

size_t too_large() {
  return opaque(size_t{PTRDIFF_MAX} - 100000);
}

template <typename Call>
void expect_three_calls_and_bad_alloc(Call call) {
  calls = 0;
  std::set_new_handler(give_up_at_the_third_call);
  bool caught = false;
  try {
    call();
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  EXPECT(caught);
  EXPECT_EQ(calls, 3);
}

template <typename Call>
void expect_three_calls_and_null(Call call) {
  calls = 0;
  std::set_new_handler(give_up_at_the_third_call);
  EXPECT(call() == nullptr);
  EXPECT_EQ(calls, 3);
}

}  // namespace

CASE(the_handler_is_called_until_it_resigns) {
  expect_three_calls_and_bad_alloc([] { return ::operator new(too_large()); });
  expect_three_calls_and_bad_alloc([] { return ::operator new[](too_large()); });
  expect_three_calls_and_null([] { return ::operator new(too_large(), nothrow); });
  expect_three_calls_and_null([] { return ::operator new[](too_large(), nothrow); });
}

CASE(the_handler_is_called_by_aligned_forms) {
  const align_val_t alignment{64};
  expect_three_calls_and_bad_alloc([=] { return ::operator new(too_large(), alignment); });
  expect_three_calls_and_bad_alloc([=] { return ::operator new[](too_large(), alignment); });
  expect_three_calls_and_null([=] { return ::operator new(too_large(), alignment, nothrow); });
  expect_three_calls_and_null([=] { return ::operator new[](too_large(), alignment, nothrow); });
}

CASE(an_exception_of_the_handler_passes) {
  std::set_new_handler(throw_out_of_luck);
  calls = 0;
  bool caught = false;
  try {
    ::operator delete(::operator new(too_large()));
  } catch (const OutOfLuck&) {
    caught = true;
  }
  EXPECT(caught);
  EXPECT(::operator new(too_large(), nothrow) == nullptr);
  EXPECT(::operator new (too_large(), align_val_t{64}, nothrow) == nullptr);
  EXPECT_EQ(calls, 3);
  std::set_new_handler(nullptr);
}

CASE(malloc_does_not_call_the_handler) {
  std::set_new_handler(throw_out_of_luck);
  calls = 0;
  EXPECT(malloc(too_large()) == nullptr);
  EXPECT_EQ(calls, 0);
  std::set_new_handler(nullptr);
}

// Executed again under a limit: the handler frees memory, and the same call then succeeds.
CASE(a_handler_that_frees_memory_helps) {
  const int status = contract::run_self("child_under_limit", 20, RLIMIT_AS, 300 * kMiB);
  EXPECT_EQ(status, 0);
}

static void child_under_limit() {
  reserve = malloc(100 * kMiB);
  REQUIRE(reserve != nullptr);
  static void* block[20000];
  size_t count = 0;
  std::set_new_handler(free_the_reserve);
  calls = 0;
  while (reserve != nullptr && count < 20000) block[count++] = ::operator new(100000);
  EXPECT_EQ(calls, 1);
  EXPECT(count > 100 && count < 20000);
  while (count > 0) ::operator delete(block[--count]);
}

int main(int argc, char** argv) {
  if (argc > 1 && strcmp(argv[1], "child_under_limit") == 0) {
    child_under_limit();
    return contract::has_failed() ? 1 : 0;
  }
  return contract::run_cases(argc, argv);
}
