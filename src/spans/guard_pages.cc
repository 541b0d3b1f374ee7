#include "spans/guard_pages.h"

#include "base/check.h"
#include "platform/system.h"
#include "platform/virtual_memory.h"

namespace spanmalloc {

bool GuardBudget::may_have() const {
  // A page of the kernel that is larger than ours would take parts of the span along.
  return pages().value < most_.load(std::memory_order_relaxed) &&
         platform::page_bytes() <= kPageBytes;
}

GuardPages GuardBudget::choose_small() {
  if (!may_have()) return {};
  const uint64_t random = platform::process_random();
  const auto before = static_cast<uint8_t>(random % GuardPages::kMost);
  const auto after = static_cast<uint8_t>(1 + random / GuardPages::kMost % GuardPages::kMost);
  return {before, after};
}

GuardPages GuardBudget::choose_large() {
  return may_have() ? GuardPages{0, 1} : GuardPages{};
}

void GuardBudget::check_invariants() const {
  SPANMALLOC_CHECK(!is_below_zero(pages().value), "more guard pages ended than were made");
}

bool close_guard(uintptr_t address, PageCount count) {
  return count.value == 0 || platform::install_guard(address, count.bytes().value);
}

bool open_guard(uintptr_t address, PageCount count) {
  return count.value == 0 || platform::remove_guard(address, count.bytes().value);
}

}  // namespace spanmalloc
