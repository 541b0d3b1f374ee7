// Spans of which the system refused to make pages accessible again, until somebody tries anew.
#ifndef SPANMALLOC_SPANS_SPAN_STACK_H_
#define SPANMALLOC_SPANS_SPAN_STACK_H_

#include <atomic>

#include "spans/span.h"

namespace spanmalloc {

// Linked through Span::next. Takes no lock: spans are pushed one by one and taken all at once, so
// nobody compares with a span that has left and come back.
class SpanStack {
 public:
  constexpr SpanStack() = default;
  SpanStack(const SpanStack&) = delete;
  SpanStack& operator=(const SpanStack&) = delete;

  bool empty() const { return top_.load(std::memory_order_relaxed) == nullptr; }

  // REQUIRES: the caller owns the span, which is on no list.
  void push(Span* span) {
    span->next = top_.load(std::memory_order_relaxed);
    // Release: who takes the span sees all that was done to it.
    while (!top_.compare_exchange_weak(span->next, span, std::memory_order_release,
                                       std::memory_order_relaxed)) {
    }
  }

  // Calls action(span) for each span and leaves the stack empty but for those that it pushes again.
  template <typename Action>
  void take_all(Action action) {
    if (empty()) return;
    Span* span = top_.exchange(nullptr, std::memory_order_acquire);
    while (span != nullptr) {
      Span* next = span->next;
      span->next = nullptr;
      action(span);
      span = next;
    }
  }

  // Calls check(span) for each span; they are taken out for as long as that takes.
  template <typename Check>
  void check_invariants(Check check) {
    take_all([&](Span* span) {
      check(*span);
      push(span);
    });
  }

 private:
  std::atomic<Span*> top_{nullptr};
};

}  // namespace spanmalloc

#endif  // SPANMALLOC_SPANS_SPAN_STACK_H_
