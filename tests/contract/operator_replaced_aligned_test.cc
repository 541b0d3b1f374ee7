// A program that replaces only operator new(size_t, align_val_t) and its delete: the other forms
// with alignment must reach these two, those without must not.
#include <stdlib.h>

#include <new>

#include "contract/expect.h"
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
alignas(4096) char arena[1 << 16];
size_t used = 0;

}  // namespace

void* operator new(size_t size, std::align_val_t alignment) {
  ++news;
  const size_t mask = static_cast<size_t>(alignment) - 1;
  const size_t start = (used + mask) & ~mask;
  if (fails || start + size > sizeof arena) throw std::bad_alloc();
  used = start + size;
  return arena + start;
}

void operator delete(void* block, std::align_val_t) noexcept {
  if (block == nullptr) return;
  ++deletes;
  EXPECT(block >= arena && block < arena + sizeof arena);
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

CASE(aligned_forms_reach_the_replacements) {
  using std::nothrow;
  const std::align_val_t to{64};
  const size_t size = 100;
  EXPECT_ONE_PAIR(::operator new(size, to), ::operator delete(pair_block, to));
  EXPECT_ONE_PAIR(::operator new(size, to), ::operator delete(pair_block, size, to));
  EXPECT_ONE_PAIR(::operator new(size, to, nothrow), ::operator delete(pair_block, to, nothrow));
  EXPECT_ONE_PAIR(::operator new[](size, to), ::operator delete[](pair_block, to));
  EXPECT_ONE_PAIR(::operator new[](size, to), ::operator delete[](pair_block, size, to));
  EXPECT_ONE_PAIR(::operator new[](size, to, nothrow),
                  ::operator delete[](pair_block, to, nothrow));
}

CASE(forms_without_throw_catch_what_the_replacement_throws) {
  fails = true;
  EXPECT(::operator new (100, std::align_val_t{64}, std::nothrow) == nullptr);
  EXPECT(::operator new[](100, std::align_val_t{64}, std::nothrow) == nullptr);
  fails = false;
}

CASE(unaligned_forms_do_not_reach_them) {
  news = deletes = 0;
  ::operator delete(::operator new(100));
  ::operator delete[](::operator new[](100));
  EXPECT_EQ(news, 0);
  EXPECT_EQ(deletes, 0);
}

RUN_CASES()
