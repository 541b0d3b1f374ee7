#include "base/check.h"

#include "base/text_writer.h"
#include "platform/system.h"

namespace spanmalloc {

void fatal(const char* sentence) {
  BufferedText<256> message;
  message.text("spanmalloc: ").text(sentence).text("\n");
  platform::write_error(message.begin(), message.length());
  platform::abort_process();
}

void check_failed(const char* sentence, const char* file, int line) {
  BufferedText<256> message;
  message.text("internal check failed: ").text(sentence).text(" (").text(file).text(":");
  message.number(static_cast<uint64_t>(line)).text(")");
  fatal(message.begin());
}

}  // namespace spanmalloc
