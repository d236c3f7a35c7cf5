#include "ir/support/bytes.h"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "ir/builder.h"
#include "ir/type.h"

namespace smelt {
namespace {

enum class Colour : uint8_t { Red, Green };

struct Inner {
  Colour colour = Colour::Red;
  std::array<uint8_t, 3> over = {1, 2, 3};
  std::optional<double> share = {};
};

struct Outer {
  std::string name;
  std::vector<Inner> inner;
  std::map<std::string, std::vector<std::string>> words;
  std::vector<std::pair<int32_t, std::string>> pairs;
  TensorType type;
  bool last = false;
};

Outer sample() {
  return {.name = "a",
          .inner = {{}, {.colour = Colour::Green, .over = {7, 8, 9}, .share = 0.5}},
          .words = {{"Class", {"fern", ""}}, {"None", {}}},
          .pairs = {{3, "three"}},
          .type = {DType::BF16, {Extent(128, 2), 7}},
          .last = true};
}

TEST_CASE("what is read is what was written, member by member") {
  const std::string bytes = to_bytes(sample());
  const std::optional<Outer> read = from_bytes<Outer>(bytes);
  REQUIRE(read);
  CHECK(read->name == "a");
  CHECK(read->inner.at(1).colour == Colour::Green);
  CHECK(read->inner.at(1).over == std::array<uint8_t, 3>{7, 8, 9});
  CHECK(read->inner.at(1).share == 0.5);
  CHECK_FALSE(read->inner.at(0).share);
  CHECK(read->words == sample().words);
  CHECK(read->pairs == sample().pairs);
  CHECK(read->type == sample().type);
  CHECK(read->last);
  CHECK(to_bytes(*read) == bytes);
}

TEST_CASE("bytes that end early or late are no value") {
  const std::string bytes = to_bytes(sample());
  for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(from_bytes<Outer>(bytes.substr(0, size)));
  CHECK_FALSE(from_bytes<Outer>(bytes + 'x'));
}

TEST_CASE("every member changes the bytes") {
  const std::string bytes = to_bytes(sample());
  const auto changed = [&](const auto& change) {
    Outer other = sample();
    change(other);
    return to_bytes(other) != bytes;
  };
  CHECK(changed([](Outer& o) { o.name = "b"; }));
  CHECK(changed([](Outer& o) { o.inner[0].share = 0.0; }));
  CHECK(changed([](Outer& o) { o.inner[1].over[2] = 0; }));
  CHECK(changed([](Outer& o) { o.words["None"].push_back(""); }));
  CHECK(changed([](Outer& o) { o.pairs.clear(); }));
  CHECK(changed([](Outer& o) { o.type.shape[0].symbol = 1; }));
  CHECK(changed([](Outer& o) { o.last = false; }));
}

TEST_CASE("graphs have bytes: attributes, places and bodies of loops among them") {
  const auto graph = [](double value, uint32_t place) {
    Graph made{.name = "f"};
    Builder build(made);
    build.set_span({.file = 0, .begin = place, .end = place + 1});
    build.constant(value, {DType::F32, {3}});
    return made;
  };
  const auto scan = [&](double value) {
    Graph made{.name = "loop"};
    Builder(made).copy({.op = OpKind::Scan, .body = std::make_shared<const Graph>(graph(value, 0))}, {});
    return made;
  };
  CHECK(to_bytes(graph(1, 4)) == to_bytes(graph(1, 4)));
  CHECK(to_bytes(graph(1, 4)) != to_bytes(graph(2, 4)));
  CHECK(to_bytes(graph(1, 4)) != to_bytes(graph(1, 5)));
  CHECK(to_bytes(scan(1)) == to_bytes(scan(1)));
  CHECK(to_bytes(scan(1)) != to_bytes(scan(2)));
}

}  // namespace
}  // namespace smelt
