#ifndef SPANMALLOC_BASE_TEXT_WRITER_H_
#define SPANMALLOC_BASE_TEXT_WRITER_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// Formats into a caller's buffer without malloc. What does not fit is cut off; the text always
// ends in a zero byte. Not shared between threads.
class TextWriter {
 public:
  // REQUIRES: capacity >= 1.
  TextWriter(char* buffer, size_t capacity);

  TextWriter& text(const char* value);
  TextWriter& number(uint64_t value);
  TextWriter& hexadecimal(uint64_t value);
  // A ratio in percent with one digit behind the point; 0 of 0 is 0.
  TextWriter& percent(uint64_t part, uint64_t whole);

  const char* begin() const { return buffer_; }
  size_t length() const { return length_; }
  void clear();

 private:
  void character(char value);

  char* const buffer_;
  const size_t capacity_;
  size_t length_ = 0;
};

// A writer that brings its own buffer, small enough for any signal stack.
template <size_t kCapacity>
class BufferedText : public TextWriter {
 public:
  BufferedText() : TextWriter(storage_, kCapacity) {}

 private:
  char storage_[kCapacity];
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_TEXT_WRITER_H_
