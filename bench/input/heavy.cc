// A heavy translation unit: large standard headers and many template instances.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int Number>
struct Record {
  std::map<std::string, std::vector<std::tuple<int, std::string, double>>> rows;
  std::variant<int, std::string, std::vector<int>> value = Number;

  int work() {
    rows["key" + std::to_string(Number)].emplace_back(Number, "text", 1.5);
    for (auto& [key, list] : rows) {
      std::sort(list.begin(), list.end(),
                [](const auto& a, const auto& b) { return std::get<0>(a) < std::get<0>(b); });
    }
    std::function<int(int)> next = [this](int x) { return x + static_cast<int>(rows.size()); };
    return std::visit(
        [&](auto&& held) {
          using Held = std::decay_t<decltype(held)>;
          if constexpr (std::is_same_v<Held, int>) {
            return next(held);
          } else {
            return next(static_cast<int>(held.size()));
          }
        },
        value);
  }
};

template <int... Numbers>
int work_all(std::integer_sequence<int, Numbers...>) {
  return (Record<Numbers>{}.work() + ...);
}

int main() {
  auto even = std::views::iota(0, 100) | std::views::filter([](int x) { return x % 2 == 0; });
  std::cout << work_all(std::make_integer_sequence<int, 10>{}) + *even.begin() << '\n';
  return 0;
}
