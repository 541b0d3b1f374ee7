#include "platform/own_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "platform/system.h"

namespace spanmalloc::platform {
namespace {

bool is_open(int descriptor) {
  return fcntl(descriptor, F_GETFD) >= 0;
}

// Runs `body` on a thread that has left the files. False when it cannot; what the body finds out is
// checked outside, for a check that fails is written to a file.
template <typename Body>
bool run_without_files(Body body) {
  bool has_left = false;
  std::thread([&] {
    leave_files_of_process();
    has_left = has_left_files_of_process();
    if (has_left) body();
  }).join();
  return has_left;
}

// Standard error goes into a pipe as long as this lives.
class CaughtErrors {
 public:
  CaughtErrors() : saved_(dup(STDERR_FILENO)) {
    EXPECT_EQ(pipe(ends_), 0);
    EXPECT_EQ(dup2(ends_[1], STDERR_FILENO), STDERR_FILENO);
  }
  ~CaughtErrors() {
    dup2(saved_, STDERR_FILENO);
    for (const int descriptor : {saved_, ends_[0], ends_[1]}) close(descriptor);
  }
  CaughtErrors(const CaughtErrors&) = delete;
  CaughtErrors& operator=(const CaughtErrors&) = delete;

  char first() const {
    char letter = 0;
    EXPECT_EQ(read(ends_[0], &letter, 1), 1);
    return letter;
  }

 private:
  int saved_;
  int ends_[2] = {-1, -1};
};

TEST(OwnFiles, WhatAThreadOpensIsNoDescriptorOfTheProcess) {
  int opened = -1;
  const int lowest = dup(STDERR_FILENO);
  if (!run_without_files([&] { opened = open("/dev/null", O_RDONLY | O_CLOEXEC); })) GTEST_SKIP();
  EXPECT_EQ(opened, 0) << "the first of an empty table";
  EXPECT_TRUE(is_open(lowest));
  EXPECT_FALSE(has_left_files_of_process()) << "the other threads keep theirs";
  close(lowest);
}

TEST(OwnFiles, ItsErrorsAreWrittenWhereThoseOfTheProcessAre) {
  const CaughtErrors errors;
  bool keeps_any = true;
  const auto write = [&] {
    write_error("x", 1);
    keeps_any = is_open(0) || is_open(1) || is_open(2);
  };
  if (!run_without_files(write)) GTEST_SKIP();
  EXPECT_FALSE(keeps_any);
  EXPECT_EQ(errors.first(), 'x');
}

TEST(OwnFiles, StandardErrorCanBeTakenAlong) {
  const CaughtErrors errors;
  bool others_are_open = true;
  long written = 0;
  const auto write_after = [&] {
    take_error_output_along();
    others_are_open = is_open(0) || is_open(1);
    written = write(STDERR_FILENO, "y", 1);
  };
  if (!run_without_files(write_after)) GTEST_SKIP();
  EXPECT_FALSE(others_are_open);
  EXPECT_EQ(written, 1);
  EXPECT_EQ(errors.first(), 'y');
}

TEST(OwnFiles, AThreadThatHasNotLeftWritesItself) {
  const ErrorOutput output;
  EXPECT_EQ(output.descriptor(), STDERR_FILENO);
  take_error_output_along();
  EXPECT_TRUE(is_open(STDERR_FILENO));
}

}  // namespace
}  // namespace spanmalloc::platform
