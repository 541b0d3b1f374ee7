// The Nth call to the system refused, and all from the Nth on, for every N, in every operation.
//
//   faults                        every operation
//   faults NAME...                these operations
//   faults --every NAME...        these, and every call of those that make very many
//   faults --list                 their names
//   faults --one NAME WHICH MANNER N     one run, WHICH: one or all, MANNER: harsh or clean
//
// Each run is a process of its own. When the faults stop, another thread must get memory (no lock
// is held), contents and all invariants must be whole, everything must be free again after the
// frees, and the operation must succeed a second time.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <initializer_list>

#include "contract/expect.h"
#include "faults/blocks.h"
#include "faults/injector.h"
#include "faults/operations.h"
#include "spanmalloc/spanmalloc.h"

namespace {

using namespace faults;

constexpr unsigned kSecondsOfARun = 60;
// Of an operation with too many calls, the first ones are refused one by one, then ever fewer,
// unless every one is asked for.
constexpr uint64_t kStepDivisor = 2;
bool every_call = false;

// What is left when all is freed.
struct Rest {
  size_t live = 0;
  size_t in_use = 0;
  size_t retained = 0;
  size_t mapped = 0;
};

// Memory shared with the process of a run.
struct Shared {
  Record record;
  Rest rest;
};

struct Run {
  int status;
  Record record;
  Rest rest;
};

int shared_file = -1;
Shared* shared = nullptr;

void map_shared() {
  shared = static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_file, 0));
  if (shared == MAP_FAILED) _exit(3);
}

Rest read_rest() {
  spanmalloc_stats stats{};
  stats.size = sizeof stats;
  EXPECT_EQ(spanmalloc_get_stats(&stats), 0);
  EXPECT_EQ(stats.in_use + stats.free_retained + stats.released, stats.mapped);
  return {stats.live_small + stats.live_large, stats.in_use, stats.free_retained, stats.mapped};
}

// What is left when all that is free has gone back. Blocks that the background thread is just
// draining are counted nowhere, so a figure above `live` is looked at again for a while.
Rest release_and_read(size_t live) {
  constexpr int kLooks = 200;
  Rest rest;
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) usleep(5000);
    spanmalloc_release_memory();
    rest = read_rest();
    if (rest.live <= live && rest.retained == 0) break;
  }
  return rest;
}

// What must hold once the system refuses nothing any more and all but `live` bytes are freed.
void check_after_faults(const Operation& operation, size_t live) {
  set_failure(Failure::kForbidden);
  EXPECT(run_in_threads(1, &use_heap_a_little));
  check_contents();
  spanmalloc_check();
  drop_all();
  if (operation.prepare != nullptr) operation.prepare();
  operation.run();
  check_contents();
  drop_all();
  shared->rest = release_and_read(live);
  spanmalloc_check();
}

// A lost target of mremap that cannot be mapped again must stay in use for good.
bool may_lose_addresses(const Record& record) {
  return record.plan.manner == Manner::kHarsh &&
         record.injected_of[static_cast<size_t>(Call::kMremap)] > 0 &&
         record.injected_of[static_cast<size_t>(Call::kMmap)] > 0;
}

[[noreturn]] void run_forked(const Operation& operation, const Plan& plan) {
  alarm(kSecondsOfARun);
  contract::failures = 0;
  use_record(&shared->record);
  fill_stack_cache();
  spanmalloc_release_memory();
  const size_t live_before = read_rest().live;
  if (operation.prepare != nullptr) operation.prepare();
  start(plan);
  operation.run();
  stop();
  check_after_faults(operation, live_before);
  if (!may_lose_addresses(shared->record)) EXPECT_EQ(shared->rest.live, live_before);
  _exit(contract::has_failed() ? 1 : 0);
}

[[noreturn]] void execute(const Operation& operation, const Plan& plan) {
  shared->record = Record{};
  shared->record.plan = plan;
  char file[16];
  snprintf(file, sizeof file, "%d", shared_file);
  setenv(kRecordVariable, file, 1);
  execl("/proc/self/exe", "faults", "--executed", operation.name, static_cast<char*>(nullptr));
  _exit(127);
}

// The process that execute() began: the plan holds since the first call of the process.
int run_executed(const Operation& operation) {
  alarm(kSecondsOfARun);
  operation.run();
  stop();
  const char* file = getenv(kRecordVariable);
  shared_file = file == nullptr ? -1 : atoi(file);
  map_shared();
  check_after_faults(operation, SIZE_MAX);
  return contract::has_failed() ? 1 : 0;
}

Run run(const Operation& operation, const Plan& plan) {
  *shared = Shared{};
  const pid_t child = fork();
  if (child == 0) {
    if (operation.process == Process::kExecuted) execute(operation, plan);
    run_forked(operation, plan);
  }
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  return {status, shared->record, shared->rest};
}

const char* word(Which which) {
  return which == Which::kOne ? "one" : "all";
}
const char* word(Manner manner) {
  return manner == Manner::kHarsh ? "harsh" : "clean";
}

// What a heap may reach that reached `mapped` undisturbed. While the background thread, which large
// heaps have, gives pages in the midst of a free run back, a request for the whole run grows the
// heap by as much.
size_t most_mapped(size_t mapped) {
  constexpr size_t kBackgroundThreadStarts = 32 * kMiB;
  if (mapped < kBackgroundThreadStarts) return mapped + mapped / 8 + 16 * kMiB;
  return 2 * mapped + 64 * kMiB;
}

bool guards_blocks() {
  uint64_t one_of = 0;
  return spanmalloc_get_option("sample_guard", &one_of) == 0 && one_of != 0;
}

// Compares a run with an undisturbed one.
void judge(const Operation& operation, const Run& got, const Run& undisturbed) {
  const Plan& plan = got.record.plan;
  const int failures_before = contract::failures;
  EXPECT_EQ(got.status, 0);
  if (got.status == 0 && !may_lose_addresses(got.record)) {
    // Which spans stay partly used depends on the order in which threads come. A block that cannot
    // be had between guard pages is one of the heap.
    const bool is_loose = operation.calls == Calls::kTooMany || guards_blocks();
    const size_t slack = is_loose ? 256 * kKiB : 0;
    EXPECT(got.rest.live <= undisturbed.rest.live + (guards_blocks() ? slack : 0));
    EXPECT(got.rest.in_use <= undisturbed.rest.in_use + slack);
    EXPECT(got.rest.retained <= undisturbed.rest.retained + slack);
    EXPECT(got.rest.mapped <= most_mapped(undisturbed.rest.mapped));
  }
  if (contract::failures == failures_before) return;
  contract::say("faults --one %s %s %s %llu", operation.name, word(plan.which), word(plan.manner),
                static_cast<unsigned long long>(plan.first));
  contract::say("  in use %zu (%zu), retained %zu (%zu), mapped %zu (%zu)", got.rest.in_use,
                undisturbed.rest.in_use, got.rest.retained, undisturbed.rest.retained,
                got.rest.mapped, undisturbed.rest.mapped);
}

struct Totals {
  uint64_t runs = 0;
  uint64_t injected = 0;
  uint64_t injected_of[kCallCount] = {};
};

void add(Totals& totals, const Record& record) {
  ++totals.runs;
  totals.injected += record.injected;
  for (size_t i = 0; i < kCallCount; ++i) totals.injected_of[i] += record.injected_of[i];
}

void report(const Operation& operation, const Run& undisturbed, const Totals& totals) {
  printf("%-22s %5llu calls, %5llu runs, %7llu faults:", operation.name,
         static_cast<unsigned long long>(undisturbed.record.calls),
         static_cast<unsigned long long>(totals.runs),
         static_cast<unsigned long long>(totals.injected));
  for (size_t i = 0; i < kCallCount; ++i) {
    if (totals.injected_of[i] == 0) continue;
    printf(" %s %llu", name_of(static_cast<Call>(i)),
           static_cast<unsigned long long>(totals.injected_of[i]));
  }
  printf("\n");
  fflush(stdout);
}

void test(const Operation& operation) {
  contract::current_case = operation.name;
  // The call with the number 0 is never made.
  const Run undisturbed = run(operation, {Which::kOne, Manner::kClean, operation.hints, 0});
  EXPECT_EQ(undisturbed.status, 0);
  EXPECT(undisturbed.record.calls > 0);
  Totals totals;
  for (const Manner manner : {Manner::kHarsh, Manner::kClean}) {
    for (const Which which : {Which::kOne, Which::kAllFrom}) {
      uint64_t step = 1;
      for (uint64_t first = 1; !contract::has_failed(); first += step) {
        if (operation.calls == Calls::kTooMany) {
          if (first > undisturbed.record.calls) break;
          step = every_call ? 1 : 1 + first / kStepDivisor;
        }
        const Run got = run(operation, {which, manner, operation.hints, first});
        judge(operation, got, undisturbed);
        add(totals, got.record);
        if (got.record.injected == 0 && operation.calls == Calls::kOfTheOperation) break;
      }
    }
  }
  EXPECT(totals.injected > 0);
  report(operation, undisturbed, totals);
}

const Operation* find(const char* name) {
  for (size_t i = 0; i < kOperationCount; ++i) {
    if (strcmp(kOperations[i].name, name) == 0) return &kOperations[i];
  }
  contract::say("there is no operation %s", name);
  exit(2);
}

int run_one(char** words) {
  const Operation& operation = *find(words[0]);
  const Plan plan{strcmp(words[1], "one") == 0 ? Which::kOne : Which::kAllFrom,
                  strcmp(words[2], "harsh") == 0 ? Manner::kHarsh : Manner::kClean, operation.hints,
                  strtoull(words[3], nullptr, 10)};
  Totals totals;
  const Run undisturbed = run(operation, {Which::kOne, Manner::kClean, operation.hints, 0});
  const Run got = run(operation, plan);
  judge(operation, got, undisturbed);
  add(totals, got.record);
  report(operation, got, totals);
  return contract::has_failed() ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--executed") == 0) return run_executed(*find(argv[2]));
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (size_t i = 0; i < kOperationCount; ++i) puts(kOperations[i].name);
    return 0;
  }
  shared_file = memfd_create("faults", 0);
  if (shared_file < 0 || ftruncate(shared_file, sizeof(Shared)) != 0) return 3;
  map_shared();
  if (argc == 6 && strcmp(argv[1], "--one") == 0) return run_one(argv + 2);
  if (argc > 1 && strcmp(argv[1], "--every") == 0) {
    every_call = true;
    --argc;
    ++argv;
  }
  for (size_t i = 0; i < kOperationCount; ++i) {
    bool wanted = argc < 2;
    for (int at = 1; at < argc; ++at) wanted |= strcmp(kOperations[i].name, argv[at]) == 0;
    if (wanted) test(kOperations[i]);
    if (contract::has_failed()) return 1;
  }
  return 0;
}
