// A file of the system that is read, by raw calls: those of the C library are points where a thread
// may be cancelled, and no call of malloc's is one.
#ifndef SPANMALLOC_PLATFORM_RAW_FILE_LINUX_H_
#define SPANMALLOC_PLATFORM_RAW_FILE_LINUX_H_

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cstddef>
#include <cstdint>

namespace spanmalloc::platform {

class RawFile {
 public:
  // Opens `path`. errno is lost.
  explicit RawFile(const char* path) : descriptor_(open(path)) {}
  // The first of both that can be opened. What the system tells of a process is asked for by the
  // thread's name for it, since that of the process is empty once its first thread has ended, and
  // by the latter where the system does not know the former.
  RawFile(const char* path, const char* otherwise) : RawFile(path) {
    if (descriptor_ < 0) descriptor_ = open(otherwise);
  }
  ~RawFile() {
    if (descriptor_ >= 0) syscall(SYS_close, descriptor_);
  }
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  // Bytes read; 0 at the end and when there is nothing to read. errno is lost.
  size_t read(void* buffer, size_t bytes) const {
    return descriptor_ < 0 ? 0 : positive(syscall(SYS_read, descriptor_, buffer, bytes));
  }

  // As read(), from `offset` on.
  size_t read_at(uint64_t offset, void* buffer, size_t bytes) const {
    return descriptor_ < 0 ? 0 : positive(syscall(SYS_pread64, descriptor_, buffer, bytes, offset));
  }

  // Reads the beginning of the file as a string. Returns false when there is none.
  template <size_t capacity>
  bool read_text(char (&text)[capacity]) const {
    return read_text(text, capacity);
  }
  bool read_text(char* text, size_t capacity) const {
    const size_t length = read(text, capacity - 1);
    text[length] = '\0';
    return length > 0;
  }

 private:
  static int open(const char* path) {
    return static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  }
  static size_t positive(long count) { return count > 0 ? static_cast<size_t>(count) : 0; }

  int descriptor_;
};

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_RAW_FILE_LINUX_H_
