#include "base/options.h"

#include <cstring>

#include "base/text_writer.h"
#include "platform/system.h"

namespace spanmalloc {

namespace {

void write_line(TextWriter& text) {
  text.text("\n");
  platform::write_error(text.begin(), text.length());
}

void report(const char* what, const char* text, size_t length) {
  char item[64];
  const size_t kept = length < sizeof(item) - 1 ? length : sizeof(item) - 1;
  memcpy(item, text, kept);
  item[kept] = '\0';
  BufferedText<192> message;
  message.text("spanmalloc: option '").text(item).text("' ").text(what).text(", ignored");
  write_line(message);
}

void print_help() {
  for (const OptionRow& row : kOptionTable) {
    BufferedText<256> line;
    line.text("spanmalloc: ").text(row.name).text("=").number(row.initial);
    line.text(" (").number(row.least).text(" to ").number(row.most).text(") ").text(row.help);
    write_line(line);
  }
}

// The value of decimal digits; false when there are none, other characters, or too many.
bool parse_number(const char* text, size_t length, uint64_t* value) {
  if (length == 0 || length > 18) return false;
  *value = 0;
  for (size_t index = 0; index < length; ++index) {
    if (text[index] < '0' || text[index] > '9') return false;
    *value = *value * 10 + static_cast<uint64_t>(text[index] - '0');
  }
  return true;
}

// As parse_number(), with the letter of a power of 1024 behind it.
bool parse_bytes(const char* text, size_t length, uint64_t* value) {
  unsigned shift = 0;
  if (length > 0) {
    // Bit 5 tells small letters from capitals.
    switch (text[length - 1] & ~0x20) {
      case 'K':
        shift = 10;
        break;
      case 'M':
        shift = 20;
        break;
      case 'G':
        shift = 30;
        break;
      default:
        break;
    }
  }
  if (!parse_number(text, length - (shift != 0 ? 1 : 0), value)) return false;
  return !__builtin_mul_overflow(*value, uint64_t{1} << shift, value);
}

// Finds the text among names that are separated by '|'; its position is the value.
bool find_name(const char* names, const char* text, size_t length, uint64_t* value) {
  for (*value = 0; names != nullptr; ++*value) {
    const char* end = strchr(names, '|');
    const size_t name_length = end != nullptr ? static_cast<size_t>(end - names) : strlen(names);
    if (name_length == length && memcmp(names, text, length) == 0) return true;
    names = end != nullptr ? end + 1 : nullptr;
  }
  return false;
}

bool parse_value(const OptionRow& row, const char* text, size_t length, uint64_t* value) {
  if (find_name(row.names, text, length, value)) return true;
  if (row.unit == OptionUnit::kBytes) return parse_bytes(text, length, value);
  return parse_number(text, length, value);
}

}  // namespace

bool Options::set(Option option, uint64_t value) {
  const OptionRow& row = kOptionTable[static_cast<size_t>(option)];
  if (value < row.least || value > row.most) return false;
  __atomic_store_n(&values_[static_cast<size_t>(option)], value, __ATOMIC_RELAXED);
  return true;
}

const OptionRow* Options::find(const char* name, size_t length) {
  for (const OptionRow& row : kOptionTable) {
    if (strlen(row.name) == length && strncmp(row.name, name, length) == 0) return &row;
  }
  return nullptr;
}

void Options::parse_one(const char* text, size_t length) {
  if (length == 4 && strncmp(text, "help", 4) == 0) return print_help();
  const void* equals = memchr(text, '=', length);
  if (equals == nullptr) return report("has no value", text, length);
  const size_t name_length = static_cast<size_t>(static_cast<const char*>(equals) - text);
  const OptionRow* row = find(text, name_length);
  if (row == nullptr) return report("is unknown", text, length);
  uint64_t value = 0;
  if (!parse_value(*row, text + name_length + 1, length - name_length - 1, &value) ||
      !set(row->option, value)) {
    report("has a bad value", text, length);
  }
}

void Options::parse(const char* text) {
  while (*text != '\0') {
    size_t length = 0;
    while (text[length] != '\0' && text[length] != ':') ++length;
    if (length > 0) parse_one(text, length);
    text += length;
    if (*text == ':') ++text;
  }
}

}  // namespace spanmalloc
