// What the programs share whose memory is watched from outside (lib/watch.py): marks on standard
// output, tables that malloc has no part in, and the floor that resident memory is measured
// against.
#ifndef SPANMALLOC_BENCH_SCENARIO_WATCHED_H_
#define SPANMALLOC_BENCH_SCENARIO_WATCHED_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "scenario.h"

namespace watched {

constexpr size_t kKernelPage = 4096;

inline uint64_t nanoseconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

inline void sleep_milliseconds(size_t milliseconds) {
  const timespec time{static_cast<time_t>(milliseconds / 1000),
                      static_cast<long>(milliseconds % 1000) * 1000000};
  nanosleep(&time, nullptr);
}

// Writes "<nanoseconds of the monotonic clock> <name> <value>" without malloc.
inline void mark(const char* name, uint64_t value = 0) {
  char line[128];
  const int length = std::snprintf(line, sizeof(line), "%llu %s %llu\n",
                                   static_cast<unsigned long long>(nanoseconds(CLOCK_MONOTONIC)),
                                   name, static_cast<unsigned long long>(value));
  if (write(STDOUT_FILENO, line, static_cast<size_t>(length)) != length) std::exit(1);
}

struct ResidentPages {
  size_t all;
  size_t of_files;
};

inline ResidentPages resident_pages() {
  char text[128] = {};
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  size_t mapped = 0;
  ResidentPages pages{};
  if (length <= 0 || std::sscanf(text, "%zu %zu %zu", &mapped, &pages.all, &pages.of_files) != 3) {
    std::exit(1);
  }
  return pages;
}

// Zeroed memory straight from the system.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_((bytes + kKernelPage - 1) / kKernelPage * kKernelPage) {
    start_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (start_ == MAP_FAILED) std::exit(1);
  }
  ~Memory() { munmap(start_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  char* start() const { return start_; }

  // Gives back what lies behind the first `used` bytes.
  void release_behind(size_t used) const {
    const size_t kept = (used + kKernelPage - 1) / kKernelPage * kKernelPage;
    if (kept < bytes_) madvise(start_ + kept, bytes_ - kept, MADV_DONTNEED);
  }

  size_t resident_bytes() const {
    unsigned char in_core[1024];
    size_t pages = 0;
    for (size_t at = 0; at < bytes_; at += sizeof(in_core) * kKernelPage) {
      const size_t length = std::min(bytes_ - at, sizeof(in_core) * kKernelPage);
      if (mincore(start_ + at, length, in_core) != 0) std::exit(1);
      for (size_t page = 0; page < length / kKernelPage; ++page) pages += in_core[page] & 1u;
    }
    return pages * kKernelPage;
  }

 private:
  size_t bytes_;
  char* start_;
};

// A block of malloc and the size that was asked for, in one word. REQUIRES: size below 64 KiB.
class Block {
 public:
  explicit Block(size_t size)
      : word_(reinterpret_cast<uintptr_t>(scenario::filled_block(size)) | size << 48) {
    std::memset(start(), 1, size);
  }
  char* start() const { return reinterpret_cast<char*>(word_ << 16 >> 16); }
  size_t size() const { return word_ >> 48; }
  size_t first_page() const { return (word_ << 16 >> 16) / kKernelPage; }
  size_t last_page() const { return ((word_ << 16 >> 16) + size() - 1) / kKernelPage; }

 private:
  uint64_t word_;
};

// A list of blocks in memory of its own.
class Blocks {
 public:
  explicit Blocks(size_t capacity) : memory_(capacity * sizeof(Block)), capacity_(capacity) {}

  Block* begin() const { return reinterpret_cast<Block*>(memory_.start()); }
  Block* end() const { return begin() + count_; }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }
  size_t table_bytes() const { return memory_.resident_bytes(); }

  void add(size_t size) { list(Block(size)); }

  // Lists a block that is there already.
  void list(const Block& block) {
    if (count_ == capacity_) std::exit(1);
    begin()[count_++] = block;
    bytes_ += block.size();
  }

  // Adds blocks of `low` to `high` bytes, until they have `bytes` together.
  void fill(scenario::Random& random, size_t bytes, size_t low, size_t high) {
    while (bytes_ < bytes) add(random.between(low, high));
  }

  // Frees every block that keep(block) does not want; the others keep their order.
  template <typename Keep>
  void free_unless(Keep keep) {
    Block* kept = begin();
    for (const Block& block : *this) {
      if (keep(block)) {
        *kept++ = block;
      } else {
        bytes_ -= block.size();
        std::free(block.start());
      }
    }
    count_ = static_cast<size_t>(kept - begin());
    memory_.release_behind(count_ * sizeof(Block));
  }

  // Frees the oldest blocks until those left have `bytes` together.
  void free_oldest(size_t bytes) {
    free_unless([&](const Block&) { return bytes_ <= bytes; });
  }

  // Bytes of the kernel pages that hold a byte of a block.
  size_t page_bytes() const {
    const Memory copy(count_ * sizeof(Block) + 1);
    Block* sorted = reinterpret_cast<Block*>(copy.start());
    std::copy(begin(), end(), sorted);
    std::sort(sorted, sorted + count_,
              [](const Block& a, const Block& b) { return a.start() < b.start(); });
    size_t pages = 0, next = 0;
    for (size_t index = 0; index < count_; ++index) {
      const size_t first = std::max(next, sorted[index].first_page());
      next = std::max(next, sorted[index].last_page() + 1);
      pages += next - std::min(first, next);
    }
    return pages * kKernelPage;
  }

 private:
  Memory memory_;
  size_t capacity_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

// Writes the marks "live" (bytes asked for) and "floor": the kernel pages with a live byte, the
// pages of program and library files, and the program's own tables.
inline void mark_floor(const Blocks& blocks, size_t table_bytes) {
  const size_t files = resident_pages().of_files * kKernelPage;
  mark("live", blocks.bytes());
  mark("floor", blocks.page_bytes() + files + table_bytes);
}

}  // namespace watched

#endif  // SPANMALLOC_BENCH_SCENARIO_WATCHED_H_
