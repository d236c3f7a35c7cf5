// Values that would be wrong in silence: metrics over several batches, exports in pieces, labels and ranges that come
// from outside, pictures, long sums.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "runtime/files/png.h"
#include "tests/system/playground.h"

namespace smelt::test {
namespace {

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
}  // namespace
}  // namespace smelt::test
