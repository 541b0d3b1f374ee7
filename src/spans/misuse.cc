#include "spans/misuse.h"

#include "base/check.h"
#include "base/text_writer.h"

namespace spanmalloc {

namespace {

using Sentence = BufferedText<160>;

void begin(Sentence& sentence, const char* call, uintptr_t address) {
  sentence.text(call).text("(").hexadecimal(address).text("): ");
}

}  // namespace

void report_foreign_pointer(const char* call, uintptr_t address) {
  Sentence sentence;
  begin(sentence, call, address);
  fatal(sentence.text("not a pointer from this allocator").begin());
}

void report_interior_pointer(const char* call, uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, call, address);
  fatal(sentence.text("pointer into the middle of a ").number(bytes).text("-byte block").begin());
}

void report_double_free(uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, "free", address);
  fatal(sentence.text("double free of a ").number(bytes).text("-byte block").begin());
}

void report_use_of_free_block(const char* call, uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, call, address);
  fatal(sentence.text("block is free (").number(bytes).text(" bytes)").begin());
}

void report_write_after_free(uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, "malloc", address);
  sentence.text("a free ").number(bytes).text("-byte block was written to after its free");
  fatal(sentence.begin());
}

void report_changed_in_list(uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, "malloc", address);
  sentence.text("a free ").number(bytes);
  sentence.text("-byte block was written to after its free, or freed twice");
  fatal(sentence.begin());
}

void report_overflow(const char* call, uintptr_t address, size_t bytes) {
  Sentence sentence;
  begin(sentence, call, address);
  sentence.text("memory behind a block of the ").number(bytes).text("-byte class was overwritten");
  fatal(sentence.begin());
}

void report_size_mismatch(const char* call, uintptr_t address, size_t bytes, size_t given) {
  Sentence sentence;
  begin(sentence, call, address);
  sentence.text("size ").number(given).text(" given for a ").number(bytes).text("-byte block");
  fatal(sentence.begin());
}

void report_alignment_mismatch(const char* call, uintptr_t address, size_t bytes,
                               size_t alignment) {
  Sentence sentence;
  begin(sentence, call, address);
  sentence.text("alignment ").number(alignment).text(" given for a ").number(bytes);
  sentence.text("-byte block that is not so aligned");
  fatal(sentence.begin());
}

}  // namespace spanmalloc
