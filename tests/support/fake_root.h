// A folder that stands for the root of the file system, in which tests write the kernel's files.
#ifndef SPANMALLOC_TESTS_SUPPORT_FAKE_ROOT_H_
#define SPANMALLOC_TESTS_SUPPORT_FAKE_ROOT_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace spanmalloc::testing {

class FakeRoot {
 public:
  FakeRoot() {
    std::string pattern = (std::filesystem::temp_directory_path() / "spanmalloc-").string();
    pattern.append(6, 'X');  // what mkdtemp() replaces
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~FakeRoot() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FakeRoot(const FakeRoot&) = delete;
  FakeRoot& operator=(const FakeRoot&) = delete;

  const char* path() const { return path_.c_str(); }

  // Writes a file, `name` beginning with '/', and the folders above it.
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = path_ + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::trunc) << text;
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(path_ + name); }

  // Version 2 alone, with this process in `group`.
  void mount_unified(const std::string& group) const {
    write("/proc/self/cgroup", "0::" + group + "\n");
    write("/proc/self/mountinfo", "22 1 0:20 / /cg rw - cgroup2 cgroup2 rw\n");
  }

 private:
  std::string path_;
};

}  // namespace spanmalloc::testing

#endif  // SPANMALLOC_TESTS_SUPPORT_FAKE_ROOT_H_
