#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "platform/errno_guard.h"
#include "platform/huge_pages.h"
#include "platform/kernel_promise_linux.h"
#include "platform/raw_file_linux.h"
#include "platform/virtual_memory.h"

// Older C libraries know neither the call nor its arguments.
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

namespace spanmalloc::platform {

namespace {

uintptr_t map_anonymous(size_t bytes, uintptr_t hint, int protection, int extra_flags) {
  ErrnoGuard errno_guard;
  void* address = mmap(reinterpret_cast<void*>(hint), bytes, protection,
                       MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
  return address == MAP_FAILED ? 0 : reinterpret_cast<uintptr_t>(address);
}

// SIZE_MAX where there is no limit, or none can be read.
size_t limit_of(decltype(RLIMIT_AS) resource) {
  ErrnoGuard errno_guard;
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return static_cast<size_t>(limit.rlim_cur);
}

// Splits what the pieces cover in part; once a huge page, for neighbours that lie in the same one.
void split_huge_pages_of(const MemoryPiece* pieces, size_t count) {
  uintptr_t split = 0;
  for (size_t index = 0; index < count; ++index) {
    const MemoryPiece& piece = pieces[index];
    const uintptr_t first = piece.address / kHugePageBytes;
    const uintptr_t last = (piece.address + piece.bytes - 1) / kHugePageBytes;
    if (index > 0 && first == split && last == split) continue;
    split_huge_pages_around(piece.address, piece.bytes);
    split = last;
  }
}

// Names the calling thread, and so its memory, where a descriptor of a process is asked for (Linux
// 6.14). That for the process has changed since (Linux 6.17).
constexpr int kThisThread = -10000;

// Pieces in one call; the kernel would take 1024.
constexpr size_t kPiecesPerCall = 64;

// Gives back pieces in batches, as far as that goes without a refusal; returns how many.
size_t release_batches(const MemoryPiece* pieces, size_t count) {
  // A kernel that does not know the call, the advice or the descriptor refuses them all.
  static constinit std::atomic<bool> refused{false};
  if (count == 1 || refused.load(std::memory_order_relaxed)) return 0;
  ErrnoGuard errno_guard;
  size_t done = 0;
  while (done < count) {
    iovec batch[kPiecesPerCall];
    const size_t pieces_in_batch = count - done < kPiecesPerCall ? count - done : kPiecesPerCall;
    size_t bytes = 0;
    for (size_t index = 0; index < pieces_in_batch; ++index) {
      const MemoryPiece& piece = pieces[done + index];
      batch[index] = {reinterpret_cast<void*>(piece.address), piece.bytes};
      bytes += piece.bytes;
    }
    const long advised =
        syscall(SYS_process_madvise, kThisThread, batch, pieces_in_batch, MADV_DONTNEED, 0);
    if (advised < 0 && (errno == ENOSYS || errno == EBADF || errno == EPERM)) {
      refused.store(true, std::memory_order_relaxed);
    }
    // What a batch did in part is done again piece by piece.
    if (advised < 0 || static_cast<size_t>(advised) != bytes) break;
    done += pieces_in_batch;
  }
  return done;
}

// qemu-user before 7.1 ignores the wish and says it was done.
Answer release_clears(uintptr_t pages) {
  if (madvise(reinterpret_cast<void*>(pages), page_bytes(), MADV_DONTNEED) != 0) {
    return Answer::kUnknown;
  }
  return *reinterpret_cast<volatile char*>(pages) == 0 ? Answer::kYes : Answer::kNo;
}

// Whether guards can be marks of pages (Linux 6.13), which split no mapping. Shown as above.
Answer guard_refuses_access(uintptr_t pages) {
  if (madvise(reinterpret_cast<void*>(pages), page_bytes(), MADV_GUARD_INSTALL) != 0) {
    return errno == ENOMEM || errno == EAGAIN ? Answer::kUnknown : Answer::kNo;
  }
  const bool refuses = syscall(SYS_clock_gettime, CLOCK_MONOTONIC, pages) != 0 && errno == EFAULT;
  if (!refuses) (void)madvise(reinterpret_cast<void*>(pages), page_bytes(), MADV_GUARD_REMOVE);
  return refuses ? Answer::kYes : Answer::kNo;
}

// What remove_guard() has to undo.
constinit std::atomic<bool> guards_are_marks{false};
constinit std::atomic<bool> guards_are_mappings{false};

// Where the spare mappings lie: a range of which every other page differs.
constexpr uintptr_t kNoneYet = 0;
constexpr uintptr_t kNoMore = 1;
constinit std::atomic<uintptr_t> spare_mappings{kNoneYet};

// Two for each of the 64 freed large blocks that may lie between guards, and some for growth.
constexpr size_t kSpareMappings = 160;

// Whether there are spare mappings, made by the first call.
bool has_spare_mappings() {
  uintptr_t range = spare_mappings.load(std::memory_order_relaxed);
  if (range != kNoneYet) return range != kNoMore;
  if (!spare_mappings.compare_exchange_strong(range, kNoMore, std::memory_order_relaxed)) {
    return false;
  }
  const size_t page = page_bytes();
  range = map_anonymous(kSpareMappings * page, 0, PROT_NONE, MAP_NORESERVE);
  if (range == 0) return false;
  for (size_t index = 1; index < kSpareMappings; index += 2) {
    if (mprotect(reinterpret_cast<void*>(range + index * page), page, PROT_READ) != 0) {
      munmap(reinterpret_cast<void*>(range), kSpareMappings * page);
      return false;
    }
  }
  spare_mappings.store(range, std::memory_order_relaxed);
  return true;
}

}  // namespace

size_t page_bytes() {
  static constinit size_t cached = 0;
  size_t bytes = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (bytes == 0) {
    bytes = static_cast<size_t>(getauxval(AT_PAGESZ));
    __atomic_store_n(&cached, bytes, __ATOMIC_RELAXED);
  }
  return bytes;
}

uintptr_t reserve(size_t bytes, uintptr_t hint) {
  return map_anonymous(bytes, hint, PROT_NONE, MAP_NORESERVE);
}

uintptr_t reserve_prepared(size_t bytes, uintptr_t hint) {
  return map_anonymous(bytes, hint, PROT_READ | PROT_WRITE, MAP_NORESERVE);
}

uintptr_t reserve_zero_readable(size_t bytes) {
  return map_anonymous(bytes, 0, PROT_READ, MAP_NORESERVE);
}

uintptr_t map(size_t bytes, uintptr_t hint) {
  return map_anonymous(bytes, hint, PROT_READ | PROT_WRITE, 0);
}

bool extend_prepared(uintptr_t end, size_t bytes) {
  ErrnoGuard errno_guard;
  // The last page of a mapping stands for it.
  void* last_page = reinterpret_cast<void*>(end - page_bytes());
  if (mremap(last_page, page_bytes(), page_bytes() + bytes, 0) != last_page) return false;
  // The last page may be a guard.
  if (prepare(end, bytes)) return true;
  munmap(reinterpret_cast<void*>(end), bytes);
  return false;
}

bool prepare(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  return mprotect(reinterpret_cast<void*>(address), bytes, PROT_READ | PROT_WRITE) == 0;
}

bool make_inaccessible(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  return mprotect(reinterpret_cast<void*>(address), bytes, PROT_NONE) == 0;
}

bool install_guard(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  if (!are_whole_pages(address | bytes)) return false;
  if (keeps_promise<guard_refuses_access>(address)) {
    split_huge_pages_around(address, bytes);
    guards_are_marks.store(true, std::memory_order_relaxed);
    if (madvise(reinterpret_cast<void*>(address), bytes, MADV_GUARD_INSTALL) == 0) return true;
    // A part may be marked, and is a guard as long as the marks are not to be removed.
    if (madvise(reinterpret_cast<void*>(address), bytes, MADV_GUARD_REMOVE) != 0) {
      // The other part is to read as zero when it is no guard any more, like what is marked.
      (void)madvise(reinterpret_cast<void*>(address), bytes, MADV_DONTNEED);
      return true;
    }
  }
  // What is opened again counts as data anew.
  if (may_have_limit(RLIMIT_DATA) || !has_spare_mappings()) return false;
  // Locked memory is not given back; it is to read as zero all the same when it is opened again.
  if (release(address, bytes) == ReleaseResult::kRefused) {
    memset(reinterpret_cast<void*>(address), 0, bytes);
  }
  guards_are_mappings.store(true, std::memory_order_relaxed);
  return make_inaccessible(address, bytes);
}

bool remove_guard(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  if (guards_are_marks.load(std::memory_order_relaxed) &&
      madvise(reinterpret_cast<void*>(address), bytes, MADV_GUARD_REMOVE) != 0) {
    return false;
  }
  if (!guards_are_mappings.load(std::memory_order_relaxed)) return true;
  return prepare(address, bytes) || (give_up_spare_mappings() && prepare(address, bytes));
}

bool guards_take_no_mappings() {
  ErrnoGuard errno_guard;
  return keeps_promise<guard_refuses_access>(0);
}

bool give_up_spare_mappings() {
  ErrnoGuard errno_guard;
  const uintptr_t range = spare_mappings.exchange(kNoMore, std::memory_order_relaxed);
  if (range == kNoneYet || range == kNoMore) return false;
  return munmap(reinterpret_cast<void*>(range), kSpareMappings * page_bytes()) == 0;
}

ReleaseResult release(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  if (!are_whole_pages(address | bytes) || !keeps_promise<release_clears>(address)) {
    return ReleaseResult::kRefused;
  }
  split_huge_pages_around(address, bytes);
  const int result = madvise(reinterpret_cast<void*>(address), bytes, MADV_DONTNEED);
  return result == 0 ? ReleaseResult::kReleasedReadsZero : ReleaseResult::kRefused;
}

ReleaseResult release_lazily(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  if (are_whole_pages(address | bytes) &&
      madvise(reinterpret_cast<void*>(address), bytes, MADV_FREE) == 0) {
    return ReleaseResult::kReleasedReadsAnything;
  }
  return release(address, bytes);
}

size_t release_pieces(const MemoryPiece* pieces, size_t count) {
  split_huge_pages_of(pieces, count);
  const size_t done = release_batches(pieces, count);
  for (size_t index = done; index < count; ++index) {
    if (release(pieces[index].address, pieces[index].bytes) == ReleaseResult::kRefused) {
      return index;
    }
  }
  return count;
}

bool unmap(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  return munmap(reinterpret_cast<void*>(address), bytes) == 0;
}

void populate(uintptr_t address, size_t bytes) {
  // An older kernel refuses them all.
  static constinit std::atomic<bool> refused{false};
  if (refused.load(std::memory_order_relaxed)) return;
  // Parts of a page are left to the first touch: the rest of it belongs to somebody else.
  const uintptr_t begin = (address + page_bytes() - 1) / page_bytes() * page_bytes();
  const uintptr_t end = (address + bytes) / page_bytes() * page_bytes();
  if (begin >= end) return;
  ErrnoGuard errno_guard;
  const int result = madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_WRITE);
  if (result != 0 && errno == EINVAL) refused.store(true, std::memory_order_relaxed);
}

void advise_huge_pages(uintptr_t address, size_t bytes, HugePages wish) {
  ErrnoGuard errno_guard;
  if (wish == HugePages::kAsk) expect_huge_pages();
  madvise(reinterpret_cast<void*>(address), bytes,
          wish == HugePages::kAsk ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void name_range(uintptr_t address, size_t bytes, const char* name) {
  // A kernel that was built without names refuses them all.
  static constinit std::atomic<bool> refused{false};
  if (refused.load(std::memory_order_relaxed)) return;
  ErrnoGuard errno_guard;
  const int result =
      prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, address, bytes, reinterpret_cast<uintptr_t>(name));
  if (result != 0 && errno == EINVAL) refused.store(true, std::memory_order_relaxed);
}

size_t address_space_limit() {
  return limit_of(RLIMIT_AS);
}

size_t data_limit() {
  return limit_of(RLIMIT_DATA);
}

size_t physical_memory() {
  ErrnoGuard errno_guard;
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return 0;
  return static_cast<size_t>(info.totalram) * info.mem_unit;
}

size_t resident_bytes() {
  ErrnoGuard errno_guard;
  char text[128];
  if (!RawFile("/proc/thread-self/statm", "/proc/self/statm").read_text(text)) return 0;
  const char* cursor = text;
  while (*cursor != '\0' && *cursor != ' ') ++cursor;  // the first field is the address space
  size_t pages = 0;
  for (++cursor; *cursor >= '0' && *cursor <= '9'; ++cursor) {
    pages = pages * 10 + static_cast<size_t>(*cursor - '0');
  }
  return pages * page_bytes();
}

}  // namespace spanmalloc::platform
