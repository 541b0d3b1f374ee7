// What differs between compilers and instruments, and nothing else.
#ifndef SPANMALLOC_PLATFORM_COMPILER_H_
#define SPANMALLOC_PLATFORM_COMPILER_H_

#include <cstddef>

#define SPANMALLOC_ALWAYS_INLINE inline __attribute__((always_inline))
#define SPANMALLOC_NOINLINE __attribute__((noinline))
#define SPANMALLOC_COLD __attribute__((noinline, cold))
#define SPANMALLOC_EXPORT __attribute__((visibility("default")))
#define SPANMALLOC_WEAK __attribute__((weak))
#define SPANMALLOC_INITIAL_EXEC_TLS __attribute__((tls_model("initial-exec")))
#define SPANMALLOC_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SPANMALLOC_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

// Makes a function keep its frame pointer in a chain that platform/stack_trace.h can walk.
#define SPANMALLOC_KEEP_FRAME() asm volatile("" : : "r"(__builtin_frame_address(0)))

// Clang proves these with -Wthread-safety; gcc ignores them.
#if defined(__clang__)
#define SPANMALLOC_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define SPANMALLOC_THREAD_ANNOTATION(x)
#endif
#define SPANMALLOC_CAPABILITY(x) SPANMALLOC_THREAD_ANNOTATION(capability(x))
#define SPANMALLOC_SCOPED_CAPABILITY SPANMALLOC_THREAD_ANNOTATION(scoped_lockable)
#define SPANMALLOC_GUARDED_BY(x) SPANMALLOC_THREAD_ANNOTATION(guarded_by(x))
#define SPANMALLOC_REQUIRES(...) SPANMALLOC_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define SPANMALLOC_EXCLUDES(...) SPANMALLOC_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define SPANMALLOC_ACQUIRE(...) SPANMALLOC_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define SPANMALLOC_RELEASE(...) SPANMALLOC_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define SPANMALLOC_TRY_ACQUIRE(...) \
  SPANMALLOC_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define SPANMALLOC_NO_THREAD_SAFETY_ANALYSIS SPANMALLOC_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace spanmalloc::platform {

#if defined(NDEBUG)
inline constexpr bool kDebugChecks = false;
#else
inline constexpr bool kDebugChecks = true;
#endif

// Defined for the build of bench/micro that counts locks and writes to shared lines.
#if defined(SPANMALLOC_COUNT_EVENTS)
inline constexpr bool kCountEvents = true;
#else
inline constexpr bool kCountEvents = false;
#endif

// Defined for libspanmalloc_debug.so of the tests.
#if defined(SPANMALLOC_PARANOID)
inline constexpr bool kParanoid = true;
#else
inline constexpr bool kParanoid = false;
#endif

// The thread sanitizer accepts program memory only in the address ranges that the kernel chooses
// by itself, so address hints are left out under it.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif
inline constexpr bool kAddressHintsAllowed = !kThreadSanitizer;

inline constexpr size_t kCacheLineBytes = 64;

// Whether a signal handler leaves the address that it returns through on the stack.
#if defined(__x86_64__)
inline constexpr bool kHandlersReturnByStack = true;
#else
inline constexpr bool kHandlersReturnByStack = false;
#endif

// Tells the processor that this is a spin loop.
inline void spin_pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace spanmalloc::platform

// Asks for `value` to be computed in the register that functions return it in, where gcc would
// otherwise end the hot path by a move.
#if defined(__x86_64__)
#define SPANMALLOC_IN_RESULT_REGISTER(value) asm("" : "+a"(value))
#else
#define SPANMALLOC_IN_RESULT_REGISTER(value) static_cast<void>(0)
#endif

// Asks for `value` to be computed as it stands, into a register.
#define SPANMALLOC_IN_REGISTER(value) asm("" : "+r"(value))

#endif  // SPANMALLOC_PLATFORM_COMPILER_H_
