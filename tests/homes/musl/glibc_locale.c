// libc++ reads the tables of characters out of glibc's locales. The linker sends its calls of
// newlocale() and freelocale() here.
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct GlibcLocale {
  void* categories[13];  // the first six are all of musl's
  const unsigned short* types;
  const int32_t* lower;
  const int32_t* upper;
};

const unsigned short** __ctype_b_loc(void);
const int32_t** __ctype_tolower_loc(void);
const int32_t** __ctype_toupper_loc(void);
locale_t __real_newlocale(int mask, const char* name, locale_t base);

locale_t __wrap_newlocale(int mask, const char* name, locale_t base) {
  const locale_t made = __real_newlocale(mask, name, base);
  struct GlibcLocale* locale = calloc(1, sizeof *locale);
  if (made == NULL || locale == NULL) return NULL;
  memcpy(locale->categories, made, 6 * sizeof(void*));
  locale->types = *__ctype_b_loc();
  locale->lower = *__ctype_tolower_loc();
  locale->upper = *__ctype_toupper_loc();
  return (locale_t)locale;
}
void __wrap_freelocale(locale_t locale) {
  free(locale);
}
