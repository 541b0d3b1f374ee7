#include "heap/access_report.h"

#include "platform/stack_trace.h"
#include "platform/system.h"
#include "platform/thread.h"
#include "spans/guard_pages.h"
#include "spans/span.h"

namespace spanmalloc {

namespace {

const char* plural(size_t count) {
  return count == 1 ? " byte " : " bytes ";
}

// Where the blocks of a span begin and end; a large span has one.
struct Blocks {
  uintptr_t start;
  uintptr_t end;
  size_t block_bytes;
};

Blocks blocks_of(const Span& span) {
  if (span.state() == SpanState::kLarge) {
    const uintptr_t start = span.object_address();
    return {start, start + span.requested_bytes(), span.requested_bytes()};
  }
  const size_t bytes = kSizeClasses[span.size_class()].object_bytes;
  return {span.base(), span.base() + span.object_count() * bytes, bytes};
}

// The span whose pages contain the address; nullptr when none does.
const Span* span_around(const PageMap& page_map, uintptr_t address) {
  const Span* span = page_map.find(address);
  if (span == nullptr) span = page_map.find_large_around(address);
  return span == nullptr || span->state() == SpanState::kDead ? nullptr : span;
}

// The span in whose guards the address lies; nullptr when it lies in none.
const Span* span_of_guard(const PageMap& page_map, uintptr_t address) {
  for (size_t pages = 1; pages <= GuardPages::kMost; ++pages) {
    const size_t distance = pages * kPageBytes;
    const Span* before = span_around(page_map, address - distance);
    if (before != nullptr && before->guards().after >= pages) return before;
    const Span* behind = span_around(page_map, address + distance);
    if (behind != nullptr && behind->guards().before >= pages) return behind;
  }
  return nullptr;
}

}  // namespace

void write_line(ReportLine& line) {
  line.text("\n");
  platform::write_error(line.begin(), line.length());
}

void write_code(uintptr_t address) {
  {
    ReportLine line;
    line.text("    ").hexadecimal(address);
    // What is known goes out before more is asked for: a filter of system calls may end the
    // process.
    platform::write_error(line.begin(), line.length());
  }
  const platform::CodePlace place = platform::find_code(address);
  ReportLine line;
  if (place.file[0] != '\0') {
    line.text(" ").text(place.file).text("+").hexadecimal(place.offset);
  }
  write_line(line);
}

void write_accessor(uintptr_t code) {
  ReportLine line;
  line.text("  accessed by thread ").number(platform::thread_number()).text(" at:");
  write_line(line);
  write_code(code);
}

void append_distance(ReportLine& line, uintptr_t address, uintptr_t block, size_t bytes) {
  if (address < block) {
    line.number(block - address).text(plural(block - address)).text("before it");
  } else if (address - block < bytes) {
    line.number(address - block).text(plural(address - block)).text("into it");
  } else {
    const size_t distance = address - block - bytes;
    line.number(distance).text(plural(distance)).text("behind its end");
  }
}

bool describe_guard_access(const PageMap& page_map, const platform::Fault& fault) {
  const Span* span = span_around(page_map, fault.address);
  ReportLine line;
  line.text("spanmalloc: ");
  if (span != nullptr) {
    const bool is_freed =
        span->state() == SpanState::kLarge && span->requested_bytes() == Span::kFreed;
    if (!is_freed) return false;
    line.text("use after free of a ").number(span->bytes().value).text("-byte block at ");
    line.hexadecimal(span->object_address()).text(", ");
    append_distance(line, fault.address, span->object_address(), span->bytes().value);
  } else {
    span = span_of_guard(page_map, fault.address);
    if (span == nullptr) return false;
    const Blocks blocks = blocks_of(*span);
    const bool is_one = span->state() == SpanState::kLarge;
    line.text("access to the guard of ").text(is_one ? "a " : "").number(blocks.block_bytes);
    line.text(is_one ? "-byte block at " : "-byte blocks from ");
    line.hexadecimal(blocks.start).text(", ");
    append_distance(line, fault.address, blocks.start, blocks.end - blocks.start);
  }
  write_line(line);
  write_accessor(fault.code);
  return true;
}

}  // namespace spanmalloc
