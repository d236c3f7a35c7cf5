// Whole numbers and truths of files and feeds: what they convert to exactly, or are refused for.
#include <doctest/doctest.h>

#include "tests/system/playground.h"

namespace smelt::test {
namespace {

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

  // A number that is too large for the floats of a field does not become an infinity in silence.
  array("f32");
  write_array<double>(file, DType::F64, {2}, {1, -1e300});
  refused({"x.npy: row 1: -1e+300 is too large for f32, of which `x` is", "train with `precision f64`"});
  CHECK(here.run({"eval", "m.smelt", "total", "--split", "train", "--precision", "f64"}).exit_code == 0);
  array("f32", "field(0) * 1e30");
  write_array<double>(file, DType::F64, {2}, {1, 1e10});
  refused({"row 1: 10000000000 is too large for f32"});
  array("f64");
  write_array<double>(file, DType::F64, {2}, {1, 1e300});
  CHECK(here.run({"check", "m.smelt", "--data"}).exit_code == 0);
  array("f16");
  write_array<int32_t>(file, DType::I32, {2}, {1, 70000});
  refused({"row 1: 70000 is too large for f16", "declare the field as f32"});
  array("f32");
  write_array<double>(file, DType::F64, {2}, {1, INFINITY});  // a note tells of those that the file has
  CHECK(here.run({"check", "m.smelt", "--data"}).exit_code == 0);

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
}  // namespace
}  // namespace smelt::test
