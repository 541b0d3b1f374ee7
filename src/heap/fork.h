// What goes round a fork, so that the child has a heap that it can use. See fork.cc.
#ifndef SPANMALLOC_HEAP_FORK_H_
#define SPANMALLOC_HEAP_FORK_H_

namespace spanmalloc {

// The fork handlers. They are to be the first that the process registers, so that they run last
// before a fork and first after it: between them no other thread gets far in malloc, and a handler
// that waits for such a thread would wait for ever.
void prepare_fork();
void after_fork_in_parent();
void after_fork_in_child();

// For copies of the process that run no handlers. As prepare_fork(), for a time; false when the
// locks cannot be had in it. Nothing is to follow then. In the parent after_fork_in_parent() does.
[[nodiscard]] bool prepare_bare_fork();
// The C library has not made the child ready for threads: none of ours starts there.
void after_bare_fork_in_child();

// Stands for the time in which the C library takes up a handler of somebody's. It allocates then,
// under a lock that it also takes in a fork, behind the handlers: no fork begins meanwhile.
class HandlerRegistration {
 public:
  HandlerRegistration();
  ~HandlerRegistration();
  HandlerRegistration(const HandlerRegistration&) = delete;
  HandlerRegistration& operator=(const HandlerRegistration&) = delete;

 private:
  // False within another one of the thread.
  const bool is_outermost_;
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_HEAP_FORK_H_
