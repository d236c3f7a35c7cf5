// Labels of CSV columns that are words.
#include <fmt/format.h>

#include <chrono>

#include "runtime/data/dataset.h"
#include "runtime/files/csv.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

constexpr CsvUse kNumberAndLabel[] = {CsvUse::Number, CsvUse::Label};

std::vector<float> column_of(const Dataset& set, size_t column) {
  const LoadedColumn& loaded = set.columns()[column];
  const auto* values = reinterpret_cast<const float*>(loaded.data.data());
  return {values, values + loaded.rows};
}

/// x is column 0, y: ix<Class> column 1 of both files.
DataPlan plan_of_words(int64_t below = 3) {
  DataPlan plan;
  plan.name = "d";
  plan.splits = {{"train", {"csv", {"train.csv"}, {}}}, {"valid", {"csv", {"valid.csv"}, {}}}};
  plan.columns = {{0, DType::F32, {}, {}}, {1, DType::F32, {}, {}}};
  plan.limits = {{1, below, "Class", {}}};
  return plan;
}

/// The numbers of column 1 of a split and the words behind them, or the error.
std::string labels_of(const DataPlan& plan, size_t split, const TempDirectory& dir) {
  const auto set = Dataset::open(plan, plan.splits[split], {{}, dir.path()});
  if (!set) return message_of(set);
  return fmt::format("{} of {}", fmt::join(column_of(*set, 1), " "), fmt::join(set->classes(1), " "));
}

}  // namespace

TEST_CASE("labels of a CSV are numbers or words, each text once") {
  const auto words = parse_csv("x,kind\n1,cat\n2, dog \n3,\"cat\"\n", "x.csv", kNumberAndLabel);
  REQUIRE_MESSAGE(words.has_value(), message_of(words));
  REQUIRE(words->labels.size() == 1);
  const CsvLabels& labels = words->labels.front();
  CHECK(labels.texts == std::vector<std::string>{"cat", "dog"});
  CHECK(labels.lines == std::vector<size_t>{2, 3});
  CHECK(labels.rows == std::vector<uint32_t>{0, 1, 0});
  CHECK(labels.first_word() == 0u);
  const auto numbers = parse_csv("1,2\n2,0\n", "x.csv", kNumberAndLabel);
  CHECK(!numbers->labels.front().first_word());
  CHECK(numbers->labels.front().numbers[0] == 2.0f);
}

TEST_CASE("each bad label has its row and column") {
  const std::pair<std::string, const char*> bad[] = {
      {"x,kind\n1,cat\n2,\n", "x.csv: row 3: column `kind` is empty"},
      {"x,kind\n1,cat\n2,\"  \"\n", "x.csv: row 3: column `kind` is empty"},
      {"x,kind\n1,1e99\n", "row 2: column `kind`: `1e99` is too large for f32"},
      {"x,kind\n1,cat\n2,NaN\n", "row 3: column `kind`: `NaN` is not a number | fill in or remove rows"},
      {"x,kind\n1,caf\xe9\n", "row 2: column `kind`: `caf\\xe9` is not UTF-8"},
      {"x,kind\n1,\xed\xa0\x80\n", "row 2: column `kind`: `\\xed\\xa0\\x80` is not UTF-8 | save the file in UTF-8"},
      {"x,kind\n1," + std::string(300, 'a') + "\n",
       "row 2: column `kind`: a word of 300 bytes; a label has at most 200"},
      {"x,kind\ncat,dog\n",
       "row 2: column `x`: `cat` is not a number | only labels may be words: `y: ix<Class> = "
       "field(0)`"},
  };
  for (const auto& [text, message] : bad) {
    const std::string seen = message_of(parse_csv(text, "x.csv", kNumberAndLabel));
    CHECK_MESSAGE(contains(seen, message), seen, " for ", message);
  }
  const CsvUse row[] = {CsvUse::Row, CsvUse::Row};
  CHECK(contains(message_of(parse_csv("1,cat\n", "x.csv", row)), "`row()[0 .. 1]` is the columns before it"));
  const CsvUse both[] = {CsvUse::Number, CsvUse::LabelAndNumber};
  CHECK(contains(message_of(parse_csv("1,cat\n", "x.csv", both)), "`field(1)` is read as a label and as a number"));
  const CsvUse first[] = {CsvUse::Number};  // what is read for nothing may hold anything
  CHECK(parse_csv("x,note\n1,\n2,cat\n", "x.csv", first).has_value());
}

TEST_CASE("the second line shows whether words of the first one are names") {
  const auto names = [](const char* text) { return parse_csv_header(text, "x.csv")->names.size(); };
  CHECK(names("5.1,red,setosa\n4.9,blue,virginica\n") == 0);  // all rows look alike
  CHECK(names("2021,a,kind\n4.9,3,virginica\n") == 3);
  CHECK(names(",a,kind\n0,red,cat\n") == 3);
  CHECK(names("a,kind\nred,cat\n") == 2);
  CHECK(names("a,b,7\n") == 3);
}

TEST_CASE("words are numbered in the order of their bytes in the first split, and that counts in all splits") {
  TempDirectory dir;
  write_raw(dir / "train.csv", "x,kind\n1,setosa\n2,Virginica\n3,setosa\n4,iris\n");
  write_raw(dir / "valid.csv", "x,kind\n1,iris\n2,setosa\n");
  const DataPlan plan = plan_of_words();
  CHECK(labels_of(plan, 0, dir) == "2 0 2 1 of Virginica iris setosa");
  CHECK(labels_of(plan, 1, dir) == "1 2 of Virginica iris setosa");
  CHECK(
      contains(labels_of(plan_of_words(2), 0, dir),
               "train.csv: column `kind` has 3 words, `Class` is 2 | make it `dim Class = 3`; the first word that has "
               "no place is `setosa`"));
  write_raw(dir / "valid.csv", "x,kind\n1,iris\n2,setose\n");
  CHECK(contains(labels_of(plan, 1, dir),
                 "valid.csv: row 3: column `kind`: `setose` is a word that split `train` does not have | did you mean "
                 "`setosa`? its 3 words are Virginica, iris, setosa"));
  write_raw(dir / "valid.csv", "x,kind\n1,0\n");
  CHECK(contains(labels_of(plan, 1, dir), "row 2: column `kind`: `0` is a word that split `train` does not have"));
  write_raw(dir / "train.csv", "x,kind\n1,2\n2,0\n");
  write_raw(dir / "valid.csv", "x,kind\n1,iris\n");
  CHECK(labels_of(plan, 0, dir) == "2 0 of ");
  CHECK(contains(labels_of(plan, 1, dir),
                 "row 2: column `kind`: `iris` is not a number | the labels of `Class` are "
                 "numbers in split `train`"));
}

TEST_CASE("a share of a file has the words of the whole file; columns of one dim have words in common") {
  TempDirectory dir;
  std::string text = "from,to,kind\n";
  for (int i = 0; i < 20; ++i) text += fmt::format("{},{},k\n", i == 3 ? "Rome" : "Oslo", i == 5 ? "Bern" : "Oslo");
  write_raw(dir / "train.csv", text);
  DataPlan plan = plan_of_words();
  plan.splits[1].source = plan.splits[0].source;
  plan.splits[0].share = {0, 0.5};
  plan.splits[1].share = {0.5, 1};
  plan.limits = {{0, 3, "City", {}}, {1, 3, "City", {}}};
  for (const Split& split : plan.splits) {
    const auto set = Dataset::open(plan, split, {{}, dir.path()});
    REQUIRE_MESSAGE(set.has_value(), message_of(set));
    CHECK(set->classes(0) == std::vector<std::string>{"Bern", "Oslo", "Rome"});
    CHECK(set->classes(1) == set->classes(0));
    CHECK(set->words().at("City") == set->classes(0));
  }
  plan.columns[0].as_number = true;
  CHECK(contains(message_of(Dataset::open(plan, plan.splits[0], {{}, dir.path()})),
                 "row 2: column `from`: `Oslo` is not a number | `field(0)` is read as a label and as a number"));
}

TEST_CASE("words that a checkpoint keeps count, and those of the data do not") {
  TempDirectory dir;
  write_raw(dir / "train.csv", "x,kind\n1,setosa\n2,iris\n");
  DataPlan plan = plan_of_words();
  const auto hash = [&] { return Dataset::open(plan, plan.splits[0], {{}, dir.path()})->fingerprint(); };
  const std::string before = hash();
  plan.known_words = KnownWords{"`last`", {{"Class", {"fern", "iris", "setosa"}}}};
  CHECK(labels_of(plan, 0, dir) == "2 1 of fern iris setosa");
  CHECK(hash() != before);
  plan.known_words->words["Class"] = {"fern", "setosa"};
  CHECK(contains(labels_of(plan, 0, dir), "row 3: column `kind`: `iris` is a word that `last` does not have"));
  plan.known_words->words.clear();
  CHECK(contains(labels_of(plan, 0, dir), "`setosa` is not a number | the labels of `Class` are numbers in `last`"));
  plan.known_words.reset();
  write_raw(dir / "train.csv", "x,kind\n1,setosa\n2,irma\n");  // the same numbers of other words
  CHECK(hash() != before);
}

TEST_CASE("a number among words is noted, and a part of a row goes round a column of words") {
  TempDirectory dir;
  write_raw(dir / "train.csv", "x,kind\n1,0\n2,1O\n3,1\n");
  DataPlan plan = plan_of_words();
  const auto set = Dataset::open(plan, plan.splits[0], {{}, dir.path()});
  REQUIRE_MESSAGE(set.has_value(), message_of(set));
  REQUIRE(set->notes().size() == 1);
  CHECK(contains(set->notes()[0],
                 "column `kind` has words and numbers: `1O` (row 3) is no number, so `0` (row 2) is a word too"));
  plan.columns[0] = {.field = Column::kWholeRow, .dtype = DType::F32, .row_shape = {2}, .span = {}};
  CHECK(contains(labels_of(plan, 0, dir), "`1O` is not a number"));
  plan.columns[0].parts = {{0, 1}};
  CHECK(labels_of(plan, 0, dir) == "0 2 1 of 0 1 1O");
}

TEST_CASE("a large file of words is read fast") {
  TempDirectory dir;
  std::string text = "x,kind\n";
  for (int i = 0; i < 100'000; ++i) text += fmt::format("{}.25,word{}\n", i, i * 7919 % 1000);
  write_raw(dir / "train.csv", text);
  const DataPlan plan = plan_of_words(1000);
  const auto start = std::chrono::steady_clock::now();
  const auto set = Dataset::open(plan, plan.splits[0], {{}, dir.path()});
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  REQUIRE_MESSAGE(set.has_value(), message_of(set));
  CHECK(set->classes(1).size() == 1000);
  MESSAGE("100,000 rows in ", seconds.count(), " s");
  CHECK(seconds.count() < 5);  // 0.05 s on one core that others do not use
}
