#include "platform/huge_pages.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "platform/errno_guard.h"
#include "platform/raw_file_linux.h"
#include "platform/virtual_memory.h"

// Older C libraries do not know the advice.
#ifndef MADV_COLD
#define MADV_COLD 20
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace spanmalloc::platform {

namespace {

constinit std::atomic<bool> huge_pages_expected{false};

// Bits of an entry of /proc/self/pagemap.
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kMappedOnce = uint64_t{1} << 56;

constexpr size_t kEntriesPerRead = 256;

void split_at(uintptr_t page) {
  // The advice makes a page the first to be reclaimed; for a page of a huge page, which has to be
  // cut out for that, the kernel splits it. The page is about to be given back anyway.
  (void)madvise(reinterpret_cast<void*>(page), page_bytes(), MADV_COLD);
}

}  // namespace

HugePageMode huge_page_mode() {
  ErrnoGuard errno_guard;
  char text[64];
  if (!RawFile("/sys/kernel/mm/transparent_hugepage/enabled").read_text(text)) {
    return HugePageMode::kNever;
  }
  if (strstr(text, "[always]") != nullptr) return HugePageMode::kAlways;
  return strstr(text, "[madvise]") != nullptr ? HugePageMode::kOnRequest : HugePageMode::kNever;
}

CollapseResult collapse(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  if (madvise(reinterpret_cast<void*>(address), bytes, MADV_COLLAPSE) == 0) {
    return CollapseResult::kDone;
  }
  const bool may_come = errno == EAGAIN || errno == ENOMEM || errno == EBUSY;
  return may_come ? CollapseResult::kNotNow : CollapseResult::kRefused;
}

size_t own_resident_bytes(uintptr_t address, size_t bytes) {
  ErrnoGuard errno_guard;
  const RawFile file("/proc/thread-self/pagemap", "/proc/self/pagemap");
  size_t own = 0;
  uint64_t entries[kEntriesPerRead];
  const size_t end = (address + bytes) / page_bytes();
  for (size_t page = address / page_bytes(); page < end;) {
    const size_t wanted = end - page < kEntriesPerRead ? end - page : kEntriesPerRead;
    const size_t count = file.read_at(page * sizeof(uint64_t), entries, wanted * sizeof(uint64_t)) /
                         sizeof(uint64_t);
    if (count == 0) break;
    for (size_t index = 0; index < count; ++index) {
      const uint64_t wanted_bits = kPresent | kMappedOnce;
      own += (entries[index] & wanted_bits) == wanted_bits ? 1 : 0;
    }
    page += count;
  }
  return own * page_bytes();
}

void expect_huge_pages() {
  if (huge_pages_expected.load(std::memory_order_relaxed)) return;
  huge_pages_expected.store(true, std::memory_order_relaxed);
}

void split_huge_pages_around(uintptr_t address, size_t bytes) {
  if (!huge_pages_expected.load(std::memory_order_relaxed)) return;
  ErrnoGuard errno_guard;
  const uintptr_t end = address + bytes;
  const bool starts_inside = address % kHugePageBytes != 0;
  if (starts_inside) split_at(address);
  const bool same = address / kHugePageBytes == (end - 1) / kHugePageBytes;
  if (end % kHugePageBytes != 0 && !(starts_inside && same)) split_at(end - page_bytes());
}

}  // namespace spanmalloc::platform
