// short_threads [threads in all]
//
// One short-lived thread after the other, four at a time: a thread for each request. Each fills and
// frees some blocks and ends, so nothing may grow with the number of threads that ever were. The
// marks "threads" are the resident bytes after 1000, 10,000, 100,000 threads.
#include "watched.h"

int main(int count, char** arguments) {
  constexpr size_t kAtOnce = 4;
  const size_t threads = scenario::argument(count, arguments, 1, 100000);
  watched::mark("begin");
  size_t next_mark = 1000;
  for (size_t done = 0; done < threads; done += kAtOnce) {
    scenario::run_threads(kAtOnce, [&](size_t index) {
      scenario::Random random(done + index + 1);
      char* blocks[64];
      for (char*& block : blocks) block = scenario::filled_block(random.between(16, 4096));
      for (char* block : blocks) std::free(block);
    });
    if (done + kAtOnce >= next_mark) {
      watched::mark("threads", watched::resident_pages().all * watched::kKernelPage);
      next_mark *= 10;
    }
  }
  watched::mark("end");
  return 0;
}
