#include "base/metadata_arena.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "platform/huge_pages.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

namespace {

// Mapped at a time; a refusal falls back to what the request itself needs.
constexpr size_t kBlockBytes = 1 << 20;
// What is mapped ahead for the growth of a usual heap comes in such blocks, which become one
// mapping of the kernel; from so much on it is mapped at once.
constexpr size_t kLeastLargeBlock = size_t{4} << 20;
// Where the first thing is an array of which little is touched: room for the arrays of a usual
// address window and for the first records, in one mapping that is smaller than a huge page.
constexpr size_t kFirstBlockBytes = (size_t{2} << 20) - (size_t{16} << 10);

constexpr size_t kMaxAlignment = 4096;

bool overlap(uintptr_t begin, uintptr_t end, uintptr_t other_begin, uintptr_t other_end) {
  return begin < other_end && other_begin < end;
}

}  // namespace

// Writes nothing to it: what is used at once may have no use for its first page.
MetadataArena::Block MetadataArena::map_block(size_t bytes, Naming naming) {
  const size_t block = align_up(bytes, platform::page_bytes());
  const uintptr_t mapped = platform::map(block, 0);
  if (mapped == 0) return {};
  if (naming == Naming::kNow) name_block({mapped, block});
  // Where the kernel gives huge pages unasked, the first byte in use would cost one.
  if (block >= platform::kHugePageBytes) {
    platform::advise_huge_pages(mapped, block, platform::HugePages::kRefuse);
  }
  mapped_bytes_.fetch_add(block, std::memory_order_relaxed);
  return {mapped, block};
}

void MetadataArena::name_block(Block block) {
  platform::name_range(block.begin, block.bytes, "spanmalloc metadata");
  if (unnamed_.begin != 0) name_block(std::exchange(unnamed_, {}));
}

void MetadataArena::keep_spare(SpareBlock* block) {
  block->next = spare_;
  spare_ = block;
}

// Takes the first spare block off the list, of a large one a block.
MetadataArena::Block MetadataArena::take_spare(size_t needed) {
  SpareBlock* block = spare_;
  spare_ = block->next;
  const size_t bytes = align_up(std::max(needed, kBlockBytes), platform::page_bytes());
  if (block->bytes > bytes + kBlockBytes) {
    // What is not in use can be unmapped yet.
    void* rest = reinterpret_cast<char*>(block) + bytes;
    keep_spare(new (rest) SpareBlock{nullptr, block->bytes - bytes, block->is_from_elsewhere});
    block->bytes = bytes;
  }
  const Block taken{reinterpret_cast<uintptr_t>(block), block->bytes};
  *block = {};
  return taken;
}

void MetadataArena::begin_block(Block block) {
  next_ = block.begin;
  end_ = block.begin + block.bytes;
}

// Makes a block with `needed` bytes the one that is allocated from.
bool MetadataArena::open_block(size_t needed) {
  Block block;
  if (spare_ != nullptr && spare_->bytes >= needed) {
    block = take_spare(needed);
  } else {
    block = map_block(needed > kBlockBytes ? needed : kBlockBytes);
    if (block.begin == 0) block = map_block(needed);
    if (block.begin == 0) return false;
  }
  begin_block(block);
  return true;
}

void* MetadataArena::allocate(size_t bytes, size_t alignment) {
  SPANMALLOC_DCHECK(is_power_of_two(alignment) && alignment <= kMaxAlignment,
                    "bad metadata alignment");
  MutexLock lock(mutex_);
  uintptr_t start = align_up(next_, alignment);
  if (next_ == 0 || start + bytes > end_) {
    // A block starts on a page, which meets every alignment.
    if (!open_block(bytes)) return nullptr;
    start = next_;
  }
  next_ = start + bytes;
  used_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return reinterpret_cast<void*>(start);
}

void* MetadataArena::allocate_sparse(size_t bytes) {
  MutexLock lock(mutex_);
  if (next_ == 0) {
    // A small heap has no other, and saves the call.
    unnamed_ = map_block(kFirstBlockBytes, Naming::kWithTheNext);
    if (unnamed_.begin != 0) begin_block(unnamed_);
  }
  uintptr_t start = align_up(next_, platform::kCacheLineBytes);
  if (next_ != 0 && start + bytes <= end_) {
    next_ = start + bytes;
  } else {
    // The block that is allocated from has room for records yet.
    start = map_block(bytes).begin;
    if (start == 0) return nullptr;
  }
  mapped_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return reinterpret_cast<void*>(start);
}

bool MetadataArena::ensure_mapped(size_t bytes) {
  if (mapped_bytes() >= bytes) return true;
  MutexLock lock(mutex_);
  size_t most = SIZE_MAX;
  while (mapped_bytes() < bytes) {
    const size_t missing = align_up(bytes - mapped_bytes(), kBlockBytes);
    const size_t wanted = missing < kLeastLargeBlock ? kBlockBytes : std::min(missing, most);
    const Block block = map_block(wanted);
    if (block.begin != 0) {
      keep_spare(new (reinterpret_cast<void*>(block.begin))
                     SpareBlock{.next = nullptr, .bytes = block.bytes, .is_from_elsewhere = false});
    } else if (wanted > kBlockBytes) {
      most = align_up(wanted / 2, kBlockBytes);
    } else {
      return false;
    }
  }
  return true;
}

void MetadataArena::unmap_spare(size_t bytes) {
  MutexLock lock(mutex_);
  SpareBlock* block = spare_;
  while (block != nullptr && !block->is_from_elsewhere && mapped_bytes() - block->bytes >= bytes) {
    SpareBlock* next = block->next;
    const size_t unmapped = block->bytes;
    if (!platform::unmap(reinterpret_cast<uintptr_t>(block), unmapped)) break;
    mapped_bytes_.fetch_sub(unmapped, std::memory_order_relaxed);
    spare_ = block = next;
  }
}

void MetadataArena::add_memory(uintptr_t address, size_t bytes) {
  MutexLock lock(mutex_);
  mapped_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  keep_spare(new (reinterpret_cast<void*>(address))
                 SpareBlock{.next = nullptr, .bytes = bytes, .is_from_elsewhere = true});
}

void MetadataArena::check_invariants() {
  MutexLock lock(mutex_);
  // Ends of blocks that were too short for the next record are in none of the sums.
  const size_t mapped = mapped_bytes();
  size_t known = used_bytes();
  SPANMALLOC_CHECK(known <= mapped, "more metadata is used than was mapped");
  SPANMALLOC_CHECK(next_ <= end_, "metadata was handed out behind the end of its block");
  SPANMALLOC_CHECK(end_ - next_ <= mapped - known, "more metadata is left than was mapped");
  known += end_ - next_;
  // The sum also ends the walk where the list has become a circle.
  for (const SpareBlock* block = spare_; block != nullptr; block = block->next) {
    SPANMALLOC_CHECK(is_aligned(reinterpret_cast<uintptr_t>(block), kMaxAlignment),
                     "a spare block of metadata starts on no page");
    SPANMALLOC_CHECK(block->bytes >= sizeof(SpareBlock) && block->bytes <= mapped - known,
                     "a spare block of metadata has a wrong length");
    known += block->bytes;
  }
  for (const SpareBlock* block = spare_; block != nullptr; block = block->next) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(block);
    const uintptr_t end = begin + block->bytes;
    SPANMALLOC_CHECK(!overlap(begin, end, next_, end_), "a spare block of metadata is in use");
    for (const SpareBlock* other = block->next; other != nullptr; other = other->next) {
      const uintptr_t other_begin = reinterpret_cast<uintptr_t>(other);
      SPANMALLOC_CHECK(!overlap(begin, end, other_begin, other_begin + other->bytes),
                       "spare blocks of metadata overlap");
    }
  }
}

}  // namespace spanmalloc
