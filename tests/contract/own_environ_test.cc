// A program with a variable of its own that is called `environ`, as programs may have that include
// no header which declares it. The options are those that the program was started with.
#include <dlfcn.h>
#include <stdlib.h>

#include "../../include/spanmalloc/spanmalloc.h"
#include "contract/expect.h"

namespace {

char other_options[] = "SPANMALLOC_OPTIONS=epoch_ms=77";
char* other_environment[] = {other_options, nullptr};

}  // namespace

char** environ = other_environment;

CASE(options_come_from_the_environment_of_the_process) {
  free(contract::opaque(malloc(64)));
  const auto get = reinterpret_cast<decltype(&spanmalloc_get_option)>(
      dlsym(RTLD_DEFAULT, "spanmalloc_get_option"));
  REQUIRE(get != nullptr);
  uint64_t value = 0;
  EXPECT_EQ(get("epoch_ms", &value), 0);
  EXPECT_EQ(value, 1234u);
}

RUN_CASES()
