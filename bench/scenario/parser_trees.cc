// parser_trees [documents] [KiB of a document]
//
// Parses a generated text in the manner of JSON into a tree: a node for every value, and strings
// for keys and texts, each a block of its own; reads the tree once and destroys it in the order of
// the tree. The last few trees stay alive. It stands for parsers, compilers and interpreters, which
// build millions of small blocks in a row and free them together.
#include "scenario.h"

namespace {

using scenario::filled_block;
using scenario::Random;

// Writes a document: objects and lists of strings, numbers, and objects and lists again.
class Generator {
 public:
  explicit Generator(size_t size) : size_(size), text_(filled_block(size + 4096)) {
    text_[length_++] = '[';
    while (length_ < size_) {
      if (length_ > 1) text_[length_++] = ',';
      put_value(0);
    }
    text_[length_++] = ']';
    text_[length_] = '\0';
  }
  ~Generator() { std::free(text_); }
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  const char* text() const { return text_; }

 private:
  void put_value(size_t depth) {
    const size_t kind = depth == 0 ? 9 : length_ >= size_ ? 0 : random_.below(depth < 4 ? 10 : 7);
    if (kind < 3) {
      for (size_t digits = 1 + random_.below(9); digits > 0; --digits) put_character('1', 9);
    } else if (kind < 7) {
      put_string(random_.below(8) == 0 ? 100 : 24);
    } else {
      put_members(kind, depth);
    }
  }

  // An object or a list.
  void put_members(size_t kind, size_t depth) {
    const bool object = kind != 7;
    text_[length_++] = object ? '{' : '[';
    const size_t members = 1 + random_.below(8);
    for (size_t member = 0; member < members; ++member) {
      if (member > 0) text_[length_++] = ',';
      if (object) {
        put_string(16);
        text_[length_++] = ':';
      }
      put_value(depth + 1);
    }
    text_[length_++] = object ? '}' : ']';
  }

  void put_string(size_t longest) {
    text_[length_++] = '"';
    for (size_t size = 1 + random_.below(longest); size > 0; --size) put_character('a', 26);
    text_[length_++] = '"';
  }

  void put_character(char first, size_t choices) {
    text_[length_++] = static_cast<char>(first + static_cast<char>(random_.below(choices)));
  }

  Random random_{1};
  size_t size_;
  char* text_;
  size_t length_ = 0;
};

struct Node {
  Node* next;
  Node* child;
  char* key;
  char* text;
  uint64_t number;
};

// REQUIRES of all: the text is a document of Generator.
class Parser {
 public:
  explicit Parser(const char* text) : at_(text) {}

  Node* value() {
    Node* node = reinterpret_cast<Node*>(filled_block(sizeof(Node)));
    *node = {};
    if (*at_ == '"') {
      node->text = string();
    } else if (*at_ == '{' || *at_ == '[') {
      node->child = members();
    } else {
      while (*at_ >= '0' && *at_ <= '9') {
        node->number = node->number * 10 + static_cast<uint64_t>(*at_++ - '0');
      }
    }
    return node;
  }

 private:
  Node* members() {
    const bool object = *at_++ == '{';
    Node* first = nullptr;
    Node** link = &first;
    while (*at_ != '}' && *at_ != ']') {
      if (*at_ == ',') ++at_;
      char* key = nullptr;
      if (object) {
        key = string();
        ++at_;
      }
      Node* node = value();
      node->key = key;
      *link = node;
      link = &node->next;
    }
    ++at_;
    return first;
  }

  char* string() {
    const char* start = ++at_;
    while (*at_ != '"') ++at_;
    const size_t size = static_cast<size_t>(at_++ - start);
    char* copy = filled_block(size + 1);
    std::memcpy(copy, start, size);
    copy[size] = '\0';
    return copy;
  }

  const char* at_;
};

uint64_t sum_of(const Node* node) {
  uint64_t sum = 0;
  for (; node != nullptr; node = node->next) {
    sum += node->number + sum_of(node->child);
    if (node->key != nullptr) sum += static_cast<unsigned char>(node->key[0]);
    if (node->text != nullptr) sum += static_cast<unsigned char>(node->text[0]);
  }
  return sum;
}

void destroy(Node* node) {
  while (node != nullptr) {
    Node* next = node->next;
    destroy(node->child);
    std::free(node->key);
    std::free(node->text);
    std::free(node);
    node = next;
  }
}

}  // namespace

int main(int count, char** arguments) {
  const size_t documents = scenario::argument(count, arguments, 1, 100);
  const size_t size = scenario::argument(count, arguments, 2, 1024) << 10;
  const Generator generator(size);
  Node* alive[4] = {};
  uint64_t sum = 0;
  for (size_t document = 0; document < documents; ++document) {
    Node*& tree = alive[document % std::size(alive)];
    destroy(tree);
    tree = Parser(generator.text()).value();
    sum += sum_of(tree);
  }
  for (Node* tree : alive) destroy(tree);
  std::printf("%llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
