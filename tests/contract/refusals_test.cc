// A system that forbids calls (by a system call filter) or refuses memory and threads (by limits),
// from the first instruction of the process on: everything works that can, the rest is NULL with
// ENOMEM, and no call ends the process. Each case executes this program again.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <initializer_list>

#include "contract/expect.h"
#include "contract/process.h"

namespace {

using contract::kKiB;
using contract::kMiB;

constexpr double kSeconds = 50;

// A system call filter under construction.
class Filter {
 public:
  Filter() { load(offsetof(seccomp_data, nr)); }

  // Refuses a call whatever its arguments.
  Filter& refuse(long number, int error) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
    return *this;
  }

  // Ends the process that makes a call.
  Filter& kill(long number) {
    add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    return *this;
  }

  // Refuses to start threads and lets processes start. The C library tries clone3 first.
  Filter& refuse_threads() {
    refuse(SYS_clone3, ENOSYS);
    add(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    load(argument(0));
    add(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return *this;
  }

  // Refuses mappings of more than `bytes` bytes, less than 4 GiB, as the rules of overcommit may.
  Filter& refuse_mappings_above(size_t bytes) {
    add(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 6);
    load(argument(1) + 4);
    add(BPF_JMP | BPF_JGT | BPF_K, 0, 2, 0);
    load(argument(1));
    add(BPF_JMP | BPF_JGT | BPF_K, static_cast<uint32_t>(bytes), 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM);
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    return *this;
  }

  enum class For : unsigned { kThisThread = 0, kAllThreads = SECCOMP_FILTER_FLAG_TSYNC };

  bool install(For threads = For::kThisThread) {
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const sock_fprog program{static_cast<unsigned short>(count_), code_};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, threads, &program) == 0;
  }

 private:
  // The lower half of an argument of the call.
  static constexpr uint32_t argument(size_t index) {
    return static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
  }
  void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void add(unsigned code, uint32_t value, uint8_t if_true = 0, uint8_t if_false = 0) {
    code_[count_++] = {static_cast<uint16_t>(code), if_true, if_false, value};
  }

  sock_filter code_[64];
  size_t count_ = 0;
};

// What has been had while memory may be refused.
struct Had {
  size_t blocks = 0;
  size_t refused = 0;
};

void note(void* block, size_t size, Had& had) {
  if (block == nullptr) {
    EXPECT_EQ(errno, ENOMEM);
    ++had.refused;
    return;
  }
  contract::fill(block, size, size);
  ++had.blocks;
}

void let_go(void* block, size_t size) {
  if (block == nullptr) return;
  EXPECT(contract::is_filled(block, size, size));
  free(block);
}

// The block after realloc(); a refusal frees it.
void* resized(void* block, size_t size) {
  if (block == nullptr) return nullptr;
  void* moved = realloc(block, size);
  if (moved == nullptr) free(block);
  return moved;
}

// Every kind of call, in sizes up to 3 MiB, and one block of 40 MiB.
void use_heap(Had& had) {
  for (const size_t size :
       {size_t{1}, size_t{100}, 3 * kKiB, 60 * kKiB, 200 * kKiB, 700 * kKiB, 3 * kMiB}) {
    void* blocks[6];
    errno = 0;
    blocks[0] = malloc(size);
    blocks[1] = calloc(1, size);
    blocks[2] = memalign(4096, size);
    blocks[3] = resized(malloc(size / 2 + 1), size);
    blocks[4] = resized(malloc(size * 2), size);
    blocks[5] = malloc(size);
    EXPECT(blocks[1] == nullptr || contract::is_zero(blocks[1], size));
    for (void* block : blocks) note(block, size, had);
    for (void* block : blocks) let_go(block, size);
  }
  void* huge = malloc(40 * kMiB);
  had.refused += huge == nullptr ? 1 : 0;
  free(contract::opaque(huge));
  malloc_trim(0);
}

void* use_heap_in_thread(void* had) {
  use_heap(*static_cast<Had*>(had));
  return nullptr;
}

// The work of the executed program: `how` says what must have come of it.
int work(const char* how) {
  contract::current_case = how;
  Had had;
  use_heap(had);
  const bool is_plenty = strchr(how, 'p') != nullptr;
  if (is_plenty) EXPECT_EQ(had.refused, 0u);
  if (strchr(how, 's') != nullptr) EXPECT(had.blocks > 0);
  pthread_t thread;
  const int error = pthread_create(&thread, nullptr, &use_heap_in_thread, &had);
  if (error == 0) pthread_join(thread, nullptr);
  if (is_plenty) EXPECT_EQ(had.refused, 0u);
  if (strchr(how, '1') != nullptr) {
    EXPECT(error != 0);
    EXPECT_EQ(contract::count_threads(), 1u);
  }
  return contract::has_failed() ? 1 : 0;
}

// Memory enough for the allocator to want a thread of its own.
class MuchMemory {
 public:
  MuchMemory() {
    for (char*& block : blocks_) {
      block = static_cast<char*>(malloc(kBytes));
      REQUIRE(block != nullptr);
      memset(block, 1, kBytes);
    }
  }
  ~MuchMemory() {
    for (char* block : blocks_) free(block);
  }
  MuchMemory(const MuchMemory&) = delete;
  MuchMemory& operator=(const MuchMemory&) = delete;

 private:
  static constexpr size_t kBytes = kMiB;
  char* blocks_[80];
};

bool gets_thread() {
  return contract::becomes_true(20, [] { return contract::count_threads() == 2; });
}

// Roles of the executed program that depend on when a filter came.

int give_back_with_thread() {
  contract::current_case = "give_back_with_thread";
  const size_t before = contract::resident_bytes();
  {
    const MuchMemory memory;
    EXPECT(gets_thread());
  }
  constexpr size_t kRest = 16 * kMiB;
  EXPECT(contract::wait_until_resident(before + kRest, 40) <= before + kRest);
  return contract::has_failed() ? 1 : 0;
}

Filter no_threads() {
  return Filter().kill(SYS_clone).kill(SYS_clone3);
}
Filter no_threads_nor_files() {
  return no_threads().kill(SYS_openat).kill(SYS_newfstatat).kill(SYS_tgkill);
}

// Of the calls that the filter ends the process for, the program makes none.
[[noreturn]] void use_memory_under(Filter filter) {
  if (!filter.install()) _exit(1);
  for (int round = 0; round < 3; ++round) {
    const MuchMemory memory;
    contract::sleep_milliseconds(30);
  }
  _exit(0);
}
int filter_before_memory() {
  use_memory_under(no_threads_nor_files());
}
// Where some were inherited, the filters are counted in a file.
int second_filter_before_memory() {
  use_memory_under(no_threads());
}

int filter_beside_thread() {
  const MuchMemory memory;
  if (!gets_thread() || !no_threads_nor_files().install(Filter::For::kAllThreads)) _exit(1);
  contract::sleep_milliseconds(400);
  _exit(0);
}

// Where the heap grows in one size beside much that is free in another, malloc gives memory back,
// by no call that the filter does not expect. Too little for a thread.
int filter_before_growth() {
  constexpr size_t kCount = 16 * kKiB;
  static void* blocks[2][kCount];
  for (void*& block : blocks[0]) {
    block = malloc(1000);
    if (block == nullptr) _exit(1);
  }
  for (size_t index = 0; index < kCount; ++index) {
    if (index % 16 != 0) free(blocks[0][index]);
  }
  if (!no_threads_nor_files().kill(SYS_process_madvise).install()) _exit(1);
  for (size_t index = 0; index < kCount / 4; ++index) {
    blocks[1][index] = malloc(3000);
    if (blocks[1][index] == nullptr) _exit(1);
    contract::fill(blocks[1][index], 3000, index);
  }
  _exit(0);
}

struct Role {
  const char* name;
  int (*play)();
};
constexpr Role kRoles[] = {
    {"give_back_with_thread", give_back_with_thread},
    {"filter_before_memory", filter_before_memory},
    {"second_filter_before_memory", second_filter_before_memory},
    {"filter_beside_thread", filter_beside_thread},
    {"filter_before_growth", filter_before_growth},
};

// As run_self, with ticks every 20 ms.
void execute_with_fast_clock(const char* role) {
  char options[256];
  const char* before = getenv("SPANMALLOC_OPTIONS");
  snprintf(options, sizeof(options), "%s%sepoch_ms=20", before == nullptr ? "" : before,
           before == nullptr ? "" : ":");
  setenv("SPANMALLOC_OPTIONS", options, 1);
  execl("/proc/self/exe", "self", role, static_cast<char*>(nullptr));
  _exit(127);
}

enum class Inherited { kNothing, kFilter };

// With a filter that is as those of service managers: it lets threads start, but not choose how
// they are scheduled.
int run_role(const char* role, Inherited inherited) {
  return contract::run_in_child(kSeconds, [&] {
    if (inherited == Inherited::kFilter) {
      Filter filter;
      filter.kill(SYS_sched_setscheduler).kill(SYS_sched_setaffinity).kill(SYS_setpriority);
      REQUIRE(filter.install());
    }
    execute_with_fast_clock(role);
  });
}

// The kernel tells how many filters there are.
bool filters_are_counted() {
  char status[4096];
  return contract::read_text("/proc/thread-self/status", status) &&
         strstr(status, "\nSeccomp_filters:") != nullptr;
}

int run_filtered(const char* how, Filter filter) {
  return contract::run_in_child(kSeconds, [&] {
    REQUIRE(filter.install());
    execl("/proc/self/exe", "self", how, static_cast<char*>(nullptr));
    _exit(127);
  });
}

// Whether a program without the library gets as far as main() under the limit.
bool plain_program_starts(__rlimit_resource resource, rlim_t limit) {
  return contract::run_in_child(kSeconds, [&] {
           unsetenv("LD_PRELOAD");
           const rlimit limits{limit, limit};
           setrlimit(resource, &limits);
           execl("/proc/self/exe", "self", "work:-", static_cast<char*>(nullptr));
           _exit(127);
         }) == 0;
}

// Whether the program does its work under the limit, or the loader has no room for the library.
bool ends_well_under(__rlimit_resource resource, rlim_t limit) {
  constexpr int kRefusedByLoader = 127;
  const int status = contract::run_self("work:-", kSeconds, resource, limit);
  return status == 0 || status == kRefusedByLoader;
}

}  // namespace

CASE(threads_forbidden) {
  EXPECT_EQ(run_filtered("work:p1", Filter().refuse_threads()), 0);
}

CASE(under_an_inherited_filter_the_thread_gives_memory_back) {
  if (contract::not_promised_by_libc() || !filters_are_counted()) return;
  EXPECT_EQ(run_role("give_back_with_thread", Inherited::kFilter), 0);
}

CASE(after_a_late_filter_no_thread_starts_and_no_file_is_read) {
  EXPECT_EQ(run_role("filter_before_memory", Inherited::kNothing), 0);
  EXPECT_EQ(run_role("second_filter_before_memory", Inherited::kFilter), 0);
  if (contract::not_promised_by_libc()) return;
  EXPECT_EQ(run_role("filter_beside_thread", Inherited::kNothing), 0);
}

CASE(growth_gives_holes_back_by_no_call_that_a_late_filter_forbids) {
  EXPECT_EQ(run_role("filter_before_growth", Inherited::kNothing), 0);
  EXPECT_EQ(run_role("filter_before_growth", Inherited::kFilter), 0);
}

CASE(madvise_forbidden) {
  for (const int error : {EPERM, ENOSYS}) {
    EXPECT_EQ(run_filtered("work:p", Filter().refuse(SYS_madvise, error)), 0);
  }
}

CASE(rare_calls_forbidden) {
  for (const int error : {EPERM, ENOSYS, EINVAL}) {
    for (const long call :
         {SYS_mremap, SYS_prctl, SYS_membarrier, SYS_process_madvise, SYS_sysinfo, SYS_prlimit64,
          SYS_sched_getaffinity, SYS_getrandom, SYS_rseq, SYS_clock_gettime, SYS_nanosleep}) {
      EXPECT_EQ(run_filtered("work:p", Filter().refuse(call, error)), 0);
    }
  }
}

CASE(all_of_them_forbidden) {
  Filter filter;
  filter.refuse(SYS_madvise, EPERM).refuse(SYS_mremap, EPERM).refuse(SYS_prctl, EPERM);
  filter.refuse(SYS_membarrier, EPERM).refuse(SYS_process_madvise, EPERM);
  filter.refuse(SYS_sysinfo, EPERM).refuse(SYS_prlimit64, EPERM).refuse_threads();
  EXPECT_EQ(run_filtered("work:p1", filter), 0);
}

// Below 4 MiB the C library itself cannot be loaded.
CASE(large_mappings_refused) {
  for (size_t most = 4 * kMiB; most <= 32 * kMiB; most *= 2) {
    EXPECT_EQ(run_filtered("work:s", Filter().refuse_mappings_above(most)), 0);
  }
  EXPECT_EQ(run_filtered("work:p", Filter().refuse_mappings_above(128 * kMiB)), 0);
}

CASE(address_space_from_nothing_up) {
  for (size_t limit = kMiB; limit <= 4096 * kMiB; limit += limit / 2) {
    if (!plain_program_starts(RLIMIT_AS, limit)) continue;
    EXPECT(ends_well_under(RLIMIT_AS, limit));
  }
  EXPECT_EQ(contract::run_self("work:s", kSeconds, RLIMIT_AS, 24 * kMiB), 0);
  EXPECT_EQ(contract::run_self("work:p", kSeconds, RLIMIT_AS, 1024 * kMiB), 0);
}

CASE(data_from_nothing_up) {
  for (size_t limit = 64 * kKiB; limit <= 1024 * kMiB; limit *= 2) {
    if (!plain_program_starts(RLIMIT_DATA, limit)) continue;
    EXPECT(ends_well_under(RLIMIT_DATA, limit));
  }
  EXPECT_EQ(contract::run_self("work:s", kSeconds, RLIMIT_DATA, 16 * kMiB), 0);
}

// The limit does not hold for the superuser, who becomes somebody else first.
CASE(threads_refused_by_the_limit_of_processes) {
  const int status = contract::run_in_child(kSeconds, [] {
    constexpr uid_t kNobody = 65534;
    if (getuid() == 0) REQUIRE(setuid(kNobody) == 0);
    const rlimit limits{1, 1};
    REQUIRE(setrlimit(RLIMIT_NPROC, &limits) == 0);
    Had had;
    for (int round = 0; round < 3; ++round) use_heap(had);
    EXPECT_EQ(had.refused, 0u);
    EXPECT_EQ(contract::count_threads(), 1u);
    EXPECT(fork() == -1);
    use_heap(had);
    EXPECT_EQ(had.refused, 0u);
  });
  EXPECT_EQ(status, 0);
}

int main(int argc, char** argv) {
  if (argc > 1 && strncmp(argv[1], "work:", 5) == 0) return work(argv[1] + 5);
  for (const Role& role : kRoles) {
    if (argc > 1 && strcmp(argv[1], role.name) == 0) return role.play();
  }
  return contract::run_cases(argc, argv);
}
