// The constants that shape the allocator, with their reasons.
#ifndef SPANMALLOC_BASE_CONFIG_H_
#define SPANMALLOC_BASE_CONFIG_H_

#include <cstddef>

#include "platform/compiler.h"
#include "platform/huge_pages.h"

namespace spanmalloc {

// Checks that cost time run only in builds without NDEBUG.
inline constexpr bool kDebugChecks = platform::kDebugChecks;

// Checks that cost so much that no program should be run with them but a test: released pages are
// inaccessible, freed blocks are filled, invariants are checked on slow paths.
inline constexpr bool kParanoid = platform::kParanoid;

// Counts of base/event_counts.h are kept only in a build made for them.
inline constexpr bool kCountEvents = platform::kCountEvents;

// A page is the unit of the page heap. 8 KiB as in the Go runtime: with kernel pages of 4 KiB each
// one can be given back alone, and a span of the smallest objects still holds 512 of them.
inline constexpr size_t kPageShift = 13;
inline constexpr size_t kPageBytes = size_t{1} << kPageShift;

// A chunk is the unit of growth and of bitmaps: 512 pages are one cache line of bits.
inline constexpr size_t kPagesPerChunk = 512;
inline constexpr size_t kChunkBytes = kPagesPerChunk * kPageBytes;

// The kernel's huge page.
inline constexpr size_t kHugePageBytes = platform::kHugePageBytes;
inline constexpr size_t kPagesPerHugePage = kHugePageBytes / kPageBytes;

// malloc's promise for every size: room for any object of the language.
inline constexpr size_t kMinAlignment = 16;

// Address space is reserved in arenas of this size where the process's limit allows.
inline constexpr size_t kArenaBytes = size_t{64} << 20;

static_assert(kChunkBytes == size_t{4} << 20);
static_assert(kChunkBytes % kHugePageBytes == 0);
static_assert(kArenaBytes % kChunkBytes == 0);

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_CONFIG_H_
