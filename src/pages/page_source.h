// Where the page heap gets memory from: the seam between the arithmetic on pages and the operating
// system. Tests put a fake behind it and let the page heap work on addresses that do not exist.
#ifndef SPANMALLOC_PAGES_PAGE_SOURCE_H_
#define SPANMALLOC_PAGES_PAGE_SOURCE_H_

#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "platform/huge_pages.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

// The one range of addresses in which all heap memory lies. Its base is a multiple of kChunkBytes;
// an alignment of pages above the base's own alignment cannot be had.
struct AddressWindow {
  uintptr_t base = 0;
  PageCount size;

  constexpr uintptr_t address(PageNumber page) const { return base + (page.value << kPageShift); }
  // REQUIRES: contains(address).
  constexpr PageNumber page(uintptr_t address) const { return {(address - base) >> kPageShift}; }
  // True for addresses of the window; any value may be asked.
  constexpr bool contains(uintptr_t address) const { return address - base < size.bytes().value; }
};

class PageSource {
 public:
  // False when grow(at_least) would be refused as far as the source can find out. May take system
  // calls; what is mapped for them goes again. Called under the page heap's lock.
  virtual bool can_grow(PageCount) { return true; }

  // Prepared memory that reads as zero: whole chunks, aligned to a chunk, at least `at_least`
  // pages; count 0 when refused. Continues the last range where it can, so that neighbours merge.
  // Called under the page heap's lock.
  virtual PageRange grow(PageCount at_least) = 0;

  // Memory as grow() gives it, for the allocator's records: what the heap lies in may grow where
  // the system gives no mapping more. At least `bytes` bytes, kept for good; 0 when refused. Called
  // under the page heap's lock.
  virtual platform::MemoryPiece grow_for_records(Bytes) { return {0, 0}; }

  // True when grow(count) would start at `end` as far as the source knows.
  // Called under the page heap's lock.
  virtual bool continues_at(PageNumber end, PageCount count) const = 0;

  // Gives the memory of the pages back; they read as zero afterwards unless refused. Thread-safe.
  virtual platform::ReleaseResult release(PageRange pages) = 0;

  // As release() for pieces of the pages in units of the kernel's pages. Returns how many of them,
  // from the first one on, were given back. Thread-safe.
  virtual size_t release_pieces(const platform::MemoryPiece* pieces, size_t count) = 0;

  // Backs pages by memory that were handed out as released. Only a wish. Thread-safe.
  virtual void populate(PageRange pages) = 0;

  // Passes a wish on to the kernel. Thread-safe.
  virtual void advise_huge_pages(PageRange pages, platform::HugePages wish) = 0;

  // For pages whose memory was mapped anew: repeats what the source itself wishes for them.
  // Thread-safe.
  virtual void advise_again(PageRange) {}

  // Huge pages of the system, see platform/huge_pages.h. A source that is no system's has none, and
  // none are seen where a look could end the process. Thread-safe.
  virtual platform::HugePageMode huge_page_mode() { return platform::HugePageMode::kNever; }
  virtual Bytes own_resident_bytes(PageRange) { return {}; }
  virtual platform::CollapseResult collapse(PageRange) {
    return platform::CollapseResult::kRefused;
  }

 protected:
  constexpr PageSource() = default;
  ~PageSource() = default;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_PAGES_PAGE_SOURCE_H_
