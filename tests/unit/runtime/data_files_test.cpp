// NPY, IDX and CSV: golden bytes, each bad input, mutants.
#include <fmt/format.h>

#include <cmath>

#include "runtime/files/csv.h"
#include "runtime/files/idx.h"
#include "runtime/files/npy.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

std::string npy(std::string dict, std::string_view data, int major = 1) {
  dict += '\n';
  std::string out = "\x93NUMPY" + bytes(major, 0, dict.size() & 0xFF, dict.size() >> 8);
  if (major > 1) out += bytes(0, 0);
  return out + dict + std::string(data);
}
std::string npy_of(const char* descr, const char* shape, std::string_view data, const char* fortran = "False") {
  return npy(fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", descr, fortran, shape), data);
}
Result<NpyFile> parse_npy_text(const std::string& text) { return parse_npy(buffer_of(text), "x.npy"); }
Result<HostTensor> parse_idx_text(const std::string& text) { return parse_idx(buffer_of(text), "x.idx"); }

std::string floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

std::vector<double> values_of(const HostTensor& tensor) {
  std::vector<double> out;
  for (int64_t i = 0; i < *num_elements(tensor.shape); ++i) out.push_back(element(tensor, i));
  return out;
}

}  // namespace

TEST_CASE("the .npy header is NumPy's own") {
  const std::string header = encode_npy_header(DType::F32, std::vector<int64_t>{2, 3});
  CHECK(header.size() == 128);
  CHECK(header.substr(0, 10) == "\x93NUMPY" + bytes(1, 0, 0x76, 0));
  CHECK(header.substr(10, 60) == "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } ");
  CHECK(header.back() == '\n');
  CHECK(contains(encode_npy_header(DType::U8, std::vector<int64_t>{5}), "'|u1'"));
  CHECK(contains(encode_npy_header(DType::U8, std::vector<int64_t>{5}), "(5,)"));
  CHECK(contains(encode_npy_header(DType::F64, {}), "()"));
}

TEST_CASE("every version, byte order and memory order of .npy reads the same") {
  const std::string six = floats({0, 1, 2, 3, 4, 5});
  std::string swapped = six;
  for (size_t i = 0; i < six.size(); ++i) swapped[i] = six[i / 4 * 4 + 3 - i % 4];
  const std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  const std::string same[] = {npy(dict, six),
                              npy(dict, six, 2),
                              npy(dict, six, 3),
                              npy("{\"shape\":(2L,3L),'fortran_order':False,'descr':'<f4'}", six),
                              npy_of(">f4", "(2, 3)", swapped),
                              npy_of("<f4", "(2, 3)", floats({0, 3, 1, 4, 2, 5}), "True")};
  for (const std::string& text : same) {
    const auto file = parse_npy_text(text);
    REQUIRE_MESSAGE(file.has_value(), message_of(file));
    CHECK(file->tensor.shape == std::vector<int64_t>{2, 3});
    CHECK(values_of(file->tensor) == std::vector<double>{0, 1, 2, 3, 4, 5});
  }
  CHECK(contains(parse_npy_text(same[5])->notes.at(0), "Fortran order"));
}

TEST_CASE("element types of .npy without a twin are widened") {
  const auto half = parse_npy_text(npy_of("<f2", "(3,)", bytes(0x00, 0x3C, 0x01, 0x00, 0x00, 0xFC)));
  CHECK(half->tensor.dtype == DType::F32);
  CHECK(values_of(half->tensor) == std::vector<double>{1, 0x1p-24, -HUGE_VAL});
  const auto u2 = parse_npy_text(npy_of("<u2", "(1,)", bytes(0xFF, 0xFF)));
  CHECK(u2->tensor.dtype == DType::I32);
  CHECK(values_of(u2->tensor) == std::vector<double>{65535});
  const auto u4 = parse_npy_text(npy_of(">u4", "(1,)", bytes(0xFF, 0xFF, 0xFF, 0xFE)));
  CHECK(u4->tensor.dtype == DType::I64);
  CHECK(values_of(u4->tensor) == std::vector<double>{4294967294});
  CHECK(values_of(parse_npy_text(npy_of("|b1", "(2,)", bytes(0, 7)))->tensor) == std::vector<double>{0, 1});
}

TEST_CASE("an array is written and read back") {
  TempDirectory dir;
  HostTensor tensor = *HostTensor::zeros(DType::F32, {2, 2});
  tensor.as<float>()[3] = 1.5f;
  REQUIRE(write_npy(dir / "a.npy", tensor).has_value());
  CHECK(values_of(read_npy(dir / "a.npy")->tensor) == std::vector<double>{0, 0, 0, 1.5});
  REQUIRE(write_npy(dir / "b.npy", *convert(tensor, DType::BF16)).has_value());
  CHECK(read_npy(dir / "b.npy")->tensor.dtype == DType::F32);
}

TEST_CASE("each bad .npy has its message") {
  const std::pair<std::string, const char*> bad[] = {
      {"", "the file is empty"},
      {"hello world, this is text", "byte 0: no .npy file"},
      {"PK\x03\x04", ".npz"},
      {"\x93NUMPY", "ends inside its header"},
      {"\x93NUMPY" + bytes(4, 0, 1, 0), "byte 6: version 4"},
      {"\x93NUMPY" + bytes(1, 0, 0xFF, 0xFF), "a header of 65535 bytes, the limit is 10000"},
      {"\x93NUMPY" + bytes(2, 0, 0xFF, 0xFF, 0xFF, 0xFF), "a header of 4294967295 bytes, the limit"},
      {"\x93NUMPY" + bytes(1, 0, 0x76, 0), "does not fit into a file of 10"},
      {npy("{'descr': '<f4', 'fortran_order': False}", ""), "key `shape` is missing"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", ""), "unknown key `x`"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'shape': (1,)}", ""), "key `descr` occurs twice"},
      {npy("__import__('os')", ""), "expected `{`"},
      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } + 1", ""), "nothing may follow"},
      {npy_of("|O", "(1,)", "12345678"), "unpickling executes code"},
      {npy_of("<U4", "(1,)", ""), "strings are no numbers"},
      {npy_of("|V2", "(1,)", ""), "records and raw bytes"},
      {npy_of("<c8", "(1,)", ""), "complex"},
      {npy_of("<u8", "(1,)", ""), "unsigned 64-bit"},
      {npy_of("f4", "(1,)", ""), "is no element type"},
      {npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", ""), "records have no element type"},
      {npy_of("<f4", "(-1,)", ""), "-1 is negative"},
      {npy_of("<f4", "(True,)", ""), "expected an integer"},
      {npy_of("<f4", "(18446744073709551616,)", ""), "a size leaves 64 bits"},
      {npy_of("<f4", "(4611686018427387905,)", "1234"), "leaves 64 bits"},
      {npy_of("<f4", "(4294967296, 4294967296)", "1234"), "leaves 64 bits"},
      {npy_of("<f4", "(1,1,1,1,1,1,1,1,1)", "1234"), "rank 9"},
      {npy_of("<f4", "(3,)", "12345678"), "needs 12 bytes of data, the file has 8"},
      {npy_of("<f4", "(1,)", "12345678"), "needs 4 bytes of data, the file has 8"},
      {npy_of("<f4", "(1,)", "1234", "true"), "expected True or False"},
  };
  for (const auto& [text, message] : bad) {
    const std::string seen = message_of(parse_npy_text(text));
    CHECK_MESSAGE(contains(seen, message), seen, " for ", message);
  }
}

TEST_CASE("IDX reads big-endian data of every type") {
  const auto images = parse_idx_text(bytes(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 255));
  REQUIRE(images.has_value());
  CHECK(images->shape == std::vector<int64_t>{2, 1, 2});
  CHECK(values_of(*images) == std::vector<double>{1, 2, 3, 255});
  CHECK(values_of(*parse_idx_text(bytes(0, 0, 0x0B, 1, 0, 0, 0, 1, 0xFF, 0xFE))) == std::vector<double>{-2});
  CHECK(values_of(*parse_idx_text(bytes(0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0x80, 0, 0))) == std::vector<double>{1});
}

TEST_CASE("each bad IDX has its message") {
  const std::pair<std::string, const char*> bad[] = {
      {"", "the file is empty"},
      {bytes(0, 0), "ends inside its header"},
      {"PK\x03\x04", "zip archive"},
      {"<html>", "HTML"},
      {bytes(0, 1, 8, 1, 0, 0, 0, 0), "byte 1 is 0x01"},
      {bytes(0, 0, 7, 1, 0, 0, 0, 0), "byte 2 is 0x07, which is no IDX element type"},
      {bytes(0, 0, 8, 0), "byte 3: rank 0"},
      {bytes(0, 0, 8, 255), "byte 3: rank 255"},
      {bytes(0, 0, 8, 2, 0, 0, 0, 1), "ends inside its header"},
      {bytes(0, 0, 8, 1, 0, 0, 0, 5, 1, 2), "u8[5] needs 5 bytes of data, the file has 2"},
      {bytes(0, 0, 8, 1, 0, 0, 0, 1, 1, 2), "bytes follow the data"},
      {bytes(0, 0, 8, 1, 255, 255, 255, 255), "u8[4294967295] needs 4294967295 bytes"},
      {bytes(0, 0, 8, 3) + std::string(12, '\xff'), "leaves 64 bits"},
  };
  for (const auto& [text, message] : bad) {
    const std::string seen = message_of(parse_idx_text(text));
    CHECK_MESSAGE(contains(seen, message), seen, " for ", message);
  }
}

TEST_CASE("CSV with any delimiter, line end and header reads the same") {
  const std::string_view same[] = {"1,2.5\n-3,4e2\n",
                                   "1;2.5\r\n-3;4e2",
                                   "1\t2.5\n-3\t4e2\n",
                                   "a,b\n1,2.5\n-3,4e2\n",
                                   "\xEF\xBB\xBF"
                                   "a;b\r\n1;2.5\r\n\r\n-3;4e2\r\n",
                                   "\"a\",\"b,\"\"c\"\n\"1\",2.5\n -3 ,+4e2"};
  for (const std::string_view text : same) {
    const auto table = parse_csv(text, "x.csv");
    REQUIRE_MESSAGE(table.has_value(), message_of(table), " for ", std::string(text));
    CHECK(table->values.shape == std::vector<int64_t>{2, 2});
    CHECK(values_of(table->values) == std::vector<double>{1, 2.5, -3, 400});
  }
  CHECK(parse_csv(same[5], "x.csv")->header.names == std::vector<std::string>{"a", "b,\"c"});
  CHECK(values_of(parse_csv("1e-400\n", "x")->values) == std::vector<double>{0});
  CHECK(values_of(parse_csv("-0." + std::string(400, '0') + "1\n", "x")->values) == std::vector<double>{-0.0});
  CHECK(parse_csv("a;b,c\n1;2,3\n", "x").has_value() == false);  // one name is `b,c`
  CHECK(parse_csv("1,2,a;b\n", "x", std::vector<CsvUse>{CsvUse::Number, CsvUse::Number})->header.num_columns == 3);
}

TEST_CASE("each bad CSV has its row and column") {
  const std::pair<std::string, const char*> bad[] = {
      {"", "the file has no rows"},
      {"\n\n", "the file has no rows"},
      {"a,b\n", "a header but no rows"},
      {"a,b\n1,2\n3\n", "x.csv: row 3: expected 2 columns, got 1"},
      {"1,2\n1,5,2,5\n", "decimal point"},
      {"x;y\n1,5;2\n", "row 2: column `x`: `1,5` is not a number | numbers are written with a decimal point"},
      {"age,b\n1,2\nabc,4\n", "row 3: column `age`: `abc` is not a number"},
      {"1,2\n3,x\n", "row 2: column 2: `x` is not a number"},
      {"a,b\n1,\n", "row 2: column `b` is empty"},
      {"a,a\n1,2\n", "row 1: column name `a` occurs twice"},
      {"a\n1e39\n", "row 2: column `a`: `1e39` is too large for f32"},
      {"a\n1e999\n", "too large for f32"},
      {"a\nnan\n", "`nan` is not a number"},
      {"a\n0x10\n", "is not a number"},
      {"a\n+-1\n", "`+-1` is not a number"},
      {"a\n++1\n", "`++1` is not a number"},
      {"a\n+-inf\n", "`+-inf` is not a number"},
      {std::string(400, '1') + "\n", "too large for f32"},
      {"1,5;2,5\n3,5;4\n", "`1,5` is not a number | numbers are written with a decimal point"},
      {"1;2,5\n", "`2,5` is not a number | numbers are written with a decimal point"},
      {"1,5\t2,5\t3,5\n", "`1,5` is not a number | numbers are written with a decimal point"},
      {"a\n\"1\n2\n", "row 2: the quote that opens here has no end"},
      {"a\n\"1\"2\n", "text follows a closing quote"},
      {std::string("a\n1\0002\n", 6), "NUL"},
      {"a b\n1 2\n", "row 2: column `a b`: `1 2` is not a number | columns are split"},
      {"\x1b[31m\n1\n2\x1b\n", "`2\\x1b` is not a number"},
  };
  for (const auto& [text, message] : bad) {
    const std::string seen = message_of(parse_csv(text, "x.csv"));
    CHECK_MESSAGE(contains(seen, message), seen, " for ", message);
  }
  CHECK(parse_csv(std::string(100, ','), "x", {}, {.csv_columns = 50}).error().kind == ErrorKind::Limit);
  CHECK(parse_csv(std::string(100, '1'), "x", {}, {.csv_line = 50}).error().kind == ErrorKind::Limit);
}

TEST_CASE("mutants of data files load or are refused") {
  const std::string good_npy = npy_of("<f4", "(2, 3)", floats({0, 1, 2, 3, 4, 5}), "True");
  const std::string good_idx = bytes(0, 0, 0x0D, 2, 0, 0, 0, 2, 0, 0, 0, 1) + floats({1, 2});
  const std::string good_csv = "name,\"b\"\n1,2\n3.5,-4e2\n\"7\",8\n";
  for_each_mutant(good_npy, 1000, 3, [](const std::string& m) { static_cast<void>(parse_npy_text(m)); });
  for_each_mutant(good_idx, 1000, 4, [](const std::string& m) { static_cast<void>(parse_idx_text(m)); });
  for_each_mutant(good_csv, 1000, 5, [](const std::string& m) { static_cast<void>(parse_csv(m, "m.csv")); });
}

TEST_CASE("half and bfloat16 convert both ways, all bit patterns") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<uint16_t>(bits);
    const float half = half_to_float(pattern), brain = bfloat16_to_float(pattern);
    if (!std::isnan(half)) {
      if (float_to_half(half) != pattern) FAIL("half ", bits);
    } else if (!std::isnan(half_to_float(float_to_half(half)))) {
      FAIL("half NaN ", bits);
    }
    if (!std::isnan(brain) && float_to_bfloat16(brain) != pattern) FAIL("bfloat16 ", bits);
  }
  CHECK(float_to_half(65519.0f) == 0x7BFF);
  CHECK(float_to_half(65520.0f) == 0x7C00);
  CHECK(float_to_half(0x1p-25f) == 0);
  CHECK(float_to_half(0x1.8p-25f) == 1);
  CHECK(float_to_half(1 + 0x1p-11f) == 0x3C00);  // a tie, to even
  CHECK(float_to_half(1 + 3 * 0x1p-11f) == 0x3C02);
}

TEST_CASE("a half is rounded once, also from f64") {
  // Behind a tie by less than f32 shows; then what is too large, too small, and 0.
  const double values[] = {1 + 0x1p-11 + 0x1p-40,
                           -1 - 0x1p-11 - 0x1p-40,
                           1 + 0x1p-11 - 0x1p-40,
                           1 + 0x1p-11,
                           1 + 0x1p-8 + 0x1p-40,
                           2049 + 0x1p-20,
                           0x1p-25 + 0x1p-60,
                           0x1p-300,
                           -0.0};
  HostTensor tensor = *HostTensor::zeros(DType::F64, {std::ssize(values)});
  std::ranges::copy(values, tensor.as<double>().begin());
  CHECK(values_of(*convert(tensor, DType::F16)) ==
        std::vector<double>{1 + 0x1p-10, -1 - 0x1p-10, 1, 1, 1 + 0x1p-8, 2050, 0x1p-24, 0, 0});
  CHECK(values_of(*convert(tensor, DType::BF16)) == std::vector<double>{1, -1, 1, 1, 1 + 0x1p-7, 2048, 0x1p-25, 0, 0});
  tensor.as<double>()[0] = 65519.999;
  CHECK(element(*convert(tensor, DType::F16), 0) == 65504);
  tensor.as<double>()[0] = 1e300;
  CHECK(contains(message_of(convert(tensor, DType::F16)), "element 0 is 1e+300, which f16 cannot hold"));
}

TEST_CASE("conversion keeps integers exact or refuses") {
  HostTensor tensor = *HostTensor::zeros(DType::F64, {2});
  tensor.as<double>()[0] = 255;
  CHECK(values_of(*convert(tensor, DType::U8)) == std::vector<double>{255, 0});
  tensor.as<double>()[1] = 256;
  CHECK(contains(message_of(convert(tensor, DType::U8)), "element 1 is 256, which u8 cannot hold"));
  tensor.as<double>()[1] = 0.5;
  CHECK_FALSE(convert(tensor, DType::I64).has_value());
  CHECK(convert(tensor, DType::F32).has_value());
}
