// The format's golden bytes, every malformed header, and mutants.
#include "runtime/files/safetensors.h"

#include <cstring>

#include "runtime/host_tensor.h"
#include "tests/unit/runtime/test_files.h"

using namespace smelt;
using namespace smelt::test;

namespace {

std::string file_with(std::string_view json, size_t data_bytes = 0) {
  return little_endian64(json.size()) + std::string(json) + std::string(data_bytes, '\1');
}

Result<Safetensors> parse(const std::string& bytes) { return parse_safetensors(buffer_of(bytes), "f.safetensors"); }

std::string golden_data() {
  const float values[] = {0, 1, 2, 3, 4, 5};
  return {reinterpret_cast<const char*>(values), sizeof values};
}

}  // namespace

TEST_CASE("the reference's golden files are written and read byte for byte") {
  struct Golden {
    const char* name;
    std::vector<int64_t> shape;
    std::string header;
  };
  const Golden golden[] = {
      {"attn.0",
       {1, 2, 3},
       std::string("\x40\0\0\0\0\0\0\0", 8) + R"({"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}})"},
      {"attn0",
       {1, 1, 2, 3},
       std::string("\x48\0\0\0\0\0\0\0", 8) +
           R"({"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       )"}};
  const std::string data = golden_data();
  for (const Golden& g : golden) {
    const TensorToStore tensor{g.name, DType::F32, g.shape, as_byte_span(data)};
    CHECK(encode_safetensors_header(std::span(&tensor, 1), {}, 8) == g.header);
    const auto file = parse(g.header + data);
    REQUIRE_MESSAGE(file.has_value(), message_of(file));
    REQUIRE(file->tensors.size() == 1);
    CHECK(file->tensors[0].name == g.name);
    CHECK(file->tensors[0].shape == g.shape);
    CHECK(std::memcmp(file->bytes(file->tensors[0]).data(), data.data(), data.size()) == 0);
  }
  CHECK(encode_safetensors_header({}, {}, 8) == std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  CHECK(parse(std::string("\x08\0\0\0\0\0\0\0{}      ", 16))->tensors.empty());
}

TEST_CASE("what is written reads back, aligned to 64 bytes and sorted") {
  TempDirectory dir;
  const std::string data = golden_data();
  const auto part = [&](size_t n) { return as_byte_span(data).subspan(0, n); };
  REQUIRE(write_safetensors(dir / "f",
                            {{"b", DType::U8, {3}, part(3)},
                             {"z", DType::F32, {2}, part(8)},
                             {"a", DType::F32, {}, part(4)},
                             {"e", DType::F64, {0, 5}, part(0)},
                             {"i", DType::I64, {1}, part(8)}},
                            {{"format", "pt"}, {"quote", "\"\n"}})
              .has_value());
  const auto file = read_safetensors(dir / "f");
  REQUIRE_MESSAGE(file.has_value(), message_of(file));
  std::string order;
  for (const StoredTensor& tensor : file->tensors) order += tensor.name;
  CHECK(order == "ieazb");
  CHECK(file->data_begin % 64 == 0);
  CHECK(file->metadata.at("quote") == "\"\n");
  CHECK(file->find("e")->begin == file->find("e")->end);
  CHECK(file->find("nothing") == nullptr);
}

TEST_CASE("each malformed file has its message") {
  const std::string t = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  struct Bad {
    std::string bytes;
    const char* message;
  };
  const std::string deep = "{\"a\":" + std::string(1'000'000, '[');
  const Bad bad[] = {
      {"", "0 bytes are too few"},
      {"1234567", "7 bytes are too few"},
      {little_endian64(0), "does not start with `{`"},
      {little_endian64(2) + "[]", "does not start with `{`"},
      {little_endian64(100) + "{}", "a header of 100 bytes does not fit into a file of 10"},
      {little_endian64(uint64_t{1} << 63) + "{}", "does not fit"},
      {little_endian64(UINT64_MAX) + "{}", "does not fit"},
      {file_with("{\"a\xff\":{}}"), "not well-formed JSON in UTF-8"},
      {file_with("{} x"), "byte 11: the header is not well-formed"},
      {file_with("{}{}"), "not well-formed"},
      {file_with("{ "), "not well-formed"},
      {file_with(deep), "array"},
      {file_with("{\"a\":{\"b\":{}}}"), "unknown field `b`"},
      {file_with("{\"a\":[]}"), "an array"},
      {file_with("{\"a\":1}"), "a number"},
      {file_with("{\"a\":null}"), "null"},
      {file_with("{\"__metadata__\":{\"k\":1}}"), "only strings are allowed"},
      {file_with("{\"__metadata__\":{\"k\":{}}}"), "only strings are allowed"},
      {file_with("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}"), "key `k` occurs twice"},
      {file_with("{\"__metadata__\":{},\"__metadata__\":{}}"), "occurs twice"},
      {file_with("{\"a\":{" + t + "},\"a\":{" + t + "}}", 4), "`a` occurs twice"},
      {file_with("{\"a\":{" + t + ",\"dtype\":\"F32\"}}", 4), "field `dtype` occurs twice"},
      {file_with("{\"a\":{" + t + ",\"shape\":[1]}}", 4), "field `shape` occurs twice"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "field `data_offsets` is missing"},
      {file_with(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), "field `dtype` is missing"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1e3],"data_offsets":[0,4]}})", 4), "no plain integer"},
      {file_with(R"({"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}})"), "negative"},
      {file_with(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), "negative"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4), "no plain integer"},
      {file_with(R"({"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}})", 4), "larger than 2^53"},
      {file_with(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}})", 4),
       "no plain integer"},
      {file_with(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4), "unknown element type `F31`"},
      {file_with(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4), "a number"},
      {file_with(R"({"a":{"dtype":"F32","shape":{},"data_offsets":[0,4]}})", 4), "an object"},
      // 2^31 * 2^31 * 2 * 4 + ..: the product that is 4 modulo 2^64.
      {file_with(R"({"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}})", 4), "larger than 2^53"},
      {file_with(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}})", 4),
       "leaves 64 bits"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4),
       "rank 17, the limit is 16"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4), "begin 4 is after end 0"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 8), "more than two offsets"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 8), "two offsets are needed"},
      {file_with(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4), "needs 8 bytes, the offsets give 4"},
      {file_with("{\"a\":{" + t + "}}", 3), "end 4 is beyond the data, which has 3 bytes"},
      {file_with("{\"a\":{" + t + "}}", 5), "the tensors end at 4, but the data has 5 bytes"},
      {file_with("{}", 1), "the tensors end at 0, but the data has 1 bytes"},
      {file_with("{\"a\":{" + t + "},\"b\":{" + t + "}}", 4), "they overlap"},
      {file_with(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8), "a hole"},
      {file_with(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}})", 4), "a hole"},
      {file_with("{\"a\\u0007\":{" + t + "}}", 4), "control character"},
      {file_with("{\"" + std::string(1025, 'n') + "\":{" + t + "}}", 4), "a name of 1025 bytes"},
  };
  for (const Bad& b : bad) {
    const auto result = parse(b.bytes);
    CHECK_MESSAGE(contains(message_of(result), b.message), message_of(result), " for ", b.message);
    if (!result) {
      CHECK(result.error().message.size() < 400);
    }
  }
}

TEST_CASE("limits are checked before memory is taken") {
  const Limits limits{.header = 1000, .tensors = 2};
  std::string json = "{";
  for (int i = 0; i < 3; ++i) {
    json += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  }
  const auto many = parse_safetensors(buffer_of(file_with(json + "}")), "f", limits);
  CHECK(many.error().kind == ErrorKind::Limit);
  const auto large = parse_safetensors(buffer_of(file_with("{}" + std::string(2000, ' '))), "f", limits);
  CHECK(contains(message_of(large), "the limit is 1000 bytes"));
}

TEST_CASE("files of other programs are recognised") {
  TempDirectory dir;
  const std::pair<std::string, const char*> files[] = {{"PK\x03\x04rest", "PyTorch .pt"},
                                                       {"\x80\x02}q", "a pickle"},
                                                       {"\x89HDF\r\n\x1a\n...", "HDF5"},
                                                       {"\x93NUMPY\x01", "NumPy"},
                                                       {"\x08\x07\x12\x07pytorch", "ONNX"},
                                                       {"<!DOCTYPE html>", "HTML"},
                                                       {"version https://git-lfs.github.com/spec/v1", "Git LFS"}};
  for (const auto& [bytes, what] : files) {
    write_raw(dir / "w", bytes);
    CHECK_MESSAGE(contains(message_of(read_safetensors(dir / "w")), what), message_of(read_safetensors(dir / "w")));
  }
}

TEST_CASE("element types that the format knows and we do not are carried along") {
  const auto file = parse(file_with(R"({"a":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}})", 8));
  REQUIRE(file.has_value());
  CHECK_FALSE(file->tensors[0].dtype.has_value());
  CHECK(file->tensors[0].dtype_name == "U64");
}

TEST_CASE("mutants of a file load or are refused") {
  const std::string data = golden_data();
  const std::vector<TensorToStore> tensors = {{"w", DType::F32, {2, 2}, as_byte_span(data).subspan(0, 16)},
                                              {"b", DType::F32, {2}, as_byte_span(data).subspan(16)}};
  const std::string good = encode_safetensors_header(tensors, {{"format", "pt"}}) + data;
  REQUIRE(parse(good).has_value());
  int refused = 0;
  for_each_mutant(good, 1000, 2, [&](const std::string& mutant) {
    const auto file = parse(mutant);
    if (!file) {
      ++refused;
      return;
    }
    for (const StoredTensor& tensor : file->tensors) CHECK(file->bytes(tensor).size() == tensor.end - tensor.begin);
  });
  CHECK(refused > 500);
}
