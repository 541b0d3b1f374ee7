// A program that replaces only operator new(size_t) and operator delete(void*). All other forms
// without alignment must reach these two ([new.delete]), those with alignment must not.
#include <stdlib.h>

#include <new>

#include "contract/expect.h"
#include "contract/marked_blocks.h"
#include "contract/process.h"

// The compiler asks for the sized form beside the unsized one; the default one is wanted here.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {

int news = 0;
int deletes = 0;
bool fails = false;

}  // namespace

void* operator new(size_t size) {
  ++news;
  if (fails) throw std::bad_alloc();
  return contract::make_marked_block(size, 16);
}

void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  ++deletes;
  contract::end_marked_block(block, 16);
}

#define EXPECT_ONE_PAIR(new_call, delete_call)     \
  do {                                             \
    news = deletes = 0;                            \
    void* pair_block = contract::opaque(new_call); \
    EXPECT(pair_block != nullptr);                 \
    EXPECT_EQ(news, 1);                            \
    delete_call;                                   \
    EXPECT_EQ(deletes, 1);                         \
  } while (false)

CASE(unaligned_forms_reach_the_replacements) {
  using std::nothrow;
  EXPECT_ONE_PAIR(::operator new(100), ::operator delete(pair_block));
  EXPECT_ONE_PAIR(::operator new(100), ::operator delete (pair_block, size_t{100}));
  EXPECT_ONE_PAIR(::operator new(100, nothrow), ::operator delete(pair_block, nothrow));
  EXPECT_ONE_PAIR(::operator new[](100), ::operator delete[](pair_block));
  EXPECT_ONE_PAIR(::operator new[](100), ::operator delete[](pair_block, size_t{100}));
  EXPECT_ONE_PAIR(::operator new[](100, nothrow), ::operator delete[](pair_block, nothrow));
}

CASE(expressions_reach_the_replacements) {
  news = deletes = 0;
  delete contract::opaque(new long(1));
  delete[] contract::opaque(new long[10]);
  delete[] contract::opaque(new (std::nothrow) long[10]);
  EXPECT_EQ(news, 3);
  EXPECT_EQ(deletes, 3);
}

CASE(forms_without_throw_catch_what_the_replacement_throws) {
  fails = true;
  EXPECT(::operator new(100, std::nothrow) == nullptr);
  EXPECT(::operator new[](100, std::nothrow) == nullptr);
  int caught = 0;
  try {
    ::operator delete[](::operator new[](100));
  } catch (const std::bad_alloc&) {
    ++caught;
  }
  EXPECT_EQ(caught, 1);
  fails = false;
}

CASE(aligned_forms_do_not_reach_them) {
  news = deletes = 0;
  const std::align_val_t alignment{128};
  void* block = ::operator new(100, alignment);
  EXPECT(contract::is_aligned(block, 128));
  ::operator delete(block, alignment);
  block = ::operator new[](100, alignment);
  ::operator delete[](block, alignment);
  EXPECT_EQ(news, 0);
  EXPECT_EQ(deletes, 0);
}

RUN_CASES()
