// Huge pages of the kernel. All of these are wishes or looks; none changes what memory holds, and
// all leave errno as it was.
#ifndef SPANMALLOC_PLATFORM_HUGE_PAGES_H_
#define SPANMALLOC_PLATFORM_HUGE_PAGES_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

// Bytes of a huge page on x86-64, and on aarch64 with 4 KiB pages.
inline constexpr size_t kHugePageBytes = size_t{2} << 20;

// When the kernel uses huge pages, by the choice of who runs the machine.
enum class HugePageMode : uint8_t { kNever, kOnRequest, kAlways };

// The present choice; kNever also where it cannot be read. Opens a file.
HugePageMode huge_page_mode();

// kDone: the range lies in huge pages. kNotNow: the kernel has no huge page at the moment, or pages
// of the range are busy. kRefused: the kernel cannot or must not do it.
enum class CollapseResult : uint8_t { kDone, kNotNow, kRefused };

// Moves the memory of a range into huge pages, in the time of the caller: the kernel copies it.
// What of it was not backed is backed afterwards. From Linux 6.1 on.
// REQUIRES: whole huge pages.
CollapseResult collapse(uintptr_t address, size_t bytes);

// Bytes of the range that are in memory and mapped by no other process, as after a fork; 0 when the
// kernel does not tell. Opens a file.
size_t own_resident_bytes(uintptr_t address, size_t bytes);

// From here on the process may have huge pages, so split_huge_pages_around() does its work.
void expect_huge_pages();

// Splits the huge pages of which the range covers a part only, so that the kernel can take that
// part: of a huge page that is given back in part, it keeps all memory until it is short of it.
// Does nothing before expect_huge_pages() was called. From Linux 5.4 on.
void split_huge_pages_around(uintptr_t address, size_t bytes);

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_HUGE_PAGES_H_
