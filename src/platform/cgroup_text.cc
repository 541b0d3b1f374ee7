#include "platform/cgroup_text.h"

#include <cstring>

namespace spanmalloc::platform {

namespace {

// Version 1 writes the largest number of whole pages for "no limit".
constexpr uint64_t kLeastUnlimited = uint64_t{1} << 60;

// Takes what stands before the first `mark` off the text, and the mark; the whole rest without one.
TextPiece take_until(TextPiece& text, char mark) {
  const void* found = text.length > 0 ? memchr(text.begin, mark, text.length) : nullptr;
  TextPiece taken = text;
  if (found != nullptr) {
    taken.length = static_cast<size_t>(static_cast<const char*>(found) - text.begin);
    text = {taken.begin + taken.length + 1, text.length - taken.length - 1};
  } else {
    text = {text.begin + text.length, 0};
  }
  return taken;
}

bool list_contains(TextPiece list, const char* item) {
  while (list.length > 0) {
    if (take_until(list, ',').equals(item)) return true;
  }
  return false;
}

// Digits up to the end; false for anything else and for what does not fit.
bool number_in(TextPiece text, uint64_t* value) {
  if (text.length == 0) return false;
  *value = 0;
  for (size_t index = 0; index < text.length; ++index) {
    const char digit = text.begin[index];
    if (digit < '0' || digit > '9') return false;
    if (__builtin_mul_overflow(*value, uint64_t{10}, value) ||
        __builtin_add_overflow(*value, static_cast<uint64_t>(digit - '0'), value)) {
      return false;
    }
  }
  return true;
}

bool append(CgroupPlace* place, TextPiece text) {
  if (text.length >= CgroupPlace::kBytes - place->length) return false;
  memcpy(place->path + place->length, text.begin, text.length);
  place->length += text.length;
  place->path[place->length] = '\0';
  return true;
}

// Takes the first byte off a path of mountinfo, where a blank and other marks are written as \ and
// three octal digits.
char take_unescaped(TextPiece& text) {
  const auto is_octal = [](char digit) { return digit >= '0' && digit <= '7'; };
  const char* first = text.begin;
  const bool is_escaped = first[0] == '\\' && text.length > 3 && is_octal(first[1]) &&
                          is_octal(first[2]) && is_octal(first[3]);
  const size_t taken = is_escaped ? 4 : 1;
  text = {first + taken, text.length - taken};
  if (!is_escaped) return first[0];
  return static_cast<char>((first[1] - '0') << 6 | (first[2] - '0') << 3 | (first[3] - '0'));
}

bool append_unescaped(CgroupPlace* place, TextPiece text) {
  while (text.length > 0) {
    const char byte = take_unescaped(text);
    if (!append(place, {&byte, 1})) return false;
  }
  return true;
}

// Takes `start`, written as in mountinfo, off a path. False when the path begins otherwise.
bool take_start(TextPiece& path, TextPiece start) {
  while (start.length > 0) {
    if (path.length == 0 || path.begin[0] != take_unescaped(start)) return false;
    path = {path.begin + 1, path.length - 1};
  }
  return true;
}

// Takes the mounted root off the path of a group. False when the group lies elsewhere.
bool take_mounted_root(TextPiece& path, TextPiece root) {
  const bool is_inside =
      root.equals("/") || (take_start(path, root) && (path.length == 0 || path.begin[0] == '/'));
  if (!is_inside) return false;
  // Seen from another name space a group outside of it begins with "/..".
  return path.length < 3 || memcmp(path.begin, "/..", 3) != 0;
}

}  // namespace

bool TextPiece::equals(const char* other) const {
  return strlen(other) == length && (length == 0 || memcmp(begin, other, length) == 0);
}

TextPiece cgroup_path_in(TextPiece line, const char* controller) {
  const TextPiece hierarchy = take_until(line, ':');
  const TextPiece controllers = take_until(line, ':');
  if (line.length == 0 || line.begin[0] != '/') return {};
  const bool matches = controller == nullptr ? hierarchy.equals("0") && controllers.length == 0
                                             : list_contains(controllers, controller);
  return matches ? line : TextPiece{};
}

bool cgroup_mount_in(TextPiece line, const char* controller, CgroupMount* mount) {
  // "id parent device root point options [more ...] - type source options"
  for (int skipped = 0; skipped < 3; ++skipped) take_until(line, ' ');
  mount->root = take_until(line, ' ');
  mount->point = take_until(line, ' ');
  while (line.length > 0 && !take_until(line, ' ').equals("-")) {
  }
  const TextPiece type = take_until(line, ' ');
  take_until(line, ' ');
  const bool matches = controller == nullptr
                           ? type.equals("cgroup2")
                           : type.equals("cgroup") && list_contains(line, controller);
  return matches && mount->root.length > 0 && mount->root.begin[0] == '/' &&
         mount->point.length > 0 && mount->point.begin[0] == '/';
}

bool is_mounted(const CgroupMount& mount, TextPiece path) {
  return take_mounted_root(path, mount.root);
}

bool make_cgroup_place(const char* prefix, const CgroupMount& mount, TextPiece path,
                       CgroupPlace* place) {
  *place = {};
  if (!append(place, {prefix, strlen(prefix)}) || !append_unescaped(place, mount.point)) {
    *place = {};
    return false;
  }
  place->mount_length = place->length;
  // What of the path lies below the mounted root.
  TextPiece below = path;
  if (!take_mounted_root(below, mount.root)) below = {};
  if (below.length > 1 && !append(place, below)) {
    *place = {};
    return false;
  }
  return true;
}

uint64_t limit_in(TextPiece text) {
  uint64_t value = 0;
  if (!number_in(take_until(text, '\n'), &value) || value >= kLeastUnlimited) return kNoLimit;
  return value;
}

uint64_t quota_percent(uint64_t quota_us, uint64_t period_us) {
  // -1 for "none" does not read as a number and comes here as kNoLimit.
  if (quota_us >= kLeastUnlimited / 100 || period_us == 0 || period_us == kNoLimit) return kNoLimit;
  const uint64_t percent = quota_us * 100 / period_us;
  return percent > 0 ? percent : 1;
}

uint64_t cpu_max_in(TextPiece text) {
  TextPiece line = take_until(text, '\n');
  const uint64_t quota = limit_in(take_until(line, ' '));
  return quota_percent(quota, limit_in(line));
}

uint64_t stalled_us_in(TextPiece text) {
  while (text.length > 0) {
    TextPiece line = take_until(text, '\n');
    if (!take_until(line, ' ').equals("some")) continue;
    while (line.length > 0) {
      TextPiece word = take_until(line, ' ');
      uint64_t value = 0;
      if (take_until(word, '=').equals("total") && number_in(word, &value)) return value;
    }
  }
  return 0;
}

uint64_t limit_events_in(TextPiece text) {
  uint64_t sum = 0;
  while (text.length > 0) {
    TextPiece line = take_until(text, '\n');
    const TextPiece name = take_until(line, ' ');
    uint64_t value = 0;
    const bool counts = name.equals("high") || name.equals("max") || name.equals("oom");
    if (counts && number_in(line, &value)) sum += value;
  }
  return sum;
}

}  // namespace spanmalloc::platform
