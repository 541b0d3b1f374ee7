// A process as under a kernel before Linux 6.13, which knows no marks for guard pages: guards are
// mappings of their own there.
#ifndef SPANMALLOC_TESTS_SUPPORT_OLDER_KERNEL_H_
#define SPANMALLOC_TESTS_SUPPORT_OLDER_KERNEL_H_

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace spanmalloc::testing {

// Has the kernel refuse the two advices from here on, for good. False when it knows no filters.
inline bool forbid_guard_marks() {
  constexpr unsigned kGuardInstall = 102;
  constexpr unsigned kGuardRemove = 103;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kGuardInstall, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kGuardRemove, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof code / sizeof code[0], code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_OLDER_KERNEL_H_
