#include "heap/guarded_blocks.h"

#include "base/bits.h"
#include "base/check.h"
#include "heap/access_report.h"
#include "platform/stack_trace.h"
#include "platform/system.h"
#include "platform/thread.h"
#include "platform/virtual_memory.h"
#include "spans/misuse.h"

namespace spanmalloc {

namespace {}  // namespace

void GuardedBlocks::Event::record(const void* frame) {
  thread = platform::thread_number();
  depth = static_cast<uint32_t>(platform::capture_stack(frame, stack, kStackDepth));
}

bool GuardedBlocks::open(BlockEnds ends) {
  const size_t kernel_page = platform::page_bytes();
  const size_t slot_bytes = align_up(kMaxBlockBytes, kernel_page);
  const size_t region = kSlots * (slot_bytes + kernel_page) + kernel_page;
  void* records = arena_.allocate(kSlots * sizeof(Slot), alignof(Slot));
  if (records == nullptr) return false;
  const uintptr_t base = platform::reserve(region, 0);
  if (base == 0) return false;
  platform::name_range(base, region, "spanmalloc: guarded blocks");
  ends_ = ends;
  slots_ = static_cast<Slot*>(records);
  slot_bytes_ = slot_bytes;
  guard_bytes_ = kernel_page;
  region_bytes_ = region;
  if (!close_region(base)) {
    region_bytes_ = 0;
    return false;
  }
  MutexLock lock(mutex_);
  for (size_t index = 0; index < kSlots; ++index) free_[index] = static_cast<uint16_t>(index);
  free_count_ = kSlots;
  base_.store(base, std::memory_order_relaxed);
  return true;
}

bool GuardedBlocks::close_region(uintptr_t base) {
  // What is accessible but for marks counts as the data of the process.
  const bool has_limit = platform::data_limit() != SIZE_MAX;
  if (has_limit || !platform::guards_take_no_mappings() ||
      !platform::prepare(base, region_bytes_)) {
    return true;
  }
  guards_are_marks_ = platform::install_guard(base, region_bytes_);
  return guards_are_marks_ || platform::make_inaccessible(base, region_bytes_);
}

bool GuardedBlocks::open_slot(size_t index) const {
  return guards_are_marks_ ? platform::remove_guard(slot_start(index), slot_bytes_)
                           : platform::prepare(slot_start(index), slot_bytes_);
}

void GuardedBlocks::close_slot(size_t index) const {
  const uintptr_t start = slot_start(index);
  if (guards_are_marks_ && platform::install_guard(start, slot_bytes_)) return;
  if (platform::release(start, slot_bytes_) == platform::ReleaseResult::kRefused) {
    memset(reinterpret_cast<void*>(start), 0, slot_bytes_);
  }
  if (!guards_are_marks_) (void)platform::make_inaccessible(start, slot_bytes_);
}

bool GuardedBlocks::take_slot(size_t* index) {
  MutexLock lock(mutex_);
  if (free_count_ == 0) return false;
  *index = free_[first_free_];
  first_free_ = (first_free_ + 1) % kSlots;
  --free_count_;
  return true;
}

void GuardedBlocks::put_slot(size_t index) {
  MutexLock lock(mutex_);
  free_[(first_free_ + free_count_) % kSlots] = static_cast<uint16_t>(index);
  ++free_count_;
}

size_t GuardedBlocks::canary_count(size_t index) const {
  const size_t behind = slot_end(index) - slots_[index].address - slots_[index].bytes;
  return behind < kMaxCanaryBytes ? behind : kMaxCanaryBytes;
}

void* GuardedBlocks::allocate(size_t bytes, size_t alignment, uint64_t random, const void* frame) {
  size_t index = 0;
  if (bytes > kMaxBlockBytes || alignment > guard_bytes_ || !take_slot(&index)) return nullptr;
  if (!open_slot(index)) {
    put_slot(index);
    return nullptr;
  }
  Slot& slot = slots_[index];
  const size_t step = alignment > kMinAlignment ? alignment : kMinAlignment;
  const size_t least = bytes > 0 ? bytes : 1;
  const bool at_end = (random & 1) != 0;
  slot.address = at_end ? align_down(slot_end(index) - least, step) : slot_start(index);
  slot.bytes = bytes;
  slot.allocated.record(frame);
  ends_.write_canary(slot.address, bytes, canary_count(index));
  live_.fetch_add(1, std::memory_order_relaxed);
  // Release: who sees the state sees the fields.
  slot.state.store(State::kLive, std::memory_order_release);
  return reinterpret_cast<void*>(slot.address);
}

size_t GuardedBlocks::slot_index(uintptr_t address) const {
  const size_t offset = address - base_.load(std::memory_order_relaxed);
  const size_t index =
      offset < guard_bytes_ ? 0 : (offset - guard_bytes_) / (slot_bytes_ + guard_bytes_);
  return index < kSlots ? index : kSlots - 1;
}

size_t GuardedBlocks::checked_slot(const void* pointer, const char* call) const {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  const size_t index = slot_index(address);
  const Slot& slot = slots_[index];
  const State state = slot.state.load(std::memory_order_acquire);
  const bool is_start = state != State::kNeverUsed && slot.address == address;
  if (is_start && state == State::kLive) {
    if (ends_.has_canary(slot.address, slot.bytes, canary_count(index))) return index;
    say_overflow(call, address, slot.bytes);
  } else if (is_start) {
    say_use_of_free_block(call, address, slot.bytes);
  } else if (state != State::kNeverUsed && address - slot.address < slot.bytes) {
    say_interior_pointer(call, address, slot.bytes);
  } else {
    say_foreign_pointer(call, address);
  }
  end_with_history(slot);
}

void GuardedBlocks::deallocate(void* pointer, const void* frame) {
  const size_t index = checked_slot(pointer, "free");
  Slot& slot = slots_[index];
  State expected = State::kLive;
  // Of two threads that free the block at once, one is told.
  if (!slot.state.compare_exchange_strong(expected, State::kFreed, std::memory_order_acq_rel)) {
    (void)checked_slot(pointer, "free");
  }
  slot.freed.record(frame);
  live_.fetch_sub(1, std::memory_order_relaxed);
  close_slot(index);
  put_slot(index);
}

size_t GuardedBlocks::block_bytes(const void* pointer, const char* call) const {
  return slots_[checked_slot(pointer, call)].bytes;
}

void GuardedBlocks::shorten(void* pointer, size_t bytes) {
  const size_t index = checked_slot(pointer, "realloc");
  Slot& slot = slots_[index];
  slot.bytes = bytes;
  ends_.write_canary(slot.address, bytes, canary_count(index));
}

void GuardedBlocks::report_size(const void* pointer, size_t given, const char* call) const {
  const Slot& slot = slots_[checked_slot(pointer, call)];
  say_size_mismatch(call, slot.address, slot.bytes, given);
  end_with_history(slot);
}

void GuardedBlocks::report_alignment(const void* pointer, size_t given, const char* call) const {
  const Slot& slot = slots_[checked_slot(pointer, call)];
  say_alignment_mismatch(call, slot.address, slot.bytes, given);
  end_with_history(slot);
}

void GuardedBlocks::describe_history(const Slot& slot) {
  const State state = slot.state.load(std::memory_order_acquire);
  if (state == State::kNeverUsed) return;
  const Event* events[] = {&slot.allocated, state == State::kFreed ? &slot.freed : nullptr};
  const char* const verbs[] = {"allocated", "freed"};
  for (size_t which = 0; which < 2; ++which) {
    if (events[which] == nullptr) continue;
    const Event& event = *events[which];
    ReportLine line;
    line.text("  ").text(verbs[which]).text(" by thread ").number(event.thread).text(" at:");
    write_line(line);
    for (size_t depth = 0; depth < event.depth; ++depth) write_code(event.stack[depth]);
  }
}

void GuardedBlocks::end_with_history(const Slot& slot) {
  describe_history(slot);
  platform::abort_process();
}

const GuardedBlocks::Slot& GuardedBlocks::nearest_slot(uintptr_t address) const {
  const size_t index = slot_index(address);
  const Slot& here = slots_[index];
  if (index + 1 == kSlots || address < slot_end(index)) return here;
  // In a guard: the block before it or the one behind it.
  const Slot& next = slots_[index + 1];
  if (next.state.load(std::memory_order_acquire) == State::kNeverUsed) return here;
  if (here.state.load(std::memory_order_acquire) == State::kNeverUsed) return next;
  return address - here.address - here.bytes <= next.address - address ? here : next;
}

bool GuardedBlocks::describe_access(uintptr_t address, uintptr_t code) const {
  if (!contains(address)) return false;
  const Slot& slot = nearest_slot(address);
  const State state = slot.state.load(std::memory_order_acquire);
  if (state == State::kNeverUsed) return false;
  ReportLine line;
  line.text("spanmalloc: ").text(state == State::kFreed ? "use after free of a " : "access to a ");
  line.number(slot.bytes).text("-byte block at ").hexadecimal(slot.address).text(", ");
  append_distance(line, address, slot.address, slot.bytes);
  write_line(line);
  write_accessor(code);
  describe_history(slot);
  return true;
}

void GuardedBlocks::check_invariants() {
  MutexLock lock(mutex_);
  SPANMALLOC_CHECK(free_count_ + live_count() <= kSlots, "more guarded blocks than slots");
  for (size_t place = 0; place < free_count_; ++place) {
    const size_t index = free_[(first_free_ + place) % kSlots];
    SPANMALLOC_CHECK(index < kSlots, "a free slot that does not exist");
    SPANMALLOC_CHECK(slots_[index].state.load(std::memory_order_relaxed) != State::kLive,
                     "the slot of a live block is free");
  }
}

}  // namespace spanmalloc
