#include "fuzz/undo_mappings.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>

extern "C" {
void* __real_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset);
int __real_munmap(void* address, size_t bytes);
void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset);
int __wrap_munmap(void* address, size_t bytes);
}

namespace {

struct Mapping {
  void* address;
  size_t bytes;
};

// An input of 1 KiB makes a few dozen.
Mapping mappings[1024];
size_t mapping_count = 0;
bool is_recording = false;

}  // namespace

void* __wrap_mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  void* mapped = __real_mmap(address, bytes, protection, flags, file, offset);
  if (is_recording && mapped != MAP_FAILED) {
    if (mapping_count == sizeof(mappings) / sizeof(mappings[0])) abort();
    mappings[mapping_count++] = {mapped, bytes};
  }
  return mapped;
}

int __wrap_munmap(void* address, size_t bytes) {
  for (size_t index = 0; index < mapping_count; ++index) {
    if (mappings[index].address != address || mappings[index].bytes != bytes) continue;
    mappings[index] = mappings[--mapping_count];
    break;
  }
  return __real_munmap(address, bytes);
}

namespace spanmalloc::testing {

UndoMappings::UndoMappings() {
  is_recording = true;
}

UndoMappings::~UndoMappings() {
  is_recording = false;
  while (mapping_count > 0) {
    const Mapping mapping = mappings[--mapping_count];
    __real_munmap(mapping.address, mapping.bytes);
  }
}

}  // namespace spanmalloc::testing
