// Moving the pages of a range: as a whole, or not at all.
//
// The kernel moves mappings. Since Linux 6.17 one call takes several of them, one after the other,
// and where one cannot be moved it fails, with some moved and some not, and does not tell which.
// Before, it refuses a range in several mappings. So each call here is for a part of one mapping,
// of which the kernel moves all or nothing.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "platform/errno_guard.h"
#include "platform/kernel_promise_linux.h"
#include "platform/virtual_memory.h"

// Older C libraries know neither.
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

namespace spanmalloc::platform {

namespace {

// A range in more mappings than these, or of less bytes for each, is left to be copied: a piece
// takes some twenty system calls to find, and copying so much takes about as long.
constexpr size_t kMostPieces = 32;
constexpr size_t kLeastBytesForPiece = size_t{1} << 20;

// What was moved merges with no neighbour. A block that moves again and again takes its pieces
// along, and leaves none behind; it gains one when it grows in between. The kernel allows 65530
// mappings; after this many moves nothing is moved any more.
constexpr size_t kMostMoves = 8192;
constinit std::atomic<size_t> moves{0};

bool move_page_tables(uintptr_t from, uintptr_t to, size_t bytes) {
  void* moved =
      mremap(reinterpret_cast<void*>(from), bytes, bytes,
             MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, reinterpret_cast<void*>(to));
  return moved == reinterpret_cast<void*>(to);
}

// qemu-user (7.2 at least) moves the pages and forgets that the source stays mapped. A system call
// that writes there then fails, where an access would end the process.
Answer move_keeps_source(uintptr_t pages) {
  errno = 0;
  if (!move_page_tables(pages, pages + page_bytes(), page_bytes())) {
    return errno == ENOMEM || errno == EAGAIN ? Answer::kUnknown : Answer::kNo;
  }
  if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, pages) == 0) return Answer::kYes;
  return errno == EFAULT ? Answer::kNo : Answer::kUnknown;
}

// Asks for one page more, which the kernel cannot give where something is mapped behind the range;
// but first it looks whether the range ends where its mapping does, or before.
bool lies_in_one_mapping(uintptr_t address, size_t bytes) {
  if (mremap(reinterpret_cast<void*>(address), bytes, bytes + page_bytes(), 0) == MAP_FAILED) {
    return errno == ENOMEM || errno == EAGAIN;
  }
  (void)munmap(reinterpret_cast<void*>(address + bytes), page_bytes());
  return true;
}

// How much of the range, from its start on, lies in one mapping.
size_t bytes_in_one_mapping(uintptr_t address, size_t bytes) {
  if (lies_in_one_mapping(address, bytes)) return bytes;
  size_t inside = page_bytes();
  size_t beyond = bytes;
  while (beyond - inside > page_bytes()) {
    const size_t middle = inside + (beyond - inside) / 2 / page_bytes() * page_bytes();
    (lies_in_one_mapping(address, middle) ? inside : beyond) = middle;
  }
  return inside;
}

// Parts of a range that lie in one mapping each.
struct Pieces {
  size_t bytes[kMostPieces];
  // 0 when there would be too many.
  size_t count = 0;
};

Pieces find_pieces(uintptr_t address, size_t bytes) {
  Pieces pieces;
  const size_t most = std::min(kMostPieces, bytes / kLeastBytesForPiece);
  if (most < 2) {
    pieces.bytes[0] = bytes;
    pieces.count = lies_in_one_mapping(address, bytes) ? 1 : 0;
    return pieces;
  }
  for (size_t done = 0; done < bytes; done += pieces.bytes[pieces.count++]) {
    if (pieces.count == most) return {};
    pieces.bytes[pieces.count] = bytes_in_one_mapping(address + done, bytes - done);
  }
  return pieces;
}

// Whether nothing is mapped in some part of the range, as far as the kernel says: writing back what
// is no file's does nothing but look. By the call itself; the C library's may be cancelled.
bool has_hole(uintptr_t address, size_t bytes) {
  return syscall(SYS_msync, address, bytes, MS_ASYNC) != 0 && errno == ENOMEM;
}

// Makes the range Prepared if it is None after a refusal: the kernel may unmap what it is to put
// something in the place of before it refuses. False when the range is still None. Nothing else is
// mapped there meanwhile: the kernel chooses addresses far above the heap, and the heap's own hints
// point to where it has not been yet.
bool map_again(uintptr_t address, size_t bytes) {
  void* wanted = reinterpret_cast<void*>(address);
  void* mapped = mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped == wanted) return true;
  // All of it is there, or nothing.
  if (mapped == MAP_FAILED) return errno == EEXIST;
  // A kernel that does not know the flag found the place taken.
  (void)munmap(mapped, bytes);
  return true;
}

// After `moved` bytes the next piece was refused, with errno.
MoveResult undo_move(uintptr_t from, uintptr_t to, size_t bytes, size_t moved, size_t refused) {
  const bool refused_at_once = errno == EINVAL || errno == ENOSYS || errno == EPERM;
  memcpy(reinterpret_cast<void*>(from), reinterpret_cast<const void*>(to), moved);
  // A kernel without the call, and a filter, refuse before they do anything.
  if (refused_at_once || map_again(to + moved, refused)) return MoveResult::kRefused;
  // There may be mappings to be had when those of the pieces before are gone.
  (void)munmap(reinterpret_cast<void*>(to), bytes);
  return map_again(to, bytes) ? MoveResult::kRefused : MoveResult::kTargetLost;
}

// Gives the range, which holds nothing any more, a mapping that merges with its neighbours again.
// False when it is None now.
bool renew(uintptr_t address, size_t bytes, const char* name) {
  void* wanted = reinterpret_cast<void*>(address);
  if (mmap(wanted, bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != wanted) {
    // What stays as it was costs mappings that a move is not reckoned to cost.
    moves.fetch_add(kMostPieces, std::memory_order_relaxed);
    if (has_hole(address, bytes) && !map_again(address, bytes)) return false;
  }
  name_range(address, bytes, name);
  return true;
}

}  // namespace

MoveResult move_pages(uintptr_t from, uintptr_t to, size_t bytes, const char* name) {
  ErrnoGuard errno_guard;
  // The kernel unmaps the target, then asks whether the process may have as much again. Under a
  // limit that was set below what is mapped, the answer is no.
  if (may_have_limit(RLIMIT_AS) || may_have_limit(RLIMIT_DATA)) return MoveResult::kRefused;
  if (!are_whole_pages(from | to | bytes) || !keeps_promise<move_keeps_source>()) {
    return MoveResult::kRefused;
  }
  if (moves.load(std::memory_order_relaxed) >= kMostMoves) return MoveResult::kRefused;
  const Pieces pieces = find_pieces(from, bytes);
  if (pieces.count == 0) return MoveResult::kRefused;
  // In a process that locks its memory (mlockall) the source would not be locked when it is used
  // again. Locked pages are those that the kernel does not take back; of the target none is needed.
  if (madvise(reinterpret_cast<void*>(to), page_bytes(), MADV_DONTNEED) != 0) {
    return MoveResult::kRefused;
  }
  size_t moved = 0;
  for (size_t index = 0; index < pieces.count; ++index) {
    const size_t piece = pieces.bytes[index];
    if (!move_page_tables(from + moved, to + moved, piece)) {
      return undo_move(from, to, bytes, moved, piece);
    }
    moved += piece;
  }
  moves.fetch_add(1, std::memory_order_relaxed);
  return renew(from, bytes, name) ? MoveResult::kMoved : MoveResult::kSourceLost;
}

}  // namespace spanmalloc::platform
