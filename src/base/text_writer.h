#ifndef SPANMALLOC_BASE_TEXT_WRITER_H_
#define SPANMALLOC_BASE_TEXT_WRITER_H_

#include <cstddef>
#include <cstdint>

namespace spanmalloc {

// Formats into a caller's buffer without malloc. What does not fit is cut off, or the buffer is
// handed on and used again; the text always ends in a zero byte. Not shared between threads.
class TextWriter {
 public:
  // Takes the text of a full buffer.
  struct Sink {
    void (*take)(const char* text, void* context);
    void* context;
  };

  // REQUIRES: capacity >= 1, and >= 2 with a sink.
  TextWriter(char* buffer, size_t capacity, Sink sink = {});

  TextWriter& text(const char* value);
  TextWriter& number(uint64_t value);
  TextWriter& hexadecimal(uint64_t value);

  const char* begin() const { return buffer_; }
  size_t length() const { return length_; }
  void clear();
  // Hands the sink what it has not got yet. REQUIRES: there is a sink.
  void flush();

 private:
  void character(char value);

  char* const buffer_;
  const size_t capacity_;
  const Sink sink_;
  size_t length_ = 0;
};

// A writer that brings its own buffer, small enough for any signal stack.
template <size_t kCapacity>
class BufferedText : public TextWriter {
 public:
  explicit BufferedText(Sink sink = {}) : TextWriter(storage_, kCapacity, sink) {}

 private:
  char storage_[kCapacity];
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_BASE_TEXT_WRITER_H_
