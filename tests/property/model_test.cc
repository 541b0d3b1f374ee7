// Sequences of operations against a shadow model, in one or more threads that exchange blocks.
//
// Usage: model_test [--seed N] [--steps N] [--threads N] [--largest-shift N] [--limit-mib N]
//   --steps          operations of each thread
//   --largest-shift  sizes are below 2^N
//   --limit-mib      run under this limit of the address space; calls may fail then
// A failure is repeated with the same arguments; with one thread it is exactly the same run.
#include <pthread.h>

#include "contract/expect.h"
#include "contract/process.h"
#include "support/shadow_heap.h"

namespace {

using contract::kKiB;
using contract::kMiB;
using shadow::Block;
using shadow::Failures;
using shadow::RandomChoices;

using ShadowHeap = shadow::ShadowHeap<RandomChoices, 1500>;

struct Arguments {
  uint64_t seed = 1;
  size_t steps = 100000;
  size_t threads = 1;
  size_t largest_shift = 22;
  size_t limit_mib = 0;
};

// Where threads leave blocks for each other.
class Exchange {
 public:
  // Leaves `given` in a random place and returns what was there.
  Block swap(const Block& given, size_t place) {
    pthread_mutex_lock(&mutex_);
    const Block taken = blocks_[place % kPlaces];
    blocks_[place % kPlaces] = given;
    pthread_mutex_unlock(&mutex_);
    return taken;
  }

  static constexpr size_t kPlaces = 200;

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Block blocks_[kPlaces];
};

Exchange exchange;

struct Worker {
  const Arguments* arguments;
  size_t index;
  ShadowHeap* heap;
};

void* run_worker(void* argument) {
  Worker* worker = static_cast<Worker*>(argument);
  const Arguments& arguments = *worker->arguments;
  ShadowHeap* heap = worker->heap;
  contract::Random random(arguments.seed + worker->index);
  for (size_t step = 0; step < arguments.steps && !contract::has_failed(); ++step) {
    bool good = heap->step();
    if (good && arguments.threads > 1 && random.below(4) == 0) {
      good = heap->take(exchange.swap(heap->give(), random.below(Exchange::kPlaces)));
    }
    if (!good) contract::say("thread %zu, step %zu", worker->index, step);
  }
  if (!contract::has_failed()) heap->release_all();
  return nullptr;
}

void run(const Arguments& arguments) {
  contract::current_case = "model";
  const Failures failures = arguments.limit_mib == 0 ? Failures::kForbidden : Failures::kExpected;
  constexpr size_t kMostThreads = 64;
  static Worker workers[kMostThreads];
  static pthread_t threads[kMostThreads];
  const size_t count = arguments.threads < kMostThreads ? arguments.threads : kMostThreads;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * kKiB);
  for (size_t i = 0; i < count; ++i) {
    const RandomChoices choices(arguments.seed * 1000 + i, arguments.largest_shift);
    ShadowHeap* heap = shadow::map_shadow_heap<ShadowHeap>(choices, failures);
    REQUIRE(heap != nullptr);
    workers[i] = Worker{&arguments, i, heap};
  }
  for (size_t i = 0; i < count; ++i) {
    REQUIRE(pthread_create(&threads[i], &attributes, run_worker, &workers[i]) == 0);
  }
  size_t failed_calls = 0;
  for (size_t i = 0; i < count; ++i) {
    pthread_join(threads[i], nullptr);
    failed_calls += workers[i].heap->failed_calls();
  }
  for (size_t place = 0; place < Exchange::kPlaces && !contract::has_failed(); ++place) {
    const Block block = exchange.swap(Block{}, place);
    EXPECT(contract::is_filled(block.start, block.size, block.seed));
    free(block.start);
  }
  const struct mallinfo2 info = mallinfo2();
  contract::say("%zu calls failed, %zu bytes in use at the end", failed_calls,
                info.uordblks + info.hblkhd);
  EXPECT(info.uordblks + info.hblkhd < 8 * kMiB);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const size_t number = strtoul(argv[i + 1], nullptr, 10);
    if (strcmp(argv[i], "--seed") == 0) arguments.seed = number;
    if (strcmp(argv[i], "--steps") == 0) arguments.steps = number;
    if (strcmp(argv[i], "--threads") == 0) arguments.threads = number;
    if (strcmp(argv[i], "--largest-shift") == 0) arguments.largest_shift = number;
    if (strcmp(argv[i], "--limit-mib") == 0) arguments.limit_mib = number;
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  // The limit has to hold from the start of the process: this program is executed again under it.
  const char* kUnderLimit = "MODEL_TEST_UNDER_LIMIT";
  if (arguments.limit_mib != 0 && getenv(kUnderLimit) == nullptr) {
    const rlimit limits{arguments.limit_mib * kMiB, arguments.limit_mib * kMiB};
    setenv(kUnderLimit, "1", 1);
    setrlimit(RLIMIT_AS, &limits);
    execv("/proc/self/exe", argv);
    return 2;
  }
  run(arguments);
  return contract::has_failed() ? 1 : 0;
}
