// What libc++ of Debian, which is built for glibc, takes from glibc and musl lacks. With it, libc++
// is a C++ runtime for the tests: as much of it as they use needs nothing else of glibc.
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

// Functions with the room at their destination as a further argument.

void* __memmove_chk(void* to, const void* from, size_t bytes, size_t room) {
  if (bytes > room) abort();
  return memmove(to, from, bytes);
}
wchar_t* __wmemcpy_chk(wchar_t* to, const wchar_t* from, size_t count, size_t room) {
  if (count > room) abort();
  return wmemcpy(to, from, count);
}
wchar_t* __wmemmove_chk(wchar_t* to, const wchar_t* from, size_t count, size_t room) {
  if (count > room) abort();
  return wmemmove(to, from, count);
}
int __vsnprintf_chk(char* to, size_t size, int flag, size_t room, const char* format,
                    va_list arguments) {
  (void)flag;
  if (size > room) abort();
  return vsnprintf(to, size, format, arguments);
}
int __vasprintf_chk(char** to, int flag, const char* format, va_list arguments) {
  (void)flag;
  return vasprintf(to, format, arguments);
}
int __vfprintf_chk(FILE* file, int flag, const char* format, va_list arguments) {
  (void)flag;
  return vfprintf(file, format, arguments);
}
int __fprintf_chk(FILE* file, int flag, const char* format, ...) {
  (void)flag;
  va_list arguments;
  va_start(arguments, format);
  const int length = vfprintf(file, format, arguments);
  va_end(arguments);
  return length;
}

// musl has one locale for numbers.

long long strtoll_l(const char* text, char** end, int base, locale_t locale) {
  (void)locale;
  return strtoll(text, end, base);
}
unsigned long long strtoull_l(const char* text, char** end, int base, locale_t locale) {
  (void)locale;
  return strtoull(text, end, base);
}

// Destructors of thread-local objects, the youngest first. The main thread's run with none.

struct Destructor {
  void (*run)(void*);
  void* object;
  struct Destructor* older;
};

static _Thread_local struct Destructor* youngest;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void run_destructors(void* unused) {
  (void)unused;
  while (youngest != NULL) {
    struct Destructor* destructor = youngest;
    youngest = destructor->older;
    destructor->run(destructor->object);
    free(destructor);
  }
}

static void make_key(void) {
  if (pthread_key_create(&at_thread_end, run_destructors) != 0) abort();
}

int __cxa_thread_atexit_impl(void (*run)(void*), void* object, void* library) {
  (void)library;
  struct Destructor* destructor = malloc(sizeof *destructor);
  if (destructor == NULL) return -1;
  *destructor = (struct Destructor){run, object, youngest};
  youngest = destructor;
  pthread_once(&once, make_key);
  return pthread_setspecific(at_thread_end, destructor);
}
