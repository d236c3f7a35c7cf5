// Limits of what is read: the largest that is taken, and one more, which is refused with the limit and little memory.
#include <zlib.h>

#include <cstring>

#include "tests/system/playground.h"

namespace smelt::test {
namespace {

constexpr size_t kMiB = 1 << 20;

const std::string kNet =
    "dim B <= 16, X = 4\nlayer Net(x: f32[B, X]) -> f32[B, X] {\n  param w: f32[X] = ones()\n  x * w\n}\nmodel net = "
    "Net\nexport r(x: f32[B, X]) = net(x)\n";

std::string trained_on(const std::string& split, const std::string& field) {
  return kNet + "data p {\n  train = " + split + "\n  x: f32[X] = " + field +
         "\n}\nobjective l(x: f32[B, X]) updates net { mse(net(x), x) }\ntrain {\n  data p\n  batch B = 1\n  steps 1\n "
         " "
         "step l with sgd(lr = 0.1)\n}\n";
}

/// A length of 8 bytes, the header, then the bytes of tensors.
std::string safetensors(const std::string& header, size_t bytes) {
  std::string file(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(file.data(), &size, 8);
  return file + header + std::string(bytes, '\0');
}

std::string big_endian(uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8), static_cast<char>(n)};
}

/// `part`: the name of the chunk and its bytes.
std::string png_chunk(const std::string& part) {
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(part.data()), static_cast<uInt>(part.size()));
  return big_endian(static_cast<uint32_t>(part.size() - 4)) + part + big_endian(static_cast<uint32_t>(sum));
}

/// A grey picture of which a few bytes are there.
std::string png_head(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR" + big_endian(width) + big_endian(height) + std::string("\x08\0\0\0\0", 5)) +
         png_chunk("IDAT" + std::string(8, '\0'));
}

struct Limited {
  std::string what, largest, beyond, message;  // lines of a model file
  int exit_code;
};

TEST_CASE("sizes of a model file: the largest is taken, one more is an error with the limit") {
  const Playground here("limits_model");
  const std::string deep(251, '('), too_deep(257, '(');
  const std::string levels = "export q(x: f32[B, X]) = " + deep + "x" + std::string(251, ')') + "\n";
  const std::string too_many = "export q(x: f32[B, X]) = " + too_deep + "x" + std::string(257, ')') + "\n";
  const std::string long_name = "export q" + std::string(254, 'a') + "(x: f32[B, X]) = x\n";
  const std::string too_long = "export q" + std::string(255, 'a') + "(x: f32[B, X]) = x\n";
  const std::string fills = std::string(16 * kMiB - kNet.size(), '#');
  const Limited cases[] = {
      {"axes", "export q(x: f32[1, 1, 1, 1, 1, 1, 1, 2]) = x\n", "export q(x: f32[1, 1, 1, 1, 1, 1, 1, 1, 2]) = x\n",
       "9 axes; the limit is 8", 1},
      {"a dim", "dim _Q = 2147483647\n", "dim _Q = 2147483648\n", "from 1 to 2147483647", 1},
      {"elements", "fn _q() = zeros([1048576, 1048576])\n", "export q() = zeros([1048576, 1048577])\n",
       "at most 2^40 elements", 1},
      {"levels", levels, too_many, "more than 256 levels", 1},
      {"a name", long_name, too_long, "the limit is 255", 1},
      {"the file", fills, fills + "#", "the limit is 16.0 MiB", 5},
  };
  for (const Limited& limited : cases) {
    CAPTURE(limited.what);
    here.model(kNet + limited.largest);
    const CommandResult good = here.run({"check", "m.smelt"});
    CHECK_MESSAGE(good.exit_code == 0, good.err.substr(0, 400));
    here.model(kNet + limited.beyond);
    const CommandResult bad = here.run({"check", "m.smelt"});
    CHECK(bad.exit_code == limited.exit_code);
    CHECK_MESSAGE(bad.err.find(limited.message) != std::string::npos, bad.err.substr(0, 400));
  }
}

TEST_CASE("calls that take more stack a level than others end in an error, never in a signal") {
  const Playground here("limits_deep");
  std::string layers = "layer L0(x: f32[B, X]) -> f32[B, X] { x }\n";
  for (size_t i = 1; i < 3000; ++i)
    layers += fmt::format("layer L{}(x: f32[B, X]) -> f32[B, X] {{ x |> a: repeat i < 1 {{ L{}{{}} }} }}\n", i, i - 1);
  here.model(kNet + layers + "model d = L2999\nexport q(x: f32[B, X]) = d(x)\n");
  const CommandResult deep = here.run({"check", "m.smelt"});
  CHECK(deep.exit_code == 1);
  CHECK_MESSAGE(deep.err.find("error[E0008]") != std::string::npos, deep.err.substr(0, 400));
}

TEST_CASE("sizes of a checkpoint: tensors and header") {
  const Playground here("limits_checkpoint");
  here.model(kNet);
  write_array<float>(here.path + "/x.npy", DType::F32, {1, 4}, {1, 2, 3, 4});
  const std::string own = R"("net.w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})";
  const auto run = [&](const std::string& header) {
    write_text_file(here.path + "/w.safetensors", safetensors(header, 16));
    return here.run({"run", "m.smelt", "r", "--weights", "w.safetensors", "--partial", "--input", "x=x.npy", "-o",
                     "o.npy", "--force"});
  };
  const auto with_others = [&](int count) {
    std::string header = "{" + own;
    for (int i = 0; i < count; ++i)
      header += fmt::format(R"(,"t{}":{{"dtype":"F32","shape":[0],"data_offsets":[16,16]}})", i);
    return header + "}";
  };
  const CommandResult most = run(with_others(99'999)), more = run(with_others(100'000));
  CHECK_MESSAGE(most.exit_code == 0, most.err.substr(0, 400));
  CHECK(more.exit_code == 5);
  CHECK_MESSAGE(more.err.find("more than 100000 tensors") != std::string::npos, more.err.substr(0, 400));
  const std::string head = "{" + own + "}";
  const CommandResult full = run(head + std::string(16 * kMiB - head.size(), ' '));
  CHECK_MESSAGE(full.exit_code == 0, full.err.substr(0, 400));
  const CommandResult wider = run(head + std::string(16 * kMiB - head.size() + 1, ' '));
  CHECK(wider.exit_code == 5);
  CHECK_MESSAGE(wider.err.find("the limit is 16.0 MiB") != std::string::npos, wider.err.substr(0, 400));
}

TEST_CASE("the time of a compile: one that takes longer ends with the limit") {
  const Playground here("limits_compile");
  here.model(kNet);
  const auto asked = [&](const char* seconds) {
    return here.run({"build", "m.smelt", "-o", "net", "--compile-limit", seconds});
  };
  const CommandResult longer = asked("0.0000001");
  CHECK(longer.exit_code == 5);
  CHECK_MESSAGE(longer.err.find("error: compiling takes longer than 1e-07 s\n  = help: raise --compile-limit") == 0,
                longer.err);
  CHECK(asked("100").exit_code == 0);
  for (const char* no_time : {"0", "-1", "nan", "1e7", "10s"}) {
    CAPTURE(no_time);
    CHECK(asked(no_time).exit_code == 2);
  }
}

TEST_CASE("sizes of data: a line of a table, the pixels of a picture") {
  const Playground here("limits_data");
  here.model(trained_on("csv(\"t.csv\")", "row()"));
  write_text_file(here.path + "/t.csv", "1,2,3,4\n1,2,3," + std::string(16 * kMiB, '4') + "\n");
  here.refuses({"train", "m.smelt", "-o", "run"}, {"t.csv: row 2: a line of", "the limit is 16.0 MiB"});
  here.model(trained_on("images(\"*.png\", size = 2, channels = 1)", "flatten(field(0)) / 255"));
  write_text_file(here.path + "/x.png", png_head(16'385, 16'384));
  here.refuses({"train", "m.smelt", "-o", "run"},
               {"x.png: says that it has 16385 x 16384 pixels", "the limit is 2^28"});
}

}  // namespace
}  // namespace smelt::test
