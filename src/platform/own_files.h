// The open files of a thread that has left those of the process to the program. What such a thread
// opens is no descriptor of the program's, which may count on the lowest free one, close all that
// it does not know, or fork.
#ifndef SPANMALLOC_PLATFORM_OWN_FILES_H_
#define SPANMALLOC_PLATFORM_OWN_FILES_H_

namespace spanmalloc::platform {

// Gives the calling thread a table of open files of its own, with nothing in it. Before Linux 5.9
// it stays with the process's, and under a filter that was inherited, which may end who asks.
void leave_files_of_process();

// Whether the calling thread has done so.
bool has_left_files_of_process();

// Standard error of the process, also in a thread that has left its files.
class ErrorOutput {
 public:
  ErrorOutput();
  ~ErrorOutput();
  ErrorOutput(const ErrorOutput&) = delete;
  ErrorOutput& operator=(const ErrorOutput&) = delete;

  // Negative when there is none.
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// Lets a handler of the program that runs on such a thread find standard error in its usual place.
void take_error_output_along();

}  // namespace spanmalloc::platform

#endif  // SPANMALLOC_PLATFORM_OWN_FILES_H_
