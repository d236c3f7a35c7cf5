// Lines and pairs of strings.
#include <fmt/format.h>

#include "runtime/data/dataset.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

constexpr std::string_view kFile = "a.txt";

Result<Dataset> open_lines(std::string_view text, std::string reader, std::array<int64_t, 2> lengths,
                           Share share = {}) {
  TempDirectory directory;
  write_raw(directory / kFile, text);
  DataPlan plan;
  plan.name = "d";
  const SourceCall source{.reader = std::move(reader), .paths = {std::string(kFile)}, .span = {}, .lengths = lengths};
  plan.splits = {{"train", source, share}};
  plan.columns = typed_columns(source);
  auto set = Dataset::open(plan, plan.splits.front(), {{}, directory.path(), {}});
  return set;
}
Result<Dataset> lines(std::string_view text, int64_t length = 4) { return open_lines(text, "lines", {length, 1}); }
Result<Dataset> pairs(std::string_view text) { return open_lines(text, "pairs", {4, 3}); }

std::string as_text(const Dataset& set, size_t column) {
  const Buffer& data = set.columns()[column].data;
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}
std::vector<int32_t> numbers(const Dataset& set, size_t column) {
  const LoadedColumn& c = set.columns()[column];
  const auto* data = reinterpret_cast<const int32_t*>(c.data.data());
  return {data, data + c.rows};
}

template <typename T>
std::string why(const Result<T>& result) {
  const std::string message = message_of(result);
  return message.substr(message.find(kFile), message.find(" | ") - message.find(kFile));
}

}  // namespace

TEST_CASE("lines become rows of one length, and their lengths a field") {
  using namespace std::string_literals;
  for (const std::string_view text : {"ab\ncdef\nx", "ab\r\ncdef\r\nx\r\n",
                                      "\xEF\xBB\xBF"
                                      "ab\n\ncdef\nx\n"}) {
    const auto set = lines(text);
    REQUIRE_MESSAGE(set, message_of(set));
    CHECK(set->rows() == 3);
    CHECK(as_text(*set, 0) == "ab\0\0cdefx\0\0\0"s);
    CHECK(numbers(*set, 1) == std::vector<int32_t>{2, 4, 1});
    CHECK(set->notes().size() == (text.find("\n\n") == std::string_view::npos ? 0 : 1));
  }
}

TEST_CASE("pairs have two strings and two lengths") {
  using namespace std::string_literals;
  const auto set = pairs("ab\tX\ncdef\tYZ\n");
  REQUIRE_MESSAGE(set, message_of(set));
  CHECK(as_text(*set, 0) == "ab\0\0cdef"s);
  CHECK(as_text(*set, 1) == "X\0\0YZ\0"s);
  CHECK(numbers(*set, 2) == std::vector<int32_t>{2, 4});
  CHECK(numbers(*set, 3) == std::vector<int32_t>{1, 2});
}

TEST_CASE("lines of splits are drawn, and each is in one") {
  std::string text;
  for (int i = 0; i < 100; ++i) text += fmt::format("{}\n", i);
  const auto train = open_lines(text, "lines", {4, 1}, {0, 0.8}), valid = open_lines(text, "lines", {4, 1}, {0.8, 1});
  REQUIRE((train && valid));
  CHECK(train->rows() == 80);
  CHECK(valid->rows() == 20);
  CHECK(as_text(*valid, 0).substr(0, 2) != "80");
}

TEST_CASE("lines that are none say where") {
  using namespace std::string_literals;
  CHECK(why(lines("")) == "a.txt: the file is empty");
  CHECK(why(lines("\n\r\n")) == "a.txt: all lines are empty");
  CHECK(why(lines("ab\ncdefg\n")) == "a.txt, line 2: it has 5 bytes, the model takes 4");
  CHECK(why(lines("ab\nc\0d\n"s)) == "a.txt, line 2: has a byte 0");
  CHECK(why(pairs("ab\tX\ncd\n")) == "a.txt, line 2: has 0 tabs; a pair has one, between its strings");
  CHECK(why(pairs("ab\tX\tY\n")) == "a.txt, line 1: has 2 tabs; a pair has one, between its strings");
  CHECK(why(pairs("ab\t\n")) == "a.txt, line 1: its second string is empty");
  CHECK(why(pairs("\n\tX\n")) == "a.txt, line 2: its first string is empty");
  CHECK(why(pairs("ab\tWXYZ\n")) == "a.txt, line 1: its second string has 4 bytes, the model takes 3");
}
