// The vector of shapes and operands against std::vector.
#include <doctest/doctest.h>

#include <random>
#include <utility>
#include <vector>

#include "ir/support/short_vector.h"

namespace smelt {
namespace {

using Short = ShortVector<int, 3>;

bool same(const Short& a, const std::vector<int>& b) { return std::vector<int>(a.begin(), a.end()) == b; }

TEST_CASE("a short vector holds what a vector holds after the same changes") {
  std::mt19937 random(1);  // NOLINT: the same everywhere
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  Short a;
  std::vector<int> b;
  for (int turn = 0; turn < 20000; ++turn) {
    const auto value = static_cast<int>(random() % 100);
    const auto at = static_cast<ptrdiff_t>(below(b.size() + 1));
    switch (below(10)) {
      case 0:
      case 1: a.push_back(value), b.push_back(value); break;
      case 2: a.insert(a.begin() + at, value), b.insert(b.begin() + at, value); break;
      case 3: {
        const std::vector<int> more(below(4), value);
        a.insert(a.begin() + at, more.begin(), more.end()), b.insert(b.begin() + at, more.begin(), more.end());
        break;
      }
      case 4:
        if (at < std::ssize(b)) a.erase(a.begin() + at), b.erase(b.begin() + at);
        break;
      case 5: a.erase(a.begin(), a.begin() + at), b.erase(b.begin(), b.begin() + at); break;
      case 6: {
        const size_t size = below(7);
        a.resize(size, value), b.resize(size, value);
        break;
      }
      case 7: {
        Short copy = a;
        Short moved = std::move(a);
        CHECK(a.empty());  // NOLINT: what is left of it is said
        CHECK(copy == moved);
        a = moved;
        a = std::move(copy);
        break;
      }
      case 8:
        // Of its own elements, while it grows.
        if (!b.empty()) a.push_back(a.front()), b.push_back(int{b.front()});
        break;
      default: a.assign(static_cast<size_t>(at), value), b.assign(static_cast<size_t>(at), value); break;
    }
    REQUIRE(same(a, b));
    REQUIRE(a.size() == b.size());
  }
}

TEST_CASE("short vectors compare as vectors do, and are made of lists") {
  const std::vector<int> five = {1, 2, 3, 4, 5};
  CHECK(Short(five) == Short{1, 2, 3, 4, 5});
  CHECK(Short{1, 2} < Short{1, 2, 0});
  CHECK(Short{1, 3} > Short{1, 2, 9});
  CHECK(Short(2, 7) == Short{7, 7});
  CHECK(Short(five).back() == 5);
  CHECK(*Short(five).rbegin() == 5);
}

}  // namespace
}  // namespace smelt
