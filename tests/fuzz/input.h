// The bytes that a fuzzer made up, read as a row of choices.
#ifndef SPANMALLOC_TESTS_FUZZ_INPUT_H_
#define SPANMALLOC_TESTS_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace spanmalloc::testing {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}

  bool empty() const { return next_ == end_; }
  size_t left() const { return static_cast<size_t>(end_ - next_); }

  // 0 when nothing is left; so are all numbers.
  uint8_t byte() { return empty() ? uint8_t{0} : *next_++; }
  // A number in [0, limit), of as many bytes as the limit needs. REQUIRES: limit > 0.
  size_t below(size_t limit) {
    size_t value = 0;
    for (size_t most = limit - 1; most > 0; most >>= 8) value = value << 8 | byte();
    return value % limit;
  }
  uint64_t next() { return below(SIZE_MAX); }

  // The next `count` bytes, or what is left of them, as an input of their own.
  Input part(size_t count) {
    const size_t taken = count < left() ? count : left();
    const Input part(next_, taken);
    next_ += taken;
    return part;
  }
  // All that is left.
  std::string text() {
    const std::string text(reinterpret_cast<const char*>(next_), left());
    next_ = end_;
    return text;
  }

 private:
  const uint8_t* next_;
  const uint8_t* end_;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_FUZZ_INPUT_H_
