#ifndef SPANMALLOC_TESTS_FUZZ_UNDO_MAPPINGS_H_
#define SPANMALLOC_TESTS_FUZZ_UNDO_MAPPINGS_H_

namespace spanmalloc::testing {

// Unmaps at its end what was mapped since its beginning: the allocator never gives address space
// back, and a fuzzer makes an allocator for every input. One at a time, and while it lives the
// program has one thread. It works on calls of mmap() in the program's own objects, which the
// linker sends here (--wrap).
class UndoMappings {
 public:
  UndoMappings();
  ~UndoMappings();
  UndoMappings(const UndoMappings&) = delete;
  UndoMappings& operator=(const UndoMappings&) = delete;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_FUZZ_UNDO_MAPPINGS_H_
