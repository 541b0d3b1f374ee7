// glibc's questions about the heap, answered for this one. Without them a program that asks would
// get the figures of glibc's own heap, which nobody uses.

#include <malloc.h>
#include <cerrno>
#include <cstdio>

#include "api/load.h"
#include "platform/compiler.h"
#include "platform/errno_guard.h"
#include "platform/system.h"
#include "stats/heap_stats.h"

using namespace spanmalloc;

namespace {

// A document that leaves by pieces, since the smallest stacks do not hold it whole.
struct Document {
  FILE* stream;
  int error = 0;
};

void write_piece(const char* text, void* context) {
  auto* document = static_cast<Document*>(context);
  if (document->error == 0 && fputs(text, document->stream) < 0) document->error = errno;
}

// What glibc's mallopt() takes at most for M_MXFAST where size_t has 64 bits.
constexpr int kMostFastBytes = 160;

}  // namespace

extern "C" {

// The fields that have a meaning here: arena, the bytes that the heap holds of the system; ordblks,
// its partly used spans; uordblks, the bytes of live blocks; fordblks, arena less uordblks;
// fsmblks, bytes of free blocks in caches; keepcost, free pages that malloc_trim() could give back.
SPANMALLOC_EXPORT struct mallinfo2 mallinfo2(void) {
  platform::ErrnoGuard errno_guard;
  const HeapStats stats = read_stats(heap);
  struct mallinfo2 info {};
  info.arena = stats.in_use - stats.released_in_spans + stats.free_retained;
  info.ordblks = stats.partly_used_spans;
  info.fsmblks = stats.cached;
  info.uordblks = stats.live();
  info.fordblks = info.arena > info.uordblks ? info.arena - info.uordblks : 0;
  info.keepcost = stats.free_retained;
  return info;
}

// As mallinfo2(), in the int fields of old programs, which wrap above 2 GiB as glibc's do.
SPANMALLOC_EXPORT struct mallinfo mallinfo(void) {
  const struct mallinfo2 wide = mallinfo2();
  struct mallinfo info {};
  info.arena = static_cast<int>(wide.arena);
  info.ordblks = static_cast<int>(wide.ordblks);
  info.fsmblks = static_cast<int>(wide.fsmblks);
  info.uordblks = static_cast<int>(wide.uordblks);
  info.fordblks = static_cast<int>(wide.fordblks);
  info.keepcost = static_cast<int>(wide.keepcost);
  return info;
}

// Returns 1 for the parameters of glibc whose purpose is met or has no counterpart here, 0 for
// unknown ones and for the values that glibc refuses.
SPANMALLOC_EXPORT int mallopt(int parameter, int value) {
  switch (parameter) {
    case M_MXFAST:
      return value >= 0 && value <= kMostFastBytes ? 1 : 0;
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
      return 1;
    default:
      return 0;
  }
}

// Old names of these two, which glibc still exports.
[[gnu::nothrow, gnu::alias("mallinfo")]] SPANMALLOC_EXPORT struct mallinfo __libc_mallinfo(void);
[[gnu::nothrow, gnu::alias("mallopt")]] SPANMALLOC_EXPORT int __libc_mallopt(int parameter,
                                                                             int value);

// Gives back all free memory; `pad` bytes are not kept, since free pages have no top. Returns 1 if
// memory was given back, 0 otherwise.
SPANMALLOC_EXPORT int malloc_trim(size_t) {
  platform::ErrnoGuard errno_guard;
  return heap.release_everything() > 0 ? 1 : 0;
}

// Prints statistics to standard error.
SPANMALLOC_EXPORT void malloc_stats(void) {
  BufferedText<2048> text;
  write_text(read_stats(heap), text);
  platform::write_error(text.begin(), text.length());
}

// Writes an XML document with the structure of glibc's. Returns 0, or EINVAL unless `options` is 0.
SPANMALLOC_EXPORT int malloc_info(int options, FILE* stream) {
  if (options != 0) return EINVAL;
  Document document{stream};
  BufferedText<512> text({&write_piece, &document});
  write_xml(read_stats(heap), text);
  text.flush();
  return document.error;
}

}  // extern "C"
