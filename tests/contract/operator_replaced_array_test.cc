// A program that replaces the array forms alone, with and without alignment, and the form without
// throw of a single object: all other array forms must reach the program's ([new.delete.array]),
// the forms for single objects must not.
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
int aligned_news = 0;
int aligned_deletes = 0;
bool fails = false;

void* make(size_t size, size_t header_bytes) {
  if (fails) throw std::bad_alloc();
  return contract::make_marked_block(size, header_bytes);
}

}  // namespace

void* operator new[](size_t size) {
  ++news;
  return make(size, 16);
}
void operator delete[](void* block) noexcept {
  if (block == nullptr) return;
  ++deletes;
  contract::end_marked_block(block, 16);
}
void* operator new[](size_t size, std::align_val_t alignment) {
  ++aligned_news;
  return make(size, static_cast<size_t>(alignment));
}
// Of one alignment only, which the test uses.
void operator delete[](void* block, std::align_val_t) noexcept {
  if (block == nullptr) return;
  ++aligned_deletes;
  contract::end_marked_block(block, 64);
}

// Its blocks are larger than the program asked for; the default operator delete ends them.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return malloc(size + 16);
}

#define EXPECT_ONE_PAIR(new_count, delete_count, new_call, delete_call) \
  do {                                                                  \
    new_count = delete_count = 0;                                       \
    void* pair_block = contract::opaque(new_call);                      \
    EXPECT(pair_block != nullptr);                                      \
    EXPECT_EQ(new_count, 1);                                            \
    delete_call;                                                        \
    EXPECT_EQ(delete_count, 1);                                         \
  } while (false)
#define EXPECT_PAIR(new_call, delete_call) EXPECT_ONE_PAIR(news, deletes, new_call, delete_call)
#define EXPECT_ALIGNED_PAIR(new_call, delete_call) \
  EXPECT_ONE_PAIR(aligned_news, aligned_deletes, new_call, delete_call)

CASE(unaligned_array_forms_reach_the_replacements) {
  using std::nothrow;
  EXPECT_PAIR(::operator new[](100), ::operator delete[](pair_block));
  EXPECT_PAIR(::operator new[](100), ::operator delete[](pair_block, size_t{100}));
  EXPECT_PAIR(::operator new[](100, nothrow), ::operator delete[](pair_block, nothrow));
  EXPECT_PAIR(::operator new[](100, nothrow), ::operator delete[](pair_block));
  EXPECT_EQ(aligned_news, 0);
}

CASE(aligned_array_forms_reach_the_replacements) {
  using std::nothrow;
  const std::align_val_t to{64};
  const size_t size = 100;
  news = 0;
  EXPECT_ALIGNED_PAIR(::operator new[](size, to), ::operator delete[](pair_block, to));
  EXPECT_ALIGNED_PAIR(::operator new[](size, to), ::operator delete[](pair_block, size, to));
  EXPECT_ALIGNED_PAIR(::operator new[](size, to, nothrow),
                      ::operator delete[](pair_block, to, nothrow));
  EXPECT_ALIGNED_PAIR(::operator new[](size, to, nothrow), ::operator delete[](pair_block, to));
  EXPECT_EQ(news, 0);
}

CASE(expressions_reach_the_replacements) {
  struct Member {
    long value;
    ~Member() { value = 0; }
  };
  struct alignas(64) AlignedMember {
    long value;
    ~AlignedMember() { value = 0; }
  };
  news = deletes = aligned_news = aligned_deletes = 0;
  delete[] contract::opaque(new Member[10]);
  delete[] contract::opaque(new (std::nothrow) Member[10]);
  EXPECT_EQ(news, 2);
  EXPECT_EQ(deletes, 2);
  delete[] contract::opaque(new AlignedMember[10]);
  delete[] contract::opaque(new (std::nothrow) AlignedMember[10]);
  EXPECT_EQ(aligned_news, 2);
  EXPECT_EQ(aligned_deletes, 2);
}

CASE(forms_without_throw_catch_what_the_replacement_throws) {
  fails = true;
  EXPECT(::operator new[](100, std::nothrow) == nullptr);
  EXPECT(::operator new[](100, std::align_val_t{64}, std::nothrow) == nullptr);
  fails = false;
}

CASE(single_forms_do_not_reach_them) {
  news = deletes = aligned_news = aligned_deletes = 0;
  const std::align_val_t to{64};
  ::operator delete(::operator new(100));
  ::operator delete (::operator new(100), size_t{100});
  ::operator delete(::operator new(100, to), to);
  ::operator delete(::operator new(100, to, std::nothrow), to);
  EXPECT_EQ(news + deletes + aligned_news + aligned_deletes, 0);
}

// The size that the default form is told is not that of the program's block.
CASE(a_sized_delete_ends_a_block_of_the_form_without_throw) {
  for (int i = 0; i < 1000; ++i) delete contract::opaque(new (std::nothrow) long(1));
}

RUN_CASES()
