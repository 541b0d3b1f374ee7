// Failures of the system, on demand: the program is linked so that every call that the allocator's
// platform layer makes to the C library goes through a wrapper here, which counts and may refuse.
#ifndef SPANMALLOC_TESTS_FAULTS_INJECTOR_H_
#define SPANMALLOC_TESTS_FAULTS_INJECTOR_H_

#include <stddef.h>
#include <stdint.h>

namespace faults {

enum class Call : uint8_t {
  kMmap,
  kMunmap,
  kMprotect,
  kMadvise,
  kMremap,
  kPrctl,
  kSyscall,
  kOpen,
  kRead,
  kClose,
  kStat,
  kGetrlimit,
  kSysinfo,
  kAffinity,
  kClock,
  kThreadCreate,
  kThreadAttributes,
  kThreadKey,
  kThreadValue,
  kForkHandlers,
  kSignalMask,
  kSignalAction,
  kReadMemory,
  kCount,
};
inline constexpr size_t kCallCount = static_cast<size_t>(Call::kCount);

const char* name_of(Call call);

enum class Which : uint8_t { kNone, kOne, kAllFrom };

// kHarsh: as out of memory; a refused mremap has taken its target away, a refused madvise has done
// half of its work. kClean: as forbidden; nothing was changed.
enum class Manner : uint8_t { kHarsh, kClean };

// kIgnored: the kernel places memory where it likes.
enum class Hints : uint8_t { kFollowed, kIgnored };

struct Plan {
  Which which = Which::kNone;
  Manner manner = Manner::kHarsh;
  Hints hints = Hints::kFollowed;
  uint64_t first = 0;  // the call that fails, or the first one that does; 1 is the first of all
};

// What the wrappers saw and did. Shared with the parent process.
struct Record {
  Plan plan;
  uint64_t calls = 0;
  uint64_t injected = 0;
  uint64_t calls_of[kCallCount] = {};
  uint64_t injected_of[kCallCount] = {};
};

// The record of this process. In a process that was executed with the name of an inherited
// descriptor in kRecordVariable, it is the memory behind that descriptor, from the first call on.
Record& record();
void use_record(Record* record);
inline constexpr const char* kRecordVariable = "SPANMALLOC_FAULTS_RECORD";

// From here on calls are counted and refused by `plan`; until stop().
void start(const Plan& plan);
void stop();

// From here on this process starts no thread through the allocator, whatever the plan.
void refuse_threads();

}  // namespace faults

#endif  // SPANMALLOC_TESTS_FAULTS_INJECTOR_H_
