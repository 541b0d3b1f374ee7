// What is said of an access that the program must not make, by the signal handler of the fault that
// it ends in. Nothing here allocates or takes a lock, not even one of the loader.
#ifndef SPANMALLOC_HEAP_ACCESS_REPORT_H_
#define SPANMALLOC_HEAP_ACCESS_REPORT_H_

#include <cstddef>
#include <cstdint>

#include "base/text_writer.h"
#include "platform/fault.h"
#include "spans/page_map.h"

namespace spanmalloc {

// A report is written line by line: a handler's stack need not hold all of it.
using ReportLine = BufferedText<512>;

// Writes the line to standard error.
void write_line(ReportLine& line);
// Writes a line with the address of an instruction, its file and the offset in it.
void write_code(uintptr_t address);
// Writes by whom and where the access was made.
void write_accessor(uintptr_t code);

// Appends where `address` is, seen from the block of `bytes` bytes at `block`.
void append_distance(ReportLine& line, uintptr_t address, uintptr_t block, size_t bytes);

// Says what the address is, if it lies in the guard pages of a span or in a freed large block that
// is inaccessible.
bool describe_guard_access(const PageMap& page_map, const platform::Fault& fault);

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_ACCESS_REPORT_H_
