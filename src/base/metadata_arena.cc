#include "base/metadata_arena.h"

#include "base/bits.h"
#include "base/check.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

namespace {

// Mapped at a time; a refusal falls back to what the request itself needs.
constexpr size_t kBlockBytes = 1 << 20;

}  // namespace

void* MetadataArena::allocate(size_t bytes, size_t alignment) {
  SPANMALLOC_DCHECK(is_power_of_two(alignment) && alignment <= 4096, "bad metadata alignment");
  MutexLock lock(mutex_);
  uintptr_t start = align_up(next_, alignment);
  if (next_ == 0 || start + bytes > end_) {
    size_t block = align_up(bytes > kBlockBytes ? bytes : kBlockBytes, platform::page_bytes());
    uintptr_t mapped = platform::map(block, 0);
    if (mapped == 0) {
      block = align_up(bytes, platform::page_bytes());
      mapped = platform::map(block, 0);
      if (mapped == 0) return nullptr;
    }
    platform::name_range(mapped, block, "spanmalloc metadata");
    mapped_bytes_.fetch_add(block, std::memory_order_relaxed);
    // A block that continues the last one leaves no remainder behind.
    if (mapped != end_) next_ = mapped;
    end_ = mapped + block;
    start = align_up(next_, alignment);
  }
  next_ = start + bytes;
  used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return reinterpret_cast<void*>(start);
}

}  // namespace spanmalloc
