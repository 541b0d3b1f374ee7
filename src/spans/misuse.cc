#include "spans/misuse.h"

#include <cstring>

#include "base/text_writer.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

// One line on standard error that begins with the call and its pointer; written when it goes out of
// scope.
class Sentence {
 public:
  Sentence(const char* call, uintptr_t address) {
    text_.text("spanmalloc: ").text(call).text("(").hexadecimal(address).text("): ");
  }
  ~Sentence() {
    text_.text("\n");
    platform::write_error(text_.begin(), text_.length());
  }
  Sentence(const Sentence&) = delete;
  Sentence& operator=(const Sentence&) = delete;

  TextWriter& text(const char* value) { return text_.text(value); }

 private:
  BufferedText<192> text_;
};

}  // namespace

void say_foreign_pointer(const char* call, uintptr_t address) {
  Sentence(call, address).text("not a pointer from this allocator");
}

void say_interior_pointer(const char* call, uintptr_t address, size_t bytes) {
  Sentence(call, address).text("pointer into the middle of a ").number(bytes).text("-byte block");
}

void say_use_of_free_block(const char* call, uintptr_t address, size_t bytes) {
  Sentence sentence(call, address);
  if (strcmp(call, "free") == 0) {
    sentence.text("double free of a ").number(bytes).text("-byte block");
  } else {
    sentence.text("block is free (").number(bytes).text(" bytes)");
  }
}

void say_overflow(const char* call, uintptr_t address, size_t bytes) {
  Sentence(call, address)
      .text("memory behind a ")
      .number(bytes)
      .text("-byte block was overwritten");
}

void say_size_mismatch(const char* call, uintptr_t address, size_t bytes, size_t given) {
  Sentence sentence(call, address);
  sentence.text("size ").number(given).text(" given for a ").number(bytes).text("-byte block");
}

void say_alignment_mismatch(const char* call, uintptr_t address, size_t bytes, size_t alignment) {
  Sentence sentence(call, address);
  sentence.text("alignment ").number(alignment).text(" given for a ").number(bytes);
  sentence.text("-byte block that is not so aligned");
}

void report_foreign_pointer(const char* call, uintptr_t address) {
  say_foreign_pointer(call, address);
  platform::abort_process();
}

void report_interior_pointer(const char* call, uintptr_t address, size_t bytes) {
  say_interior_pointer(call, address, bytes);
  platform::abort_process();
}

void report_use_of_free_block(const char* call, uintptr_t address, size_t bytes) {
  say_use_of_free_block(call, address, bytes);
  platform::abort_process();
}

void report_double_free(uintptr_t address, size_t bytes) {
  report_use_of_free_block("free", address, bytes);
}

void report_write_after_free(uintptr_t address, size_t bytes) {
  {
    Sentence sentence("malloc", address);
    sentence.text("a free ").number(bytes).text("-byte block was written to after its free");
  }
  platform::abort_process();
}

void report_changed_in_list(uintptr_t address, size_t bytes) {
  {
    Sentence sentence("malloc", address);
    sentence.text("a free ").number(bytes);
    sentence.text("-byte block was written to after its free, or freed twice");
  }
  platform::abort_process();
}

void report_overflow(const char* call, uintptr_t address, size_t bytes) {
  say_overflow(call, address, bytes);
  platform::abort_process();
}

void report_overflow_in_class(const char* call, uintptr_t address, size_t bytes) {
  {
    Sentence sentence(call, address);
    sentence.text("memory behind a block of the ").number(bytes);
    sentence.text("-byte class was overwritten");
  }
  platform::abort_process();
}

void report_size_mismatch(const char* call, uintptr_t address, size_t bytes, size_t given) {
  say_size_mismatch(call, address, bytes, given);
  platform::abort_process();
}

void report_alignment_mismatch(const char* call, uintptr_t address, size_t bytes,
                               size_t alignment) {
  say_alignment_mismatch(call, address, bytes, alignment);
  platform::abort_process();
}

}  // namespace spanmalloc
