// pipeline [messages]
//
// Four stages in four threads: a reader allocates messages, a decoder adds a header from scratch
// memory of its own, a transformer replaces the payload by a larger one, a writer renders all into
// a buffer and frees the message. So every thread allocates and frees, partly its own blocks and
// partly those of the stages before it: media servers, stream processors, staged servers.
#include "channel.h"
#include "scenario.h"

namespace {

using scenario::Batch;
using scenario::Channel;
using scenario::filled_block;

struct Message {
  char* header;
  char* payload;
  size_t header_size;
  size_t payload_size;
};

constexpr size_t kStages = 4;
Channel channels[kStages - 1];

void read(size_t messages) {
  scenario::Random random(1);
  Channel& out = channels[0];
  while (messages > 0) {
    Batch& batch = out.begin_send();
    for (; batch.count < Batch::kMost && messages > 0; --messages) {
      Message* message = reinterpret_cast<Message*>(filled_block(sizeof(Message)));
      const size_t size = random.below(10) < 8 ? 32 + random.below(480) : 512 + random.below(3584);
      *message = {nullptr, filled_block(size), 0, size};
      batch.blocks[batch.count++] = message;
    }
    out.end_send();
  }
  out.close();
}

void decode(Message& message) {
  char* scratch = filled_block(message.payload_size / 2);
  message.header_size = 16 + message.payload_size % 113;
  message.header = filled_block(message.header_size);
  message.header[1] = scratch[0];
  std::free(scratch);
}

void transform(Message& message) {
  const size_t size = message.payload_size + message.payload_size / 2;
  char* larger = filled_block(size);
  larger[1] = message.payload[0];
  std::free(message.payload);
  message.payload = larger;
  message.payload_size = size;
}

// Passes every message through `change`.
template <typename Change>
void relay(Channel& in, Channel& out, Change change) {
  while (Batch* batch = in.begin_receive()) {
    Batch& next = out.begin_send();
    next.count = batch->count;
    for (size_t index = 0; index < batch->count; ++index) {
      next.blocks[index] = batch->blocks[index];
      change(*static_cast<Message*>(next.blocks[index]));
    }
    in.end_receive();
    out.end_send();
  }
  out.close();
}

uint64_t write() {
  uint64_t sum = 0;
  Channel& in = channels[kStages - 2];
  while (Batch* batch = in.begin_receive()) {
    for (size_t index = 0; index < batch->count; ++index) {
      Message* message = static_cast<Message*>(batch->blocks[index]);
      char* rendered = filled_block(message->header_size + message->payload_size);
      rendered[0] = message->payload[1];
      sum += scenario::check_bytes(rendered, message->header_size + message->payload_size) +
             static_cast<unsigned char>(message->header[1]);
      std::free(message->header);
      std::free(message->payload);
      std::free(message);
      std::free(rendered);
    }
    in.end_receive();
  }
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t messages = scenario::argument(count, arguments, 1, 2000000);
  uint64_t sum = 0;
  scenario::run_threads(kStages, [&](size_t stage) {
    switch (stage) {
      case 0:
        return read(messages);
      case 1:
        return relay(channels[0], channels[1], decode);
      case 2:
        return relay(channels[1], channels[2], transform);
      default:
        sum = write();
    }
  });
  std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
