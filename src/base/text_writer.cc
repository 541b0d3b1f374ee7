#include "base/text_writer.h"

namespace spanmalloc {

TextWriter::TextWriter(char* buffer, size_t capacity, Sink sink)
    : buffer_(buffer), capacity_(capacity), sink_(sink) {
  buffer_[0] = '\0';
}

void TextWriter::clear() {
  length_ = 0;
  buffer_[0] = '\0';
}

void TextWriter::flush() {
  sink_.take(buffer_, sink_.context);
  clear();
}

void TextWriter::character(char value) {
  if (length_ + 1 >= capacity_) {
    if (sink_.take == nullptr) return;
    flush();
  }
  buffer_[length_++] = value;
  buffer_[length_] = '\0';
}

TextWriter& TextWriter::text(const char* value) {
  for (; *value != '\0'; ++value) character(*value);
  return *this;
}

TextWriter& TextWriter::number(uint64_t value) {
  char digits[20];
  size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) character(digits[--count]);
  return *this;
}

TextWriter& TextWriter::hexadecimal(uint64_t value) {
  text("0x");
  int shift = 60;
  while (shift > 0 && (value >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) character("0123456789abcdef"[(value >> shift) & 15]);
  return *this;
}

}  // namespace spanmalloc
