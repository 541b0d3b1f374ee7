// The plugin of late_runtime_test: what operator new does when memory has run out.
#include <stdint.h>

#include <new>

#include "contract/expect.h"

namespace {

using contract::opaque;
using std::align_val_t;
using std::nothrow;

constexpr align_val_t kTo{64};

int calls = 0;

void give_up_at_the_third_call() {
  if (++calls == 3) std::set_new_handler(nullptr);
}

struct OutOfLuck : std::bad_alloc {};

void throw_out_of_luck() {
  ++calls;
  throw OutOfLuck();
}

size_t too_large() {
  return opaque(size_t{PTRDIFF_MAX} - 100000);
}

template <typename Error, typename Call>
bool throws(Call call) {
  try {
    contract::say("got %p", call());
  } catch (const Error&) {
    return true;
  }
  return false;
}

// Calls check(call) for each form with throw, or each without.
template <typename Check>
void for_each_throwing(Check check) {
  check([] { return ::operator new(too_large()); });
  check([] { return ::operator new[](too_large()); });
  check([] { return ::operator new(too_large(), kTo); });
  check([] { return ::operator new[](too_large(), kTo); });
}
template <typename Check>
void for_each_nothrow(Check check) {
  check([] { return ::operator new(too_large(), nothrow); });
  check([] { return ::operator new[](too_large(), nothrow); });
  check([] { return ::operator new(too_large(), kTo, nothrow); });
  check([] { return ::operator new[](too_large(), kTo, nothrow); });
}

}  // namespace

CASE(blocks_come_and_go) {
  delete opaque(new int(1));
  delete[] opaque(new int[1000]);
  delete[] opaque(new (nothrow) int[1000]);
}

CASE(without_a_handler) {
  for_each_nothrow([](auto call) { EXPECT(call() == nullptr); });
  for_each_throwing([](auto call) { EXPECT(throws<std::bad_alloc>(call)); });
}

CASE(the_handler_is_called_until_it_resigns) {
  const auto expect_three_calls = [](auto check) {
    calls = 0;
    std::set_new_handler(give_up_at_the_third_call);
    check();
    EXPECT_EQ(calls, 3);
  };
  for_each_nothrow([&](auto call) { expect_three_calls([&] { EXPECT(call() == nullptr); }); });
  for_each_throwing(
      [&](auto call) { expect_three_calls([&] { EXPECT(throws<std::bad_alloc>(call)); }); });
}

CASE(an_exception_of_the_handler) {
  calls = 0;
  std::set_new_handler(throw_out_of_luck);
  for_each_nothrow([](auto call) { EXPECT(call() == nullptr); });
  for_each_throwing([](auto call) { EXPECT(throws<OutOfLuck>(call)); });
  EXPECT_EQ(calls, 8);
  std::set_new_handler(nullptr);
}

extern "C" __attribute__((visibility("default"))) int run_plugin(int argc, char** argv) {
  return contract::run_cases(argc, argv);
}
