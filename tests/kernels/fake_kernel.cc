#include "kernels/fake_kernel.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/bits.h"
#include "base/config.h"
#include "platform/virtual_memory.h"

// What --wrap makes of a function of platform/ with this mangled end.
#define REAL(mangled) __asm__("__real__ZN10spanmalloc8platform" mangled)
#define FAKE(mangled) __asm__("__wrap__ZN10spanmalloc8platform" mangled)

namespace spanmalloc::testing {

using platform::MemoryPiece;
using platform::MoveResult;
using platform::ReleaseResult;

FakeKernel fake_kernel;

FakeKernel::FakeKernel() {
  const char* kind = getenv("FAKE_KERNEL");
  if (kind == nullptr) return;
  page_bytes = 4096;
  addresses = strcmp(kind, "39_bits") == 0 ? Addresses::k39Bits : Addresses::kNoHints;
  // So that the usual place of the heap would lie above 512 GiB.
  physical_memory = size_t{1} << 39;
}

uintptr_t real_reserve(size_t, uintptr_t) REAL("7reserveEmm");
uintptr_t real_reserve_prepared(size_t, uintptr_t) REAL("16reserve_preparedEmm");
uintptr_t real_reserve_zero_readable(size_t) REAL("21reserve_zero_readableEm");
uintptr_t real_map(size_t, uintptr_t) REAL("3mapEmm");
bool real_prepare(uintptr_t, size_t) REAL("7prepareEmm");
bool real_unmap(uintptr_t, size_t) REAL("5unmapEmm");
ReleaseResult real_release(uintptr_t, size_t) REAL("7releaseEmm");
MoveResult real_move_pages(uintptr_t, uintptr_t, size_t, const char*) REAL("10move_pagesEmmmPKc");
size_t real_physical_memory() REAL("15physical_memoryEv");
size_t real_release_pieces(const MemoryPiece*, size_t)
    REAL("14release_piecesEPKNS0_11MemoryPieceEm");

size_t fake_physical_memory() FAKE("15physical_memoryEv");
size_t fake_page_bytes() FAKE("10page_bytesEv");
uintptr_t fake_reserve(size_t, uintptr_t) FAKE("7reserveEmm");
uintptr_t fake_reserve_prepared(size_t, uintptr_t) FAKE("16reserve_preparedEmm");
uintptr_t fake_reserve_zero_readable(size_t) FAKE("21reserve_zero_readableEm");
uintptr_t fake_map(size_t, uintptr_t) FAKE("3mapEmm");
bool fake_prepare(uintptr_t, size_t) FAKE("7prepareEmm");
bool fake_unmap(uintptr_t, size_t) FAKE("5unmapEmm");
ReleaseResult fake_release(uintptr_t, size_t) FAKE("7releaseEmm");
MoveResult fake_move_pages(uintptr_t, uintptr_t, size_t, const char*) FAKE("10move_pagesEmmmPKc");
size_t fake_release_pieces(const MemoryPiece*, size_t)
    FAKE("14release_piecesEPKNS0_11MemoryPieceEm");

namespace {

bool are_whole(uintptr_t bits) {
  return is_aligned(bits, fake_kernel.page_bytes.load());
}

void expect_whole(uintptr_t bits) {
  if (!are_whole(bits)) ++fake_kernel.faults;
}

constexpr uintptr_t kEndOf39Bits = uintptr_t{1} << 39;

// What becomes of a hint. A kernel of 39 bits goes from its end downwards where it has none.
uintptr_t followed_hint(uintptr_t hint, size_t bytes) {
  static std::atomic<uintptr_t> next_end{kEndOf39Bits - (size_t{1} << 30)};
  switch (fake_kernel.addresses.load()) {
    case Addresses::kAsWished:
      return hint;
    case Addresses::kNoHints:
      if (hint != 0) ++fake_kernel.ignored_hints;
      return 0;
    case Addresses::k39Bits:
      if (hint != 0 && hint + bytes <= kEndOf39Bits) return hint;
      if (hint != 0) ++fake_kernel.ignored_hints;
      return (next_end -= align_up(bytes, kChunkBytes)) + 4096;
  }
  return 0;
}

// Maps with room for a page more and gives the ends back.
uintptr_t map_whole(size_t bytes, uintptr_t hint, uintptr_t (*map)(size_t, uintptr_t)) {
  expect_whole(hint);
  hint = followed_hint(hint, bytes);
  const size_t page = fake_kernel.page_bytes;
  const size_t whole = align_up(bytes, page);
  const uintptr_t mapped = map(whole, hint);
  if (mapped == 0 || is_aligned(mapped, page)) return mapped;
  (void)real_unmap(mapped, whole);
  const uintptr_t found = map(whole + page, hint);
  if (found == 0) return 0;
  const uintptr_t begin = align_up(found, page);
  if (begin > found) (void)real_unmap(found, begin - found);
  if (begin - found < page) (void)real_unmap(begin + whole, page - (begin - found));
  return begin;
}

}  // namespace

size_t fake_page_bytes() {
  return fake_kernel.page_bytes;
}

size_t fake_physical_memory() {
  const size_t fake = fake_kernel.physical_memory;
  return fake != 0 ? fake : real_physical_memory();
}

uintptr_t fake_reserve(size_t bytes, uintptr_t hint) {
  return map_whole(bytes, hint, real_reserve);
}
uintptr_t fake_reserve_prepared(size_t bytes, uintptr_t hint) {
  return map_whole(bytes, hint, real_reserve_prepared);
}
uintptr_t fake_reserve_zero_readable(size_t bytes) {
  return map_whole(bytes, 0,
                   [](size_t size, uintptr_t) { return real_reserve_zero_readable(size); });
}
uintptr_t fake_map(size_t bytes, uintptr_t hint) {
  return map_whole(bytes, hint, real_map);
}

bool fake_prepare(uintptr_t address, size_t bytes) {
  expect_whole(address | bytes);
  return real_prepare(address, bytes);
}

bool fake_unmap(uintptr_t address, size_t bytes) {
  expect_whole(address | bytes);
  return real_unmap(address, bytes);
}

ReleaseResult fake_release(uintptr_t address, size_t bytes) {
  if (!are_whole(address | bytes)) {
    ++fake_kernel.refused;
    return ReleaseResult::kRefused;
  }
  fake_kernel.released_bytes += bytes;
  return real_release(address, bytes);
}

size_t fake_release_pieces(const MemoryPiece* pieces, size_t count) {
  for (size_t index = 0; index < count; ++index) {
    expect_whole(pieces[index].address | pieces[index].bytes);
    fake_kernel.released_bytes += pieces[index].bytes;
  }
  return real_release_pieces(pieces, count);
}

MoveResult fake_move_pages(uintptr_t from, uintptr_t to, size_t bytes, const char* name) {
  if (!are_whole(from | to | bytes)) {
    ++fake_kernel.refused;
    return MoveResult::kRefused;
  }
  return real_move_pages(from, to, bytes, name);
}

}  // namespace spanmalloc::testing
