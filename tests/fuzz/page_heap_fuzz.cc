// The page heap on a source that refuses, jumps and hides, against a flat table of its pages.
#include "fuzz/input.h"
#include "fuzz/undo_mappings.h"
#include "support/shadow_page_heap.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spanmalloc::testing;
  const UndoMappings undo;
  Input input(data, size);
  ShadowPageHeap<Input> heap(input);
  for (size_t step = 1; !input.empty(); ++step) {
    heap.step();
    if (step % 16 == 0) heap.check();
  }
  heap.finish();
  return 0;
}
