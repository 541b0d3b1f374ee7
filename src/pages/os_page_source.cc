#include "pages/os_page_source.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "platform/call_filter.h"
#include "platform/compiler.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

constexpr size_t kGiB = size_t{1} << 30;
// The usual window: arrays over it cost 42 MiB of address space.
constexpr size_t kUsualWindow = 256 * kGiB;

// Places in the window that are tried before a request is refused.
constexpr size_t kPlaces = 16;

// Half of the window is for the heap for certain: four times the memory of the machine, for pages
// may be never touched or swapped. Under a limit, the arrays must stay a small part of it.
size_t default_window_bytes(size_t limit) {
  const size_t memory = std::min(platform::physical_memory(), size_t{1} << 44);
  const size_t unlimited = std::max(kUsualWindow, 2 * std::bit_ceil(4 * memory));
  if (limit >= unlimited / 32) return unlimited;
  return std::max(OsPageSource::kSmallestWindow, std::bit_ceil(32 * limit));
}

// Under a small limit, address space that is reserved and not used is missing elsewhere.
size_t default_arena_bytes(size_t limit, size_t window_bytes) {
  const size_t most = std::min(limit / 16, window_bytes / 4);
  if (most >= kArenaBytes) return kArenaBytes;
  return std::max(kChunkBytes, align_down(most, kChunkBytes));
}

}  // namespace

bool OsPageSource::open(size_t window_bytes) {
  if (window_.size.value != 0) return true;
  const size_t limit = platform::address_space_limit();
  if (window_bytes == 0) window_bytes = default_window_bytes(limit);
  SPANMALLOC_CHECK(is_power_of_two(window_bytes) && window_bytes >= kChunkBytes,
                   "address window is not a power of two of chunks");
  arena_bytes_ = default_arena_bytes(limit, window_bytes);

  window_ = {0, pages_for(window_bytes)};
  if (!map_first_chunk()) {
    window_ = {};
    return false;
  }
  return true;
}

void OsPageSource::close() {
  if (first_.end != 0) (void)platform::unmap(first_.begin, first_.bytes());
  first_ = {};
  first_is_named_ = false;
  current_ = {};
  window_ = {};
}

// A start that differs from process to process, in the second quarter of the window or, where
// something else lies there, at another place of that quarter. If the kernel insists on its own
// idea of where memory lies, the window reaches up to there.
bool OsPageSource::map_first_chunk() {
  const size_t quarter = window_.size.bytes().value / 4;
  const size_t starts = std::max<size_t>(1, quarter / kChunkBytes);
  const size_t random = platform::process_random() % starts;
  for (size_t place = 0; place < kPlaces; ++place) {
    const size_t chunk = (random + place * starts / kPlaces) % starts;
    first_ = reserve_at(quarter + chunk * kChunkBytes, kChunkBytes, &platform::reserve_prepared);
    if (first_.end == 0) return false;
    if (is_in_window(first_)) break;
    if (place + 1 == kPlaces || !platform::kAddressHintsAllowed) {
      window_.size = pages_for(std::bit_ceil(first_.end));
      break;
    }
    (void)platform::unmap(first_.begin, first_.bytes());
  }
  first_.prepared_end = first_.end;
  current_ = first_;
  // Where the kernel gives huge pages unasked, a small program's first block would cost 2 MiB.
  platform::advise_huge_pages(first_.begin, first_.bytes(), platform::HugePages::kRefuse);
  return true;
}

bool OsPageSource::is_in_window(Arena arena) const {
  return window_.contains(arena.begin) && window_.contains(arena.end - 1);
}

// Reserves `bytes` bytes at a multiple of the chunk, if possible at `hint`; empty when refused.
OsPageSource::Arena OsPageSource::reserve_at(uintptr_t hint, size_t bytes, Reserve reserve) const {
  if constexpr (!platform::kAddressHintsAllowed) hint = 0;
  uintptr_t begin = reserve(bytes, hint);
  if (begin == 0) return {};
  if (!is_aligned(begin, kChunkBytes)) {
    // Once more with room to cut an aligned piece out of it.
    if (!platform::unmap(begin, bytes)) return {};
    const size_t room = bytes + kChunkBytes - platform::page_bytes();
    const uintptr_t found = reserve(room, hint);
    if (found == 0) return {};
    begin = align_up(found, kChunkBytes);
    const uintptr_t end = begin + bytes;
    // What cannot be unmapped for want of mappings is address space lost, nothing else.
    if (begin > found) (void)platform::unmap(found, begin - found);
    if (found + room > end) (void)platform::unmap(end, found + room - end);
  }
  return {begin, begin + bytes, 0};
}

// With the first arena the first chunk is named too: a small heap saves the call. The two become
// one mapping only where the kernel has no huge pages, out of which the first chunk is kept.
void OsPageSource::name_heap(Arena arena) {
  if (!first_is_named_) platform::name_range(first_.begin, first_.bytes(), kName);
  first_is_named_ = true;
  platform::name_range(arena.begin, arena.bytes(), kName);
}

// Reserves `behind` bytes right behind the current arena, else `elsewhere` bytes somewhere in the
// window; empty when that fails.
OsPageSource::Arena OsPageSource::reserve_in_window(size_t behind, size_t elsewhere,
                                                    Reserve reserve) const {
  const size_t window_bytes = window_.size.bytes().value;
  const size_t step = std::max(window_bytes / kPlaces, kChunkBytes);
  for (size_t place = 0; place < kPlaces; ++place) {
    const size_t offset = (current_.end - window_.base + place * step) % window_bytes;
    const bool is_behind = platform::kAddressHintsAllowed && place == 0;
    const Arena arena = reserve_at(window_.base + offset, is_behind ? behind : elsewhere, reserve);
    if (arena.end == 0) return {};
    if (is_in_window(arena) && (arena.begin == current_.end || arena.bytes() >= elsewhere)) {
      return arena;
    }
    (void)platform::unmap(arena.begin, arena.bytes());
    if constexpr (!platform::kAddressHintsAllowed) break;
  }
  return {};
}

// Reserves what makes an arena of at least `needed` bytes, with the current one if it lies behind
// it; empty when refused. REQUIRES: the current arena is smaller.
OsPageSource::Arena OsPageSource::reserve_arena(size_t needed) {
  const size_t missing = needed - current_.bytes();
  size_t bytes = std::max(arena_bytes_, missing);
  while (true) {
    const Arena arena = reserve_in_window(bytes, std::max(bytes, needed));
    if (arena.end != 0 || bytes == missing) return arena;
    bytes = std::max(missing, align_down(bytes / 2, kChunkBytes));
  }
}

// Takes as much memory as grow() would, in the place where it would, and gives it back: that alone
// tells what every limit of the process and of the system allows.
bool OsPageSource::can_grow(PageCount at_least) {
  if (at_least > window_.size) return false;
  const size_t bytes = align_up(at_least.bytes().value, kChunkBytes);
  if (current_.bytes() >= bytes || rest_with(bytes) != nullptr) return true;
  const Reserve reserve = way_to_try();
  // Out of mappings the heap can grow all the same.
  if (reserve == nullptr) return true;
  Arena taken = reserve_in_window(bytes - current_.bytes(), bytes, reserve);
  if (taken.end == 0) return false;
  if (!platform::unmap(taken.begin, taken.bytes())) {
    if (reserve == &platform::reserve_prepared) taken.prepared_end = taken.end;
    keep_rest(taken);
  }
  return true;
}

// How memory can be mapped for a moment; nullptr where no mapping is to be had. In a process that
// locks its memory (mlockall) all that is writable would be backed at once. Locked pages are those
// that the kernel does not take back.
OsPageSource::Reserve OsPageSource::way_to_try() {
  const size_t bytes = platform::page_bytes();
  const uintptr_t page = platform::reserve_prepared(bytes, 0);
  if (page == 0) return nullptr;
  const bool is_locked = platform::release(page, bytes) == platform::ReleaseResult::kRefused;
  // A page that cannot be unmapped for want of mappings is lost.
  if (!platform::unmap(page, bytes)) return nullptr;
  return is_locked ? &platform::reserve : &platform::reserve_prepared;
}

// Makes current_ an arena whose first `needed` bytes are Prepared. Where these are refused, the
// addresses go back, so that the process has what it had before.
OsPageSource::Added OsPageSource::add_arena(size_t needed) {
  const Arena added = reserve_arena(needed);
  if (added.end == 0) return Added::kNoAddresses;
  const bool is_behind = added.begin == current_.end;
  Arena arena = added;
  if (is_behind) arena = {current_.begin, added.end, current_.prepared_end};
  // Before it is prepared: parts of one mapping that differ in their names are mappings.
  name_heap(added);
  const bool is_prepared = prepare(arena, needed);
  // What cannot be unmapped for want of mappings is kept for later requests.
  if (!is_prepared && platform::unmap(added.begin, added.bytes())) return Added::kNotPrepared;
  if (!is_behind) keep_rest(current_);
  current_ = arena;
  return is_prepared ? Added::kAll : Added::kNotPrepared;
}

// The smallest rest that has room; nullptr when none has.
OsPageSource::Arena* OsPageSource::rest_with(size_t bytes) {
  Arena* best = nullptr;
  for (Arena& rest : rests_) {
    if (rest.bytes() >= bytes && (best == nullptr || rest.bytes() < best->bytes())) best = &rest;
  }
  return best;
}

void OsPageSource::keep_rest(Arena rest) {
  Arena* smallest =
      std::min_element(rests_, rests_ + kMaxRests,
                       [](const Arena& a, const Arena& b) { return a.bytes() < b.bytes(); });
  if (smallest->bytes() < rest.bytes()) std::swap(*smallest, rest);
  if (rest.bytes() > 0) (void)platform::unmap(rest.begin, rest.bytes());
}

// Makes current_ at least `bytes` bytes long where no new arena is to be had, all of it Prepared.
bool OsPageSource::extend_current(size_t bytes) {
  if constexpr (!platform::kAddressHintsAllowed) return false;
  const size_t missing = bytes - current_.bytes();
  const Arena wanted{current_.begin, current_.end + missing, 0};
  if (!is_in_window(wanted) || !prepare(current_, current_.bytes())) return false;
  if (!platform::extend_prepared(current_.end, missing) &&
      !(platform::give_up_spare_mappings() && platform::extend_prepared(current_.end, missing))) {
    return false;
  }
  current_.end = current_.prepared_end = wanted.end;
  return true;
}

// An arena whose first `bytes` bytes are Prepared; nullptr when refused.
OsPageSource::Arena* OsPageSource::prepared_arena(size_t bytes) {
  Arena* const arena = current_.bytes() >= bytes ? &current_ : rest_with(bytes);
  if (arena != nullptr) return prepare(*arena, bytes) ? arena : nullptr;
  const Added added = add_arena(bytes);
  if (added == Added::kNoAddresses && extend_current(bytes)) return &current_;
  return added == Added::kAll ? &current_ : nullptr;
}

// Makes the first `bytes` bytes of the arena Prepared. False when refused.
bool OsPageSource::prepare(Arena& arena, size_t bytes) {
  return prepare_part_or_all(arena, bytes) ||
         (platform::give_up_spare_mappings() && prepare_part_or_all(arena, bytes));
}

bool OsPageSource::prepare_part_or_all(Arena& arena, size_t bytes) {
  const uintptr_t end = arena.begin + bytes;
  if (end <= arena.prepared_end) return true;
  const uintptr_t begin = std::max(arena.begin, arena.prepared_end);
  if (platform::prepare(begin, end - begin)) {
    arena.prepared_end = end;
    return true;
  }
  // A part that changes may be a mapping more, the whole is not.
  if (end == arena.end || !platform::prepare(begin, arena.end - begin)) return false;
  arena.prepared_end = arena.end;
  return true;
}

PageRange OsPageSource::grow(PageCount at_least) {
  if (at_least.value == 0 || at_least > window_.size) return {};
  const size_t bytes = align_up(at_least.bytes().value, kChunkBytes);
  Arena* const arena = prepared_arena(bytes);
  if (arena == nullptr) return {};
  const PageNumber first = window_.page(arena->begin);
  arena->begin += bytes;
  return {first, pages_for(bytes)};
}

platform::MemoryPiece OsPageSource::grow_for_records(Bytes at_least) {
  const PageRange pages = grow(pages_for(at_least.value));
  if (pages.count.value == 0) return {0, 0};
  return {window_.address(pages.first), pages.count.bytes().value};
}

bool OsPageSource::continues_at(PageNumber end, PageCount count) const {
  if (current_.begin != window_.address(end)) return false;
  // Behind the first chunk nothing is reserved yet, and the next arena is placed there.
  return current_.end == first_.end ||
         current_.bytes() >= align_up(count.bytes().value, kChunkBytes);
}

platform::ReleaseResult OsPageSource::release(PageRange pages) {
  const uintptr_t address = window_.address(pages.first);
  const size_t bytes = pages.count.bytes().value;
  if (release_way_.load(std::memory_order_relaxed) == ReleaseWay::kLazily) {
    return platform::release_lazily(address, bytes);
  }
  const platform::ReleaseResult result = platform::release(address, bytes);
  if constexpr (kParanoid) {
    // The page heap makes pages accessible again when it hands them out.
    if (result == platform::ReleaseResult::kReleasedReadsZero) {
      (void)platform::make_inaccessible(address, bytes);
    }
  }
  return result;
}

size_t OsPageSource::release_pieces(const platform::MemoryPiece* pieces, size_t count) {
  if (release_way_.load(std::memory_order_relaxed) == ReleaseWay::kAtOnce) {
    return platform::release_pieces(pieces, count);
  }
  for (size_t index = 0; index < count; ++index) {
    if (platform::release_lazily(pieces[index].address, pieces[index].bytes) ==
        platform::ReleaseResult::kRefused) {
      return index;
    }
  }
  return count;
}

void OsPageSource::populate(PageRange pages) {
  platform::populate(window_.address(pages.first), pages.count.bytes().value);
}

void OsPageSource::advise_huge_pages(PageRange pages, platform::HugePages wish) {
  platform::advise_huge_pages(window_.address(pages.first), pages.count.bytes().value, wish);
}

// The first chunk alone has a wish, and stays as it is once the window is open.
void OsPageSource::advise_again(PageRange pages) {
  const uintptr_t begin = std::max(window_.address(pages.first), first_.begin);
  const uintptr_t end = std::min(window_.address(pages.end()), first_.end);
  if (begin < end) platform::advise_huge_pages(begin, end - begin, platform::HugePages::kRefuse);
}

platform::HugePageMode OsPageSource::huge_page_mode() {
  const platform::HugePageMode mode = platform::huge_page_mode();
  // The kernel may have chosen them by itself, at a first touch or later.
  if (mode == platform::HugePageMode::kAlways) platform::expect_huge_pages();
  return mode;
}

// Between two looks the program may have installed a filter that ends it for the next one.
Bytes OsPageSource::own_resident_bytes(PageRange pages) {
  if (platform::has_late_filter()) return {};
  return {platform::own_resident_bytes(window_.address(pages.first), pages.count.bytes().value)};
}

platform::CollapseResult OsPageSource::collapse(PageRange pages) {
  platform::expect_huge_pages();
  return platform::collapse(window_.address(pages.first), pages.count.bytes().value);
}

}  // namespace spanmalloc
