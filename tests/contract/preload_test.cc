// The premise of every other test here: the allocator under test is the one in this process.
#include "contract/expect.h"
#include "contract/process.h"

CASE(malloc_is_not_the_c_library_s) {
  // An archive's malloc is linked only where it is called.
  free(contract::opaque(malloc(1)));
  EXPECT(!contract::malloc_is_from_libc());
}

RUN_CASES()
