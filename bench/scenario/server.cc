// server [threads] [requests per thread]
//
// A request server. Every thread takes requests, builds a parsed request (a few small strings and
// a vector that grows), looks its session up in a shared table, renders a response into a buffer
// and hands the response to the next thread, which sends and frees it: so a good part of all
// blocks is freed by another thread than the one that allocated them. Sessions live long and
// change size, some end and begin anew. This is the mix of most network programs written in C++.
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "scenario.h"

namespace {

using scenario::Random;

struct Session {
  std::string user;
  std::vector<std::string> history;
};

struct Response {
  std::string headers;
  std::unique_ptr<char[]> body;
};

// Responses on their way to the thread that sends them.
class Outbox {
 public:
  // Returns how many are waiting now.
  size_t push(std::unique_ptr<Response> response) {
    std::lock_guard lock(mutex_);
    responses_.push_back(std::move(response));
    return responses_.size();
  }
  // Takes all at once, so that the lock is held shortly.
  std::deque<std::unique_ptr<Response>> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(responses_, {});
  }

 private:
  std::mutex mutex_;
  std::deque<std::unique_ptr<Response>> responses_;
};

constexpr size_t kMostWaiting = 256;
constexpr size_t kShards = 64;
constexpr size_t kSessionsPerShard = 2000;

struct Shard {
  std::mutex mutex;
  std::unordered_map<size_t, std::unique_ptr<Session>> sessions;
};

Shard shards[kShards];

// Adds the request to its session; one in 50 ends the session.
void touch_session(Random& random, const std::string& path) {
  Shard& shard = shards[random.below(kShards)];
  const size_t key = random.below(kSessionsPerShard);
  std::lock_guard lock(shard.mutex);
  if (random.below(50) == 0) {
    shard.sessions.erase(key);
    return;
  }
  std::unique_ptr<Session>& session = shard.sessions[key];
  if (session == nullptr) {
    session = std::make_unique<Session>();
    session->user = "user-" + std::to_string(key) + "@example.org";
  }
  if (session->history.size() >= 16) session->history.erase(session->history.begin());
  session->history.push_back(path);
}

std::unique_ptr<Response> answer(Random& random) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (size_t field = 4 + random.below(8); field > 0; --field) {
    fields.emplace_back(std::string(8 + random.below(24), 'n'),
                        std::string(8 + random.below(80), 'v'));
  }
  touch_session(random, "/path/" + std::string(10 + random.below(60), 'p'));
  auto response = std::make_unique<Response>();
  for (const auto& [name, value] : fields) response->headers += name + ": " + value + "\r\n";
  const size_t size = random.server_size();
  response->body = std::make_unique_for_overwrite<char[]>(size);
  std::memset(response->body.get(), 'b', size < 512 ? size : 512);
  return response;
}

}  // namespace

int main(int count, char** arguments) {
  const size_t threads = scenario::argument(count, arguments, 1, 4);
  const size_t requests = scenario::argument(count, arguments, 2, 300000);
  std::vector<Outbox> outboxes(threads);
  scenario::run_threads(threads, [&](size_t index) {
    Random random(index + 1);
    for (size_t request = 0; request < requests; ++request) {
      Outbox& next = outboxes[(index + 1) % threads];
      // A full outbox is emptied by its filler, so that memory does not depend on scheduling.
      if (next.push(answer(random)) > kMostWaiting) next.take();
      if (request % 32 == 0) outboxes[index].take();
    }
  });
  size_t sessions = 0;
  for (Shard& shard : shards) sessions += shard.sessions.size();
  std::printf("%zu requests, %zu sessions at the end\n", threads * requests, sessions);
  return 0;
}
