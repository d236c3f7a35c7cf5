// Data sets, shuffling, batches.
#include <fmt/format.h>

#include "ir/philox.h"
#include "runtime/data/batches.h"
#include "runtime/data/dataset.h"
#include "runtime/data/shuffle.h"
#include "runtime/files/npy.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

// The same algorithm written once more, as a header of a built model has it.
void order_in_c(uint64_t seed, uint32_t epoch, int32_t n, int32_t* rows) {
  for (int32_t i = 0; i < n; ++i) rows[i] = i;
  for (int32_t i = n - 1; i > 0; --i) {
    const uint32_t w =
        philox(seed, {static_cast<uint32_t>(i) / 4, 0, epoch, fnv1a("shuffle", 7)})[static_cast<uint32_t>(i) % 4];
    const auto j = static_cast<int32_t>((static_cast<uint64_t>(w) * (static_cast<uint64_t>(i) + 1)) >> 32);
    const int32_t t = rows[i];
    rows[i] = rows[j];
    rows[j] = t;
  }
}

std::string idx_u8(std::initializer_list<int> sizes, const std::string& data) {
  std::string out = bytes(0, 0, 8, sizes.size());
  for (const int size : sizes) out += bytes(0, 0, size >> 8, size & 0xFF);
  return out + data;
}

DataPlan plan_of(const char* reader, std::vector<std::string> files, std::vector<Column> columns) {
  DataPlan plan;
  plan.name = "d";
  plan.splits = {{"train", {reader, std::move(files), {}}}};
  plan.columns = std::move(columns);
  return plan;
}

}  // namespace

TEST_CASE("the shuffle gives its documented order") {
  const std::vector<std::pair<uint32_t, std::vector<int32_t>>> golden = {{0, {2, 0, 6, 5, 7, 8, 1, 9, 4, 3}},
                                                                         {1, {0, 6, 2, 5, 4, 7, 1, 9, 8, 3}}};
  for (const auto& [epoch, expected] : golden) {
    std::vector<int32_t> rows(10);
    shuffle_rows(7, epoch, rows);
    CHECK(rows == expected);
  }
  std::vector<int32_t> odd(13);
  shuffle_rows((uint64_t{1} << 40) + 3, 2, odd);
  CHECK(odd == std::vector<int32_t>{9, 2, 5, 3, 10, 8, 11, 1, 0, 12, 7, 4, 6});
  std::vector<int32_t> many(60'000);
  shuffle_rows(7, 0, many);
  CHECK(fnv1a(reinterpret_cast<const char*>(many.data()), many.size() * 4) == 0x2a1c40b1u);
}

TEST_CASE("the C form of the shuffle gives the same order, of every length") {
  for (int32_t n = 0; n < 70; ++n) {
    std::vector<int32_t> ours(static_cast<size_t>(n)), theirs(static_cast<size_t>(n));
    shuffle_rows(12345678901234567u, static_cast<uint32_t>(n), ours);
    order_in_c(12345678901234567u, static_cast<uint32_t>(n), n, theirs.data());
    CHECK(ours == theirs);
    std::sort(ours.begin(), ours.end());
    for (int32_t i = 0; i < n; ++i) CHECK(ours[static_cast<size_t>(i)] == i);
  }
}

TEST_CASE("every row is equally likely at every place") {
  constexpr int kRows = 8, kEpochs = 8000;
  int counts[kRows][kRows] = {};
  std::vector<int32_t> rows(kRows);
  for (uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    shuffle_rows(3, epoch, rows);
    for (int place = 0; place < kRows; ++place) ++counts[place][rows[static_cast<size_t>(place)]];
  }
  double chi2 = 0;
  for (const auto& place : counts) {
    for (const int count : place) chi2 += (count - 1000.0) * (count - 1000.0) / 1000.0;
  }
  CHECK(chi2 < 90);  // 49 degrees of freedom: p = 3e-4
}

TEST_CASE("batches cover an epoch once, the rest last or dropped") {
  auto batches = Batches::create({10, 4, false, true, 7}, "train");
  REQUIRE(batches.has_value());
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<int32_t> seen;
    for (const size_t size : {4, 4, 2}) {
      CHECK(batches->epochs_done() == epoch);
      const auto rows = batches->next();
      CHECK(rows.size() == size);
      seen.insert(seen.end(), rows.begin(), rows.end());
    }
    std::vector<int32_t> expected(10);
    shuffle_rows(7, static_cast<uint32_t>(epoch), expected);
    CHECK(seen == expected);
  }
  auto dropping = Batches::create({10, 4, true, false, 7}, "train");
  CHECK(dropping->plan().batches_per_epoch() == 2);
  for (int i = 0; i < 4; ++i) CHECK(dropping->next().front() == (i % 2) * 4);
}

TEST_CASE("seeking gives the rows that counting gives") {
  auto ahead = Batches::create({10, 4, false, true, 7}, "train");
  CHECK(ahead->following().empty());  // of no epoch yet
  for (int i = 0; i < 9; ++i) {
    const std::vector<int32_t> expected(ahead->following().begin(), ahead->following().end());
    const auto rows = ahead->next();
    CHECK((i % 3 == 0 ? expected.empty() : std::ranges::equal(expected, rows)));
  }
  auto counted = Batches::create({11, 3, false, true, 1}, "train");
  for (int64_t taken = 0; taken < 20; ++taken) {
    auto sought = Batches::create({11, 3, false, true, 1}, "train");
    sought->seek(taken);
    const auto a = counted->next(), b = sought->next();
    CHECK(std::vector<int32_t>(a.begin(), a.end()) == std::vector<int32_t>(b.begin(), b.end()));
  }
  CHECK(contains(message_of(Batches::create({3, 4, true, false, 0}, "train")), "fewer than one batch of 4"));
  CHECK(Batches::create({int64_t{1} << 31, 4, true, false, 0}, "train").error().kind == ErrorKind::Limit);
}

TEST_CASE("a split of idx files loads, plain or packed, from --data or beside the model") {
  TempDirectory dir;
  std::filesystem::create_directory(dir / "mnist");
  write_raw(dir / "mnist/images", idx_u8({2, 2, 2}, bytes(1, 2, 3, 4, 5, 6, 7, 8)));
  write_raw(dir / "mnist/labels", idx_u8({2}, bytes(1, 0)));
  DataPlan plan = plan_of("idx", {"mnist/images.gz", "mnist/labels"},
                          {{0, DType::U8, {2, 2}, {}}, {1, DType::U8, {}, {}}, {0, DType::U8, {2, 2}, {}}});
  plan.limits = {{1, 2, "Class", {}}};
  for (const DataPaths& paths : {DataPaths{{}, dir.path()}, DataPaths{{{"d", dir / "mnist"}}, "/nowhere"}}) {
    const auto set = Dataset::open(plan, plan.splits[0], paths);
    REQUIRE_MESSAGE(set.has_value(), message_of(set));
    CHECK(set->rows() == 2);
    CHECK(set->columns()[0].data.data()[7] == std::byte{8});
    CHECK(set->columns()[1].data.data()[0] == std::byte{1});
    CHECK(set->columns()[2].data.data()[0] == std::byte{1});
    CHECK(set->notes().empty());
  }
}

TEST_CASE("a probe tells types and shapes from the headers alone") {
  TempDirectory dir;
  write_raw(dir / "images", idx_u8({1000, 28, 28}, ""));  // no data at all
  write_raw(dir / "labels", idx_u8({1000}, ""));
  write_raw(dir / "t.csv", "a,b,c\n1,2,3\n");
  const DataPaths paths{{}, dir.path()};
  const auto idx = probe_source({"idx", {"images", "labels"}, {}}, "d", paths);
  REQUIRE_MESSAGE(idx.has_value(), message_of(idx));
  CHECK((*idx)[0].row_shape == std::vector<int64_t>{28, 28});
  CHECK((*idx)[1].row_shape.empty());
  CHECK((*idx)[1].field == 1);
  const auto csv = probe_source({"csv", {"t.csv"}, {}}, "d", paths);
  CHECK(csv->size() == 3);
  CHECK((*csv)[2].dtype == DType::F32);
  CHECK(contains(message_of(probe_source({"cvs", {"t.csv"}, {}}, "d", paths)),
                 "no reader is called `cvs` | there are idx, npy, npz, csv"));
  CHECK(contains(message_of(probe_source({"csv", {"t.csv", "u.csv"}, {}}, "d", paths)), "takes one file, got 2"));
}

TEST_CASE("system data sets are found") {
  if (!std::filesystem::exists(std::filesystem::path(kSystemData) / "fashion-mnist")) {
    fmt::print(stderr,
               "SKIPPED: \"system data sets are found\": {}/fashion-mnist is not there; install the package "
               "dataset-fashion-mnist\n",
               kSystemData);
    return;
  }
  const SourceCall source{
      "idx", {"fashion-mnist/train-images-idx3-ubyte", "fashion-mnist/train-labels-idx1-ubyte"}, {}};
  const auto columns = probe_source(source, "d", {{}, "/nowhere"});
  REQUIRE_MESSAGE(columns.has_value(), message_of(columns));
  CHECK((*columns)[0].row_shape == std::vector<int64_t>{28, 28});
  DataPlan plan = plan_of("idx", source.paths, *columns);
  plan.limits = {{1, 10, "Class", {}}};
  const auto set = Dataset::open(plan, plan.splits[0], {});
  REQUIRE_MESSAGE(set.has_value(), message_of(set));
  CHECK(set->rows() == 60'000);
}

TEST_CASE("data that does not fit the model is refused with file, row and value") {
  TempDirectory dir;
  write_raw(dir / "images", idx_u8({3, 2}, "abcdef"));
  write_raw(dir / "labels", idx_u8({3}, bytes(0, 9, 10)));
  write_raw(dir / "two", idx_u8({2}, bytes(0, 1)));
  write_raw(dir / "t.csv", "x,label\n1,0\n2,1\n3,1.5\n");
  const DataPaths paths{{}, dir.path()};
  const auto open = [&](const DataPlan& plan) { return message_of(Dataset::open(plan, plan.splits[0], paths)); };

  DataPlan plan = plan_of("idx", {"images", "labels"}, {{0, DType::U8, {2}, {}}, {1, DType::U8, {}, {}}});
  plan.limits = {{1, 10, "Class", {}}};
  CHECK(contains(open(plan), "labels: row 2: 10 is not in 0..9, the range of `Class` (10)"));
  CHECK(contains(open(plan_of("idx", {"images", "two"}, {})), "images has 3 rows, "));
  CHECK(
      contains(open(plan_of("idx", {"images"}, {{0, DType::U8, {3}, {}}})), "a row is u8[2], the model expects u8[3]"));
  CHECK(contains(open(plan_of("idx", {"images"}, {{0, DType::F32, {2}, {}}})), "the model expects f32[2]"));
  CHECK(contains(open(plan_of("idx", {"images"}, {{1, DType::U8, {2}, {}}})), "has 1 files, the model reads field(1)"));
  CHECK(contains(open(plan_of("csv", {"t.csv"}, {{5, DType::F32, {}, {}}})),
                 "has 2 columns, the model expects column 5"));
  CHECK(contains(open(plan_of("csv", {"t.csv"}, {{-1, DType::F32, {3}, {}}})), "the model expects rows of f32[3]"));
  DataPlan labels = plan_of("csv", {"t.csv"}, {{-1, DType::F32, {2}, {}}, {1, DType::F32, {}, {}}});
  labels.limits = {{1, 2, "Class", {}}};
  CHECK(contains(open(labels), "t.csv: row 4: column `label`: 1.5 is not in 0..1"));
  CHECK(contains(open(plan_of("idx", {"none"}, {})), "with and without .gz | give the directory with `--data d=DIR`"));
  CHECK(contains(open(plan_of("idx", {"a/../../x"}, {})), "leaves the model's directory"));
  CHECK(contains(open(plan_of("idx", {"images", ".."}, {})), "leaves the model's directory"));
}

TEST_CASE("NaN and infinity in a float file are noted") {
  TempDirectory dir;
  HostTensor tensor = *HostTensor::zeros(DType::F32, {4, 2});
  tensor.as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  tensor.as<float>()[7] = std::numeric_limits<float>::infinity();
  REQUIRE(write_npy(dir / "x.npy", tensor).has_value());
  const DataPlan plan = plan_of("npy", {"x.npy"}, {{0, DType::F32, {2}, {}}});
  const auto set = Dataset::open(plan, plan.splits[0], {{}, dir.path()});
  REQUIRE(set.has_value());
  CHECK(contains(set->notes().at(0), "2 of 8 values are NaN or infinite, the first in row 2"));
}
