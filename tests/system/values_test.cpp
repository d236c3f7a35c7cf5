// Values that would be wrong in silence: metrics over several batches, exports in pieces, labels and ranges that come
// from outside, pictures, long sums.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "runtime/files/npy.h"
#include "runtime/files/png.h"
#include "tests/system/run_command.h"

namespace smelt::test {
namespace {

template <typename T>
void write_array(const std::string& path, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  auto tensor = HostTensor::zeros(dtype, std::move(shape));
  REQUIRE(tensor);
  std::memcpy(tensor->data.data(), values.data(), values.size() * sizeof(T));
  const auto written = write_npy(path, *tensor);
  REQUIRE_MESSAGE(written, message_of(written));
}

std::vector<double> read_array(const std::string& path) {
  const auto file = read_npy(path);
  REQUIRE_MESSAGE(file, message_of(file));
  std::vector<double> values;
  for (int64_t i = 0; i < *num_elements(file->tensor.shape); ++i) values.push_back(element(file->tensor, i));
  return values;
}

struct Playground {
  explicit Playground(std::string_view name) : path(fresh_directory(name)) {}

  CommandResult run(const std::vector<std::string>& arguments) const {
    return run_smelt(arguments, {.directory = path});
  }
  void model(const std::string& text) const { write_text_file(path + "/m.smelt", text); }
  /// The fragments are in the message, and the command fails.
  void refuses(const std::vector<std::string>& arguments, const std::vector<std::string>& fragments) const {
    const CommandResult result = run(arguments);
    CHECK_MESSAGE(result.exit_code != 0, fmt::format("{} was accepted", fmt::join(arguments, " ")));
    for (const std::string& fragment : fragments)
      CHECK_MESSAGE(result.err.find(fragment) != std::string::npos,
                    fmt::format("`{}` is not in: {}", fragment, result.err));
  }
  double number(const std::vector<std::string>& arguments) const {
    const CommandResult result = run(arguments);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return std::atof(result.out.substr(result.out.find_last_of(' ')).c_str());
  }

  std::string path;
};

const std::string kScale = "layer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n";

std::string with_metric(const std::string& body) {
  return "dim B <= 4, K = 2\ndata d {\n  train = npy(\"v.npy\", \"y.npy\")\n  x: f32 = field(0)\n  y: ix<K> = "
         "field(1)\n}\n" +
         kScale +
         "objective loss(x: f32[B]) updates net {\n  report largest = max(net(x)), root = sqrt(mean(net(x) ^ 2))\n  "
         "mean(net(x))\n}\n"
         "metric m(x: f32[B], y: ix<K>[B]) = " +
         body + "\ntrain {\n  data d\n  batch B = 4\n  epochs 1\n  step loss with sgd(lr = 1e-30)\n}\n";
}

TEST_CASE("a metric is that of all rows, whatever the batch") {
  const Playground here("values_metrics");
  write_array<float>(here.path + "/v.npy", DType::F32, {5}, {1, 2, 3, 4, 100});
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {5}, {0, 1, 0, 1, 1});
  struct Row {
    const char* body;
    double want;
  };
  for (const Row& row : {
           Row{"mean(net(x))", 22},
           Row{"sum(net(x), over=B)", 110},
           Row{"max(x, over=B)", 100},
           Row{"min(net(x)) - max(x)", -99},
           Row{"sqrt(mean(net(x) ^ 2))", 44.788391},
           Row{"mean(x ^ 2) - mean(x) ^ 2", 1522},
           Row{"sum(net(x) * x) / sum(x)", 10030 / 110.0},
           Row{"count(x, over=B)", 5},
           Row{"log(sum(where(y == 1, net(x), 0))) + 1", std::log(106.0) + 1},
           Row{"max(sum(where(y == index(K), net(x), 0), over=B))", 106},  // a total for each class
           Row{"sum(ones([B]), over=B) + net.w", 6},
       }) {
    here.model(with_metric(row.body));
    for (const char* batch : {"1", "2", "3", "4"}) {
      const double got = here.number({"eval", "m.smelt", "m", "--split", "train", "--batch", batch});
      CHECK_MESSAGE(std::abs(got - row.want) < 1e-4 * std::abs(row.want),
                    fmt::format("{} at batch {}: {}", row.body, batch, got));
    }
  }
  here.model(with_metric("mean(x)"));
  for (const char* batch : {"1", "4"}) {  // reports of an objective likewise
    const CommandResult result = here.run({"eval", "m.smelt", "loss", "--split", "train", "--batch", batch});
    CHECK_MESSAGE(result.out.find("44.7884") != std::string::npos, result.out);
    CHECK_MESSAGE(result.out.find(" 100\n") != std::string::npos, result.out);
  }
}

TEST_CASE("a loss that mixes rows is evaluated by batches, with a note") {
  const Playground here("values_mixing_loss");
  write_array<float>(here.path + "/v.npy", DType::F32, {5}, {1, 2, 3, 4, 100});
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {5}, {0, 1, 0, 1, 1});
  std::string text = with_metric("mean(x)");
  const std::string loss = "  mean(net(x))\n}";
  here.model(text.replace(text.find(loss), loss.size(), "  mean((net(x) - mean(x)) ^ 2)\n}"));
  const CommandResult result = here.run({"eval", "m.smelt", "loss", "--split", "train"});
  CHECK(result.exit_code == 0);
  CHECK_MESSAGE(result.err.find("mixes the rows of a batch through") != std::string::npos, result.err);
  CHECK_MESSAGE(result.err.find("m.smelt:14") != std::string::npos, result.err);
}

TEST_CASE("exports are computed in pieces only where rows do not depend on each other") {
  const Playground here("values_pieces");
  std::vector<float> rows(20);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i);
  write_array<float>(here.path + "/x.npy", DType::F32, {20}, rows);
  const std::string head = "dim B <= 8, K = 3\nconst t: f32[K] ~ Normal(0, 1)\n" + kScale;
  for (const char* body :
       {"net(x) - mean(x)", "softmax(net(x), over=B)", "net(x) * cast(index(B), f32)", "net(x) / count(x, over=B)",
        "net(x) + sum(ones([B]), over=B)", "contract(x as [B], ones([B, B]), over=B)"}) {
    here.model(head + "export f(x: f32[B]) -> f32[B] = " + body + "\n");
    if (here.run({"check", "m.smelt"}).exit_code != 0) continue;
    here.refuses({"run", "m.smelt", "f", "--input", "x=x.npy", "-o", "o.npy", "--force"},
                 {"`B`", "depends on the others", "m.smelt:8"});
  }
  for (const char* body :
       {"2 * net(x) + 1", "grad(net(x) ^ 2, wrt=x)", "sum(net(x) * t, over=K)",
        "scan k < K with y = x { y <- y - 0.1 * grad(net(y) ^ 2, wrt=y) }", "t[argmax(net(x) * t, over=K)] * 0 + x"}) {
    here.model(head + "export f(x: f32[B]) -> f32[B] = " + body + "\n");
    const CommandResult result = here.run({"run", "m.smelt", "f", "--input", "x=x.npy", "-o", "o.npy", "--force"});
    CHECK_MESSAGE(result.exit_code == 0, fmt::format("{}: {}", body, result.err));
  }
  // A row may be read at a place that it says itself, not at one that another row says.
  write_array<float>(here.path + "/x.npy", DType::F32, {10, 2}, rows);  // more than B
  const std::string top = "dim D = 2\nexport f(x: f32[B, D]) -> f32[B] {\n  top = argmax(x, over=D)\n  ";
  here.model(head + top + "y[n] = x[n, top[n]]\n  y\n}\n");
  const CommandResult own = here.run({"run", "m.smelt", "f", "--input", "x=x.npy", "-o", "o.npy", "--force"});
  REQUIRE_MESSAGE(own.exit_code == 0, own.err);
  CHECK(read_array(here.path + "/o.npy") == std::vector<double>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19});
  here.model(head + top + "y[n] = max[m] x[n, top[m]]\n  y\n}\n");
  here.refuses({"run", "m.smelt", "f", "--input", "x=x.npy", "-o", "o.npy", "--force"}, {"depends on the others"});
  here.model(head + "export f(x: f32[B] ~ Normal(0, 1)) -> f32[B] = net(x) - mean(x)\n");
  here.refuses({"sample", "m.smelt", "f", "-n", "20", "-o", "o.npy", "--force"}, {"depends on the others"});
  CHECK(here.run({"sample", "m.smelt", "f", "-n", "8", "-o", "o.npy", "--force"}).exit_code == 0);
}

TEST_CASE("a place behind the rows that there are is the last of them, not the bound's") {
  const Playground here("values_behind");
  write_array<float>(here.path + "/x.npy", DType::F32, {3, 2}, {1, 2, 3, 4, 5, 6});
  here.model("dim B <= 8, D = 2\n" + kScale +
             "export next(x: f32[B, D]) = x[index(B) + 1]\nexport twice(x: f32[B, D]) = x[index(B) * 2]\n");
  const auto values_of = [&](const char* name) {
    const CommandResult result = here.run({"run", "m.smelt", name, "--input", "x=x.npy", "-o", "o.npy", "--force"});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/o.npy");
  };
  CHECK(values_of("next") == std::vector<double>{3, 4, 5, 6, 5, 6});
  CHECK(values_of("twice") == std::vector<double>{1, 2, 5, 6, 5, 6});
}

TEST_CASE("labels that are fed are checked, with row and value") {
  const Playground here("values_labels");
  here.model("dim B <= 8, C = 3, T <= 4\n" + kScale +
             "export look(t: f32[C], y: ix<C>[B]) -> f32[B] = t[y]\n"
             "export xe(x: f32[B, C], y: ix<C>[B]) -> f32[B] = softmax_xent(x, y, over=C)\n"
             "export deep(t: f32[C], y: ix<C>[B, T]) -> f32[B, T] = t[y]\n");
  write_array<float>(here.path + "/t.npy", DType::F32, {3}, {10, 20, 30});
  write_array<float>(here.path + "/x.npy", DType::F32, {3, 3}, std::vector<float>(9, 0.5F));
  for (const int32_t bad : {3, -1, 1000000, INT32_MIN}) {
    write_array<int32_t>(here.path + "/y.npy", DType::I32, {3}, {0, bad, 2});
    const std::vector<std::string> said{"row 1", std::to_string(bad), "0..2"};
    here.refuses({"run", "m.smelt", "look", "--input", "t=t.npy", "--input", "y=y.npy", "-o", "o.npy", "--force"},
                 said);
    here.refuses({"run", "m.smelt", "xe", "--input", "x=x.npy", "--input", "y=y.npy", "-o", "o.npy", "--force"}, said);
    write_array<int32_t>(here.path + "/y.npy", DType::I32, {2, 2}, {0, 1, 2, bad});
    here.refuses({"run", "m.smelt", "deep", "--input", "t=t.npy", "--input", "y=y.npy", "-o", "o.npy", "--force"},
                 said);
  }
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {3}, {0, 1, 2});
  CHECK(here.run({"run", "m.smelt", "look", "--input", "t=t.npy", "--input", "y=y.npy", "-o", "o.npy", "--force"})
            .exit_code == 0);
}

TEST_CASE("a stated range is compared with the data") {
  const Playground here("values_ranges");
  const auto with_field = [&](const std::string& range, const std::string& value) {
    here.model("dim B <= 8, X = 3\ndata d {\n  train = npy(\"x.npy\")\n  x: f32[X] in " + range + " = " + value +
               "\n}\nlayer L(x: f32[B, X]) -> f32[B, X] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n"
               "objective loss(x: f32[B, X]) updates net { mean(net(x)) }\n"
               "train {\n  data d\n  batch B = 8\n  epochs 1\n  step loss with sgd(lr = 0.1)\n}\n");
  };
  const std::vector<std::string> train{"train", "m.smelt", "-o", "r", "--force"};
  std::vector<float> values(24, 7);
  values[13] = 255;
  write_array<float>(here.path + "/x.npy", DType::F32, {8, 3}, values);
  with_field("0..1", "field(0)");
  here.refuses(train, {"x.npy", "row 0", "0..1", "255"});
  with_field("0..200", "field(0)");
  here.refuses(train, {"row 4", "255", "0..200"});
  with_field("-1..1", "field(0) / 255");  // 7 / 255 .. 1
  CHECK(here.run(train).exit_code == 0);
  with_field("-1..0.5", "1 - field(0) / 127.5");
  here.refuses(train, {"row 0", "0.945"});
  with_field("-1..1", "field(0) / 127.5 - 1");
  CHECK(here.run(train).exit_code == 0);
  write_array<uint8_t>(here.path + "/x.npy", DType::U8, {8, 3}, std::vector<uint8_t>(24, 200));
  with_field("0..1", "field(0)");
  here.refuses({"eval", "m.smelt", "--split", "train"}, {"row 0", "200", "0..1"});
  with_field("0..1", "field(0) / 255");
  CHECK(here.run(train).exit_code == 0);
}

TEST_CASE("a field of whole numbers or truths takes a column exactly, or the data are refused") {
  const Playground here("values_exact");
  const auto field = [&](const std::string& reader, const std::string& type, const std::string& value) {
    here.model("dim B <= 8\ndata d {\n  train = " + reader + "\n  x: " + type + " = " + value +
               "\n}\nlayer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n"
               "objective loss(x: " +
               type +
               "[B]) updates net { mean(net(cast(x, f32))) }\n"
               "metric total(x: " +
               type +
               "[B]) = sum(cast(x, f32))\n"
               "train {\n  data d\n  batch B = 2\n  epochs 1\n  step loss with sgd(lr = 0.1)\n}\n");
  };
  const auto array = [&](const std::string& type, const std::string& value = "field(0)") {
    field("npy(\"x.npy\")", type, value);
  };
  const std::string file = here.path + "/x.npy";
  const auto refused = [&](const std::vector<std::string>& said) {
    here.refuses({"train", "m.smelt", "-o", "r", "--force"}, said);
    here.refuses({"eval", "m.smelt", "--split", "train"}, said);
    here.refuses({"check", "m.smelt", "--data"}, said);
  };
  const auto total = [&] {
    const CommandResult result = here.run({"eval", "m.smelt", "total", "--split", "train"});
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    return result.out;
  };
  array("i32");
  write_array<float>(file, DType::F32, {3}, {1, 5, 2.75F});
  refused({"x.npy: row 2: `x` is 2.75, and i32 holds", "cast(floor(field(0) + 0.5), i32)", "rows count from 0"});
  write_array<float>(file, DType::F32, {3}, {1, 3e9F, 2});
  refused({"row 1: `x` is 3000000000, and i32 holds"});
  write_array<float>(file, DType::F32, {3}, {1, NAN, 2});
  refused({"row 1: `x` is nan"});
  write_array<int64_t>(file, DType::I64, {3}, {1, 2, int64_t{1} << 40});
  refused({"row 2: `x` is 1099511627776", "declare `x` as i64"});
  write_array<int64_t>(file, DType::I64, {3}, {1, 2, -4});
  CHECK(total().find("-1") != std::string::npos);
  array("i64");
  write_array<double>(file, DType::F64, {2}, {1, 1e300});
  refused({"row 1: `x` is 1e+300"});
  array("u8");
  for (const int32_t bad : {-1, 300}) {
    write_array<int32_t>(file, DType::I32, {2}, {255, bad});
    refused({"row 1: `x` is " + std::to_string(bad), "0..255"});
  }
  array("bool");
  for (const float bad : {0.5F, 2.0F, NAN}) {
    write_array<float>(file, DType::F32, {2}, {1, bad});
    refused({"row 1: `x` is", "bool holds 0 and 1", "`field(0) != 0`"});
  }
  write_array<float>(file, DType::F32, {3}, {1, 0, 1});
  CHECK(total().find('2') != std::string::npos);

  // A column times a whole number plus a whole number; what is computed otherwise says how it converts.
  array("i32", "10 * field(0) - 1");
  write_array<float>(file, DType::F32, {2}, {1, 2});
  CHECK(total().find("28") != std::string::npos);
  write_array<float>(file, DType::F32, {2}, {1, 0.25F});
  refused({"row 1: `x` is 1.5"});
  write_array<int32_t>(file, DType::I32, {2}, {1, 16777217});
  refused({"row 1: `x` is 167772169", "f32, which skips whole numbers above 16777216"});
  array("i32", "cast(field(0), i32)");
  write_array<float>(file, DType::F32, {2}, {1, 2.75F});
  CHECK(total().find('3') != std::string::npos);

  // A csv column is f32, and rows are the lines of the file.
  field("csv(\"x.csv\")", "i32", "field(1)");
  const auto table = [&](const std::string& cell) {
    write_text_file(here.path + "/x.csv", "a,b\n0.5,1\n\n0.5," + cell + "\n");
  };
  table("2.5");
  refused({"x.csv: row 4: column `b`: `x` is 2.5", "rows are lines of the file"});
  table("16777217");
  refused({"row 4", "f32, which skips whole numbers above 16777216", ".npy"});
  REQUIRE(here.run({"build", "m.smelt", "-o", "out"}).exit_code == 0);
  write_text_file(here.path + "/host.c",
                  "#include \"out/m.h\"\nint main(void) {\n  float v[3] = {1, -2147483648.0f, 2.5f};\n"
                  "  if (m_check_column0(v, 2) != -1 || m_check_column0(v, 3) != 2) return 1;\n"
                  "  v[1] = 2147483648.0f;\n  return m_check_column0(v, 3) == 1 ? 0 : 2;\n}\n");
  CHECK(std::system(("cd " + here.path + " && cc -std=c99 -Wall -Wextra -Werror host.c out/m.o -lm -o host && ./host")
                        .c_str()) == 0);
  table("16777215");
  CHECK(here.run({"check", "m.smelt", "--data"}).exit_code == 0);
}

TEST_CASE("whole numbers that are fed to floats fit or are refused") {
  const Playground here("values_whole_inputs");
  here.model("dim B <= 8\n" + kScale + "export same(x: f32[B]) -> f32[B] = x\n");
  const std::vector<std::string> run{"run", "m.smelt", "same", "--input", "x=x.npy", "-o", "o.npy", "--force"};
  write_array<int32_t>(here.path + "/x.npy", DType::I32, {2}, {16777216, -16777218});
  CHECK(here.run(run).exit_code == 0);
  CHECK(read_array(here.path + "/o.npy") == std::vector<double>{16777216, -16777218});
  write_array<int32_t>(here.path + "/x.npy", DType::I32, {2}, {1, 16777217});
  here.refuses(run, {"element 1 is 16777217, which f32 cannot hold"});
  write_array<int64_t>(here.path + "/x.npy", DType::I64, {2}, {1, (int64_t{1} << 53) + 1});
  here.refuses(run, {"element 1", "which f32 cannot hold"});
}

TEST_CASE("training without a split called train says which it takes") {
  const Playground here("values_split_names");
  const auto with_splits = [&](const std::string& splits) {
    here.model("dim B <= 8\ndata d {\n  " + splits +
               " = npy(\"x.npy\") |> split(0.5)\n  x: f32 = field(0)\n}\n"
               "layer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n"
               "objective loss(x: f32[B]) updates net { mean(net(x)) }\n"
               "train {\n  data d\n  batch B = 2\n  epochs 1\n  step loss with sgd(lr = 0.1)\n}\n");
  };
  write_array<float>(here.path + "/x.npy", DType::F32, {8}, std::vector<float>(8, 1));
  const std::string note = "no split of data section `d` is called `train`: it is trained on `heldout`, the first of ";
  with_splits("heldout, training");
  for (const std::vector<std::string>& command : {std::vector<std::string>{"train", "m.smelt", "-o", "r", "--force"},
                                                  std::vector<std::string>{"check", "m.smelt"}}) {
    const CommandResult result = here.run(command);
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(result.err.find(note + "heldout, training") != std::string::npos, result.err);
  }
  with_splits("heldout, train");
  CHECK(here.run({"check", "m.smelt"}).err.find("is called `train`") == std::string::npos);
}

TEST_CASE("a row of a part of a file is named as the file counts it") {
  const Playground here("values_rows_of_parts");
  here.model(
      "dim B <= 8\ndata d {\n  train, valid = csv(\"x.csv\") |> split(0.5)\n  x: i32 = field(0)\n}\n"
      "layer L(x: f32[B]) -> f32[B] {\n  param w: f32 = ones()\n  x * w\n}\nmodel net = L\n"
      "objective loss(x: i32[B]) updates net { mean(net(cast(x, f32))) }\n"
      "train {\n  data d\n  batch B = 2\n  epochs 1\n  step loss with sgd(lr = 0.1)\n}\n");
  for (size_t bad = 0; bad < 8; ++bad) {
    std::string text = "a\n";
    for (size_t row = 0; row < 8; ++row) text += row == bad ? "0.5\n" : "1\n";
    write_text_file(here.path + "/x.csv", text);
    here.refuses({"check", "m.smelt", "--data"}, {"x.csv: row " + std::to_string(bad + 2) + ": column `a`"});
  }
}

TEST_CASE("pictures of run map the range that is known, and say what they assume otherwise") {
  const Playground here("values_pictures");
  write_array<float>(here.path + "/in.npy", DType::F32, {1, 2}, {-0.5F, 0});
  const auto levels = [&](const std::string& body) {
    here.model("dim B <= 8, P = 2\nlayer G(x: f32[B, P]) -> f32[B, P] {\n  param s: f32 = ones()\n  " + body +
               "\n}\nmodel net = G\nexport f(x: f32[B, P]) -> f32[B, P] = net(x)\n");
    return here.run({"run", "m.smelt", "f", "--input", "x=in.npy", "-o", "o.png", "--shape", "1x2", "--force"});
  };
  CHECK(levels("tanh(x * s)").err.find("range") == std::string::npos);
  CHECK(levels("(tanh(x * s) + 1) / 2").err.find("range") == std::string::npos);
  CHECK(levels("x * s").err.find("the range of `f` is not known") != std::string::npos);
}

using Row = std::array<double, 3>;

Row log_softmax(const Row& logits) {
  const long double most = std::ranges::max(logits);
  long double total = 0;
  for (const double z : logits) total += std::exp(z - most);
  Row result;
  for (size_t i = 0; i < 3; ++i) result[i] = static_cast<double>(logits[i] - most - std::log(total));
  return result;
}

/// kl(Categorical(l), Categorical(m)) and its gradients where l and m are small, large or -inf, in T.
template <typename T>
void check_divergence(const Playground& here, DType dtype, double tolerance) {
  constexpr double kLogits[] = {-INFINITY, -1000, -80, -5, 0, 0.25, 3, 20, 100, 1000};
  const std::string type = dtype == DType::F64 ? "f64" : "f32";
  here.model("dim B <= 1000, K = 3\n" + kScale + "export e(l: " + type + "[B, K], m: " + type +
             "[B, K]) {\n  d = kl(Categorical(l), Categorical(m))\n  concat(reshape(d, [B, 1]), grad(sum(d), wrt=l), "
             "grad(sum(d), wrt=m), axis=1)\n}\n");
  std::vector<Row> l, m;
  std::vector<T> flat_l, flat_m;
  for (size_t i = 0; i < 1000; ++i) {
    l.push_back({kLogits[i % 10], kLogits[i / 10 % 10], 0});
    m.push_back({kLogits[i / 100], kLogits[(i + i / 10) % 10], i % 3 == 0 ? -INFINITY : 0.5});
    if (m.back()[0] == -INFINITY && m.back()[1] == -INFINITY) m.back()[2] = 0;
    for (const double z : l.back()) flat_l.push_back(static_cast<T>(z));
    for (const double z : m.back()) flat_m.push_back(static_cast<T>(z));
  }
  write_array<T>(here.path + "/l.npy", dtype, {1000, 3}, flat_l);
  write_array<T>(here.path + "/m.npy", dtype, {1000, 3}, flat_m);
  const CommandResult result =
      here.run({"run", "m.smelt", "e", "--input", "l=l.npy", "--input", "m=m.npy", "-o", "o.npy", "--force"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::vector<double> found = read_array(here.path + "/o.npy");  // 7 of each row: the value, the gradients
  for (size_t i = 0; i < 1000; ++i) {
    const Row log_q = log_softmax(l[i]), log_p = log_softmax(m[i]);
    Row q, by_l, by_m;
    double expected = 0;
    for (size_t k = 0; k < 3; ++k) {
      q[k] = std::exp(log_q[k]) < std::numeric_limits<T>::denorm_min() / 2 ? 0 : std::exp(log_q[k]);
      if (q[k] > 0) expected += q[k] * (log_q[k] - log_p[k]);
      by_m[k] = std::exp(log_p[k]) - q[k];
    }
    double largest = 1;
    for (size_t k = 0; k < 3; ++k) {
      by_l[k] = q[k] > 0 ? q[k] * (log_q[k] - log_p[k] - expected) : 0;
      largest = std::max(largest, std::abs(by_l[k]));
    }
    CAPTURE(fmt::format("{} {} {}, {} {} {}", l[i][0], l[i][1], l[i][2], m[i][0], m[i][1], m[i][2]));
    const double value = found[7 * i];
    CHECK((value == expected || std::abs(value - expected) <= tolerance * (1e-3 + std::abs(expected))));
    for (size_t k = 0; k < 3; ++k) {
      CHECK(std::abs(found[7 * i + 4 + k] - by_m[k]) <= 300 * tolerance);
      if (expected < INFINITY) CHECK(std::abs(found[7 * i + 1 + k] - by_l[k]) <= 300 * tolerance * largest);
    }
  }
}

TEST_CASE("the divergence of categorical distributions is right for confident and for forbidden classes") {
  const Playground here("values_divergence");
  check_divergence<float>(here, DType::F32, 1e-6);
  check_divergence<double>(here, DType::F64, 1e-14);
}

TEST_CASE("the divergence of almost certain coins, and the entropy of certain ones, are numbers") {
  const Playground here("values_coins");
  here.model("dim B <= 8\n" + kScale +
             "export coins(x: f32[B], y: f32[B]) {\n  d = kl(Bernoulli(x), Bernoulli(y))\n  h = entropy(Bernoulli(x))\n"
             "  stack(d, grad(sum(d), wrt=y), h, grad(sum(h), wrt=x), axis=0)\n}\n");
  const auto values = [&](const std::vector<float>& x, const std::vector<float>& y) {
    write_array<float>(here.path + "/x.npy", DType::F32, {4}, x);
    write_array<float>(here.path + "/y.npy", DType::F32, {4}, y);
    const CommandResult result =
        here.run({"run", "m.smelt", "coins", "--input", "x=x.npy", "--input", "y=y.npy", "-o", "z.npy", "--force"});
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  const std::vector<double> almost = values({1000, -1000, 1e5F, -1e5F}, {1000, 1, -1e5F, 3e5F});
  const std::vector<double> expected{0, std::log1p(std::exp(1)), 1e5, 3e5, 0, 1 / (1 + std::exp(-1)), -1, 1};
  for (size_t i = 0; i < 16; ++i) {
    CAPTURE(i);
    CHECK(almost[i] == doctest::Approx(i < 8 ? expected[i] : 0).epsilon(1e-6));
  }
  const std::vector<double> certain = values({INFINITY, -INFINITY, 0, 0}, {0, 0, 0, 0});
  for (const size_t i : {8, 9, 12, 13}) CHECK(certain[i] == 0);
}

TEST_CASE("smoothing of 0 or 1 leaves out what has no weight") {
  const Playground here("values_smoothing");
  here.model("dim B <= 2, K = 3\n" + kScale +
             "export e(x: f32[B, K], y: ix<K>[B]) = stack(smoothed_xent(x, y, over=K, smoothing=0), "
             "smoothed_xent(x, y, over=K, smoothing=1), softmax_xent(x, y, over=K), axis=0)\n");
  write_array<float>(here.path + "/x.npy", DType::F32, {2, 3}, {1, 2, -INFINITY, 1, 2, 3});
  write_array<int32_t>(here.path + "/y.npy", DType::I32, {2}, {0, 2});
  const CommandResult result =
      here.run({"run", "m.smelt", "e", "--input", "x=x.npy", "--input", "y=y.npy", "-o", "z.npy"});
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  const std::vector<double> z = read_array(here.path + "/z.npy");
  CHECK(z[0] == doctest::Approx(std::log1p(std::exp(1))));
  CHECK(z[0] == z[4]);
  CHECK(z[1] == z[5]);
  CHECK(z[2] == INFINITY);
  CHECK(z[3] == doctest::Approx(z[5] + 1));
}

TEST_CASE("lengths of an edit distance are numbers or tensors, and at most what there is") {
  const Playground here("values_edits");
  here.model("dim B <= 4, M = B, S = 4, T <= 6, K = 3\n" + kScale +
             "export whole(a: ix<K>[B, S], b: ix<K>[B, T]) = edit_distance(a, b, 4, 9)\n"
             "export some(a: ix<K>[B, S], b: ix<K>[B, T], m: i32[M], n: i32[B]) = edit_distance(a, b, m, n)\n");
  write_array<int32_t>(here.path + "/a.npy", DType::I32, {3, 4}, {0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1});
  write_array<int32_t>(here.path + "/b.npy", DType::I32, {3, 5}, std::vector<int32_t>(15, 2));
  write_array<int32_t>(here.path + "/m.npy", DType::I32, {3}, {4, 4, -1});
  write_array<int32_t>(here.path + "/n.npy", DType::I32, {3}, {5, 6, 2});
  const std::vector<std::string> labels{"--input", "a=a.npy", "--input", "b=b.npy", "-o", "z.npy", "--force"};
  const auto values = [&](std::vector<std::string> line) {
    line.insert(line.end(), labels.begin(), labels.end());
    const CommandResult result = here.run(line);
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    return read_array(here.path + "/z.npy");
  };
  CHECK(values({"run", "m.smelt", "whole"}) == std::vector<double>{4, 4, 4});
  CHECK(values({"run", "m.smelt", "some", "--input", "m=m.npy", "--input", "n=n.npy"}) == std::vector<double>{4, 4, 2});
}

TEST_CASE("a sum of very many terms keeps its digits") {
  const Playground here("values_sums");
  here.model(
      "dim B <= 20_000_000, C = 2\n" + kScale +
      "export average() -> f32 {\n  x ~ Uniform(0, 1)[B]\n  mean(where(x < 2, 1.0, 1.0))\n}\n"
      "export columns(t: f32[C]) -> f32[C] {\n  x ~ Uniform(0, 1)[B]\n  mean(where(x < 2, 0.1, 0.1) * t, over=B)\n}\n");
  write_array<float>(here.path + "/t.npy", DType::F32, {2}, {1, 2});
  CHECK(here.run({"run", "m.smelt", "average", "-o", "a.npy"}).exit_code == 0);
  CHECK(read_array(here.path + "/a.npy")[0] == doctest::Approx(1).epsilon(1e-6));
  CHECK(here.run({"run", "m.smelt", "columns", "--input", "t=t.npy", "-o", "c.npy"}).exit_code == 0);
  CHECK(read_array(here.path + "/c.npy")[1] == doctest::Approx(0.2).epsilon(1e-6));
}

TEST_CASE("a sort of many elements is a stable one, with its gradient, below and above the length of a network") {
  const Playground here("values_sort");
  using Case = std::pair<std::string_view, int64_t>;  // along a run-time dim, sizes below its bound
  for (const auto& [declared, n] :
       {Case{"= 1000", 1000}, {"= 2048", 2048}, {"= 3000", 3000}, {"<= 1300", 1000}, {"<= 4000", 3000}}) {
    here.model(fmt::format(R"(dim B <= 4, N {}
layer L(x: f32[B, N]) -> f32[B, N] {{
  param w: f32 = ones()
  x * w
}}
model net = L
export sorted(x: f32[B, N]) = sort(net(x), over=N)
export places(x: f32[B, N]) = rank(net(x), over=N)
export order(x: f32[B, N]) -> ix<N>[N, B] {{ argsort(net(x), over=N) }}
export largest(x: f32[B, N]) = topk(net(x), 3, over=N)
export back(x: f32[B, N], v: f32[N, B]) = grad(sum(sort(net(x), over=N) * v), wrt=x)
)",
                           declared));
    constexpr int64_t kRows = 3;
    std::vector<float> x, v;
    for (int64_t i = 0; i < kRows * n; ++i) {
      x.push_back(static_cast<float>(i * i * 7919 % 701) - 300);  // with many ties
      v.push_back(static_cast<float>(i % 1013));
    }
    x[5] = INFINITY;
    x[7] = -INFINITY;
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    write_array<float>(here.path + "/v.npy", DType::F32, {n, kRows}, v);
    std::vector<double> sorted(x.size()), places(x.size()), back(x.size()), stood(x.size()), largest;
    for (int64_t row = 0; row < kRows; ++row) {
      const auto at = [&](int64_t i) { return static_cast<size_t>(row * n + i); };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return x[at(a)] < x[at(b)]; });
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = order[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>(i * kRows + row);
        sorted[place] = x[at(from)];
        stood[place] = static_cast<double>(from);
        places[at(from)] = static_cast<double>(i);
        back[at(from)] = v[place];
      }
    }
    const auto values = [&](const std::string& name, std::vector<std::string> more) {
      std::vector<std::string> line{"run", "m.smelt", name, "--input", "x=x.npy", "-o", "y.npy", "--force"};
      line.insert(line.end(), more.begin(), more.end());
      const CommandResult result = here.run(line);
      REQUIRE_MESSAGE(result.exit_code == 0, result.err);
      return read_array(here.path + "/y.npy");
    };
    CHECK(values("places", {}) == places);
    CHECK(values("order", {}) == stood);
    for (int64_t k = 1; k <= 3; ++k)
      for (int64_t row = 0; row < kRows; ++row) largest.push_back(sorted[static_cast<size_t>((n - k) * kRows + row)]);
    CHECK(values("largest", {}) == largest);
    CHECK(values("sorted", {"--threads", "2"}) == sorted);
    x[5] = 500;
    x[7] = -500;
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    CHECK(values("back", {"--input", "v=v.npy"}) == back);
  }
}

/// Where a stable sort puts what: NaN is larger than all numbers and equal to itself.
bool sorted_before(float a, float b) { return a < b || (std::isnan(b) && !std::isnan(a)); }

bool same_numbers(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

TEST_CASE("a sort keeps each NaN, behind all numbers, and `topk` takes it first") {
  const Playground here("values_sort_nan");
  using Case = std::pair<std::string_view, int64_t>;  // along a run-time dim, sizes below its bound
  for (const auto& [declared, n] : {Case{"= 9", 9}, {"<= 14", 9}, {"= 300", 300}, {"<= 700", 300}}) {
    here.model(fmt::format(R"(dim B <= 32, N {}
layer L(x: f32[B, N]) -> f32[B, N] {{
  param w: f32 = ones()
  x * w
}}
model net = L
export pairs(x: f32[B, N]) = sort_by_pairs(net(x), over=N)
export network(x: f32[B, N]) = sort_by_network(net(x), over=N)
export rank_pairs(x: f32[B, N]) = rank_by_pairs(net(x), over=N)
export rank_network(x: f32[B, N]) = rank_by_network(net(x), over=N)
export order(x: f32[B, N]) -> ix<N>[N, B] {{ argsort(net(x), over=N) }}
export largest(x: f32[B, N]) = topk(net(x), 7, over=N)
export back_pairs(x: f32[B, N], v: f32[N, B]) = grad(sum(where(v > 0, sort_by_pairs(x, over=N), 0) * v), wrt=x)
export back_network(x: f32[B, N], v: f32[N, B]) = grad(sum(where(v > 0, sort_by_network(x, over=N), 0) * v), wrt=x)
export chosen(x: f32[B, N]) = grad(sum(topk(x, 7, over=N)), wrt=x)
)",
                           declared));
    constexpr int64_t kRows = 20;
    constexpr float kSome[] = {NAN, INFINITY, -INFINITY, 2, -3, 0.5F, NAN};
    std::vector<float> x, v;
    for (int64_t row = 0; row < kRows; ++row)
      for (int64_t i = 0; i < n; ++i) {
        const auto some = static_cast<size_t>((row * 31 + i * i * 7 + i) % (row < 7 ? 7 : 40));
        x.push_back(row == 7 ? -INFINITY : some < std::size(kSome) ? kSome[some] : static_cast<float>(i % 13));
      }
    for (int64_t i = 0; i < n * kRows; ++i) v.push_back(static_cast<float>(1 + i % 1013));
    write_array<float>(here.path + "/x.npy", DType::F32, {kRows, n}, x);
    write_array<float>(here.path + "/v.npy", DType::F32, {n, kRows}, v);
    std::vector<double> sorted(x.size()), places(x.size()), stood(x.size()), back(x.size()), chosen(x.size(), 0);
    std::vector<double> largest(static_cast<size_t>(7 * kRows));
    for (int64_t row = 0; row < kRows; ++row) {
      const auto at = [&](int64_t i) { return static_cast<size_t>(row * n + i); };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return sorted_before(x[at(a)], x[at(b)]); });
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = order[static_cast<size_t>(i)];
        const auto place = static_cast<size_t>(i * kRows + row);
        sorted[place] = x[at(from)];
        stood[place] = static_cast<double>(from);
        places[at(from)] = static_cast<double>(i);
        back[at(from)] = v[place];
      }
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return sorted_before(x[at(b)], x[at(a)]); });
      for (int64_t k = 0; k < 7; ++k) {
        const int64_t from = order[static_cast<size_t>(k)];
        largest[static_cast<size_t>(k * kRows + row)] = x[at(from)];
        chosen[at(from)] = 1;
      }
    }
    for (const std::string precision : {"f32", "f64"}) {
      const auto values = [&](const std::string& name, std::vector<std::string> more) {
        std::vector<std::string> line{"run", "m.smelt", name,      "--input",     "x=x.npy",
                                      "-o",  "y.npy",   "--force", "--precision", precision};
        line.insert(line.end(), more.begin(), more.end());
        const CommandResult result = here.run(line);
        REQUIRE_MESSAGE(result.exit_code == 0, result.err);
        return read_array(here.path + "/y.npy");
      };
      CAPTURE(declared);
      CAPTURE(precision);
      CHECK(same_numbers(values("pairs", {}), sorted));
      CHECK(same_numbers(values("network", {}), sorted));
      CHECK(values("rank_pairs", {}) == places);
      CHECK(values("rank_network", {}) == places);
      CHECK(values("order", {}) == stood);
      CHECK(same_numbers(values("largest", {}), largest));
      CHECK(values("back_pairs", {"--input", "v=v.npy"}) == back);
      CHECK(values("back_network", {"--input", "v=v.npy"}) == back);
      CHECK(values("chosen", {}) == chosen);
    }
  }
}

TEST_CASE("more of the largest than a run-time dim has elements is an error at the call") {
  const Playground here("values_topk");
  here.model(R"(dim B <= 4, N <= 9
layer L(x: f32[B, N]) -> f32[B, N] {
  param w: f32 = ones()
  x * w
}
model net = L
export largest(x: f32[B, N]) = topk(net(x), 3, over=N)
)");
  write_array<float>(here.path + "/x.npy", DType::F32, {2, 2}, {1, 2, 3, 4});
  const CommandResult result = here.run({"run", "m.smelt", "largest", "--input", "x=x.npy", "-o", "y.npy"});
  CHECK(result.exit_code == 3);
  CHECK_MESSAGE(result.err.find("`N` is 2 here, and the part of it that m.smelt:7:32 takes needs at least 3") !=
                    std::string::npos,
                result.err);
}

}  // namespace
}  // namespace smelt::test
