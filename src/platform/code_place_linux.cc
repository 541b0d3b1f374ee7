// Which file an instruction was loaded from, by what the kernel tells of the process's mappings.
// The loader's own list is under a lock that a thread may hold for as long as it likes, and a
// signal handler must not wait for it.
#include <elf.h>
#include <link.h>
#include <algorithm>
#include <cstring>

#include "platform/errno_guard.h"
#include "platform/raw_file_linux.h"
#include "platform/stack_trace.h"

namespace spanmalloc::platform {

namespace {

// A file's first bytes that are looked at: no kernel maps less at a time.
constexpr size_t kHeaderBytes = 4096;

struct Mapping {
  uintptr_t start = 0;
  uintptr_t end = 0;
  uint64_t offset = 0;
  // Both 0 when it is no file's.
  uint64_t device = 0;
  uint64_t file_number = 0;

  bool is_of_file() const { return file_number != 0; }
  bool has_file_of(const Mapping& other) const {
    return device == other.device && file_number == other.file_number;
  }
};

// Reads a list of mappings, a line each: "start-end rwxp offset device:device number   path".
class MappingReader {
 public:
  // The path is written to `path`, cut off where it does not fit. False at the end.
  bool read(Mapping* mapping, char* path, size_t capacity) {
    mapping->start = read_number(16);
    mapping->end = read_number(16);
    skip_word();
    mapping->offset = read_number(16);
    mapping->device = read_number(16) << 32;
    mapping->device |= read_number(16);
    mapping->file_number = read_number(10);
    size_t length = 0;
    while (last_ != '\n' && next() && last_ != '\n') {
      if (last_ == ' ' && length == 0) continue;
      if (length + 1 < capacity) path[length++] = last_;
    }
    path[length] = '\0';
    return last_ == '\n';
  }

 private:
  bool next() {
    if (at_ == length_) {
      at_ = 0;
      length_ = file_.read(text_, sizeof(text_));
    }
    last_ = at_ < length_ ? text_[at_++] : '\0';
    return last_ != '\0';
  }

  // A number, and the character behind it.
  uint64_t read_number(uint64_t base) {
    uint64_t value = 0;
    while (next()) {
      const bool is_letter = last_ >= 'a' && last_ <= 'f';
      if (!is_letter && (last_ < '0' || last_ > '9')) break;
      value = value * base + static_cast<uint64_t>(is_letter ? last_ - 'a' + 10 : last_ - '0');
    }
    return value;
  }

  void skip_word() {
    while (next() && last_ != ' ') {
    }
  }

  RawFile file_{"/proc/thread-self/maps", "/proc/self/maps"};
  // A handler's stack need not hold more.
  char text_[512];
  size_t at_ = 0;
  size_t length_ = 0;
  char last_ = '\0';
};

// Where a file was loaded: what its own addresses have in common, and the end of all.
struct Module {
  uintptr_t bias;
  uintptr_t end;
};

// By the headers in memory, which begin at `base`. Without any, the file is taken as it lies.
Module module_at(uintptr_t base) {
  Module module{base, base};
  if (base == 0 || !is_readable(base)) return module;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(base);
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_phoff + header->e_phnum * sizeof(ElfW(Phdr)) > kHeaderBytes) {
    return module;
  }
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + header->e_phoff);
  bool has_bias = false;
  for (size_t index = 0; index < header->e_phnum; ++index) {
    const ElfW(Phdr)& segment = segments[index];
    if (segment.p_type != PT_LOAD) continue;
    if (!has_bias) module.bias = base - (segment.p_vaddr - segment.p_offset);
    has_bias = true;
    module.end = std::max<uintptr_t>(module.end, module.bias + segment.p_vaddr + segment.p_memsz);
  }
  return module;
}

}  // namespace

CodePlace find_code(uintptr_t address) {
  ErrnoGuard errno_guard;
  CodePlace place;
  MappingReader mappings;
  Mapping first;
  Module module{};
  for (Mapping mapping; mappings.read(&mapping, place.file, sizeof(place.file));) {
    // Several segments may begin in the file's first page.
    if (mapping.is_of_file() && mapping.offset == 0 &&
        !(mapping.has_file_of(first) && mapping.start < module.end)) {
      first = mapping;
      module = module_at(mapping.start);
    }
    if (mapping.end <= address) continue;
    if (mapping.start > address || !mapping.is_of_file() || !mapping.has_file_of(first)) break;
    place.offset = address - module.bias;
    return place;
  }
  return {};
}

}  // namespace spanmalloc::platform
