// Texts cut into windows.
#include <zlib.h>

#include "runtime/data/dataset.h"
#include "runtime/data/split_rows.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

SourceCall text_of(std::vector<std::string> paths, int64_t window) {
  return {.reader = "bytes", .paths = std::move(paths), .span = {}, .window = window};
}

std::string as_text(const LoadedColumn& column) {
  return {reinterpret_cast<const char*>(column.data.data()), column.data.size()};
}

Result<Dataset> open_text(const TempDirectory& directory, DataPlan plan) {
  return Dataset::open(plan, plan.splits.front(), {{}, directory.path(), {}});
}

}  // namespace

TEST_CASE("a text becomes windows, and the bytes that follow them") {
  TempDirectory directory;
  write_raw(directory / "a.txt", "abcdefghi");  // two windows; i follows the second one
  write_raw(directory / "b.txt", "ABCDEFGH");   // one: nothing follows H
  const auto one = open_text(directory, plan_of(text_of({"a.txt"}, 4)));
  REQUIRE_MESSAGE(one, message_of(one));
  CHECK(one->rows() == 2);
  CHECK(one->columns()[0].row_shape == std::vector<int64_t>{4});
  CHECK(as_text(one->columns()[0]) == "abcdefgh");
  CHECK(as_text(one->columns()[1]) == "bcdefghi");
  const auto two = open_text(directory, plan_of(text_of({"a.txt", "b.txt"}, 4)));
  REQUIRE(two);
  CHECK(as_text(two->columns()[0]) == "abcdefghABCD");
  CHECK(as_text(two->columns()[1]) == "bcdefghiBCDE");
  CHECK(one->fingerprint() != two->fingerprint());
  DataPlan next = plan_of(text_of({"a.txt"}, 4));
  next.columns.erase(next.columns.begin());
  CHECK(as_text(open_text(directory, next)->columns()[0]) == "bcdefghi");
}

TEST_CASE("splits of a text are stretches of it, whatever the seed") {
  TempDirectory directory;
  write_raw(directory / "a.txt", "0123456789a");
  DataPlan plan = plan_of(text_of({"a.txt"}, 1));
  plan.splits.front().share = {0.7, 1};
  for (const uint64_t seed : {0u, 9u}) {
    plan.seed = seed;
    const auto last = open_text(directory, plan);
    REQUIRE_MESSAGE(last, message_of(last));
    CHECK(as_text(last->columns()[0]) == "789");
    CHECK(as_text(last->columns()[1]) == "89a");
  }
  plan.splits.front().share = {0.99, 1};
  CHECK(contains(message_of(open_text(directory, plan)), "split `train` has none of the 10 rows"));
}

TEST_CASE("a text that is missing, empty or shorter than a window says so") {
  TempDirectory directory;
  write_raw(directory / "empty.txt", "");
  write_raw(directory / "short.txt", "abcd");
  const auto message = [&](const char* name) { return message_of(open_text(directory, plan_of(text_of({name}, 4)))); };
  CHECK(contains(message("none.txt"), "none.txt"));
  CHECK(contains(message("empty.txt"), "empty.txt: the file is empty"));
  CHECK(contains(message("short.txt"), "4 bytes are less than one window of 4 and the byte that follows it"));
  CHECK(contains(message("short.txt"), "windows of at most 3 bytes"));
  const DataPaths paths{{}, directory.path(), {}};
  CHECK(contains(message_of(check_source(text_of({"short.txt"}, 4), "d", paths)), "4 bytes are less"));
  CHECK(check_source(text_of({"short.txt"}, 3), "d", paths));
}

TEST_CASE("a packed text is unpacked") {
  TempDirectory directory;
  const gzFile file = gzopen((directory / "a.txt.gz").c_str(), "wb");
  gzwrite(file, "abcdefghi", 9);
  gzclose(file);
  const auto text = open_text(directory, plan_of(text_of({"a.txt"}, 4)));
  REQUIRE_MESSAGE(text, message_of(text));
  CHECK(as_text(text->columns()[1]) == "bcdefghi");
}

TEST_CASE("labels of a text are bytes, and a smaller dim is checked") {
  TempDirectory directory;
  write_raw(directory / "a.txt",
            "ab\xC3\xA9"
            "cd");
  DataPlan plan = plan_of(text_of({"a.txt"}, 2));
  plan.limits = {{0, 256, "Byte", {}}};
  CHECK(open_text(directory, plan));
  plan.limits = {{0, 128, "Ascii", {}}};
  CHECK(contains(message_of(open_text(directory, plan)), "row 1: 195 is not in 0..127, the range of `Ascii`"));
}
