// Limits of what is read: the largest that is taken, and one more, which is refused with the limit and the flag that
// allows it; that flag, and one that lowers the limit.
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "runtime/available_memory.h"
#include "tests/system/playground.h"
#include "tests/system/small_model.h"

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

/// `nodes=200000` of the message's help; nothing when it offers no flag.
std::string offered(const std::string& message) {
  const size_t at = message.find("--limit ");
  if (at == std::string::npos) return {};
  const size_t begin = at + std::string("--limit ").size();
  return message.substr(begin, message.find(' ', begin) - begin);
}

/// A limit of the same name that the command has is replaced.
std::vector<std::string> with_limit(std::vector<std::string> command, const std::string& limit) {
  const std::string name = limit.substr(0, limit.find('=') + 1);
  for (std::string& argument : command)
    if (argument.starts_with(name)) return argument = limit, command;
  command.insert(command.end(), {"--limit", limit});
  return command;
}

/// A command that a limit refuses: the fragments and the exit code of the message, and what it offers.
struct Refusal {
  std::vector<std::string> command, fragments;
  int exit_code = 5;
};

/// The flag that the message offers.
std::string refused(const Playground& here, const Refusal& refusal) {
  const CommandResult result = here.run(refusal.command);
  CHECK_MESSAGE(result.exit_code == refusal.exit_code, result.err.substr(0, 400));
  for (const std::string& fragment : refusal.fragments)
    CHECK_MESSAGE(result.err.find(fragment) != std::string::npos, result.err.substr(0, 400));
  const std::string limit = offered(result.err);
  CHECK_MESSAGE(!limit.empty(), result.err.substr(0, 400));
  return limit;
}

/// It is refused, and taken with the flag that the message offers.
void taken_when_raised(const Playground& here, const Refusal& refusal) {
  const std::string limit = refused(here, refusal);
  CAPTURE(limit);
  const CommandResult raised = here.run(with_limit(refusal.command, limit));
  CHECK_MESSAGE(raised.exit_code == 0, raised.err.substr(0, 400));
}

struct Limited {
  std::string what, largest, beyond, message;  // lines of a model file
  int exit_code;
  std::string lowered;  // a flag that refuses the largest
};

TEST_CASE("sizes of a model file: the largest is taken, one more is an error with the limit and its flag") {
  const Playground here("limits_model");
  const auto nested = [](size_t levels) {
    return "export q(x: f32[B, X]) = " + std::string(levels, '(') + "x" + std::string(levels, ')') + "\n";
  };
  const auto named = [](size_t bytes) { return "export q" + std::string(bytes - 1, 'a') + "(x: f32[B, X]) = x\n"; };
  const auto chained = [](size_t operators) {
    std::string text = "export q(x: f32[B, X]) = x";
    for (size_t i = 0; i < operators; ++i) text += "+x";
    return text + "\n";
  };
  const auto called = [](size_t functions) {
    std::string text = "fn f0(x: f32[X]) = x\n";
    for (size_t i = 1; i < functions; ++i) text += fmt::format("fn f{}(x: f32[X]) = f{}(x)\n", i, i - 1);
    return text + fmt::format("export q(x: f32[X]) = f{}(x)\n", functions - 1);
  };
  const std::string fills = std::string(16 * kMiB - kNet.size(), '#');
  const Limited cases[] = {
      {"levels", nested(251), nested(257), "more than 256 levels", 1, "nesting=100"},
      {"operators", chained(998), chained(1001), "more than 1000 chained operators", 1, "chain=900"},
      {"calls", called(1000), called(2010), "nested more than 2000 levels", 1, "depth=900"},
      {"a name", named(255), named(256), "the limit is 255", 1, "name=254"},
      {"the file", fills, fills + "#", "the limit is 16.0 MiB", 5, "model_file=16MB"},
  };
  for (const Limited& limited : cases) {
    CAPTURE(limited.what);
    here.model(kNet + limited.largest);
    const CommandResult good = here.run({"check", "m.smelt"});
    CHECK_MESSAGE(good.exit_code == 0, good.err.substr(0, 400));
    refused(here, {{"check", "m.smelt", "--limit", limited.lowered}, {}, limited.exit_code});
    here.model(kNet + limited.beyond);
    // More calls than these are more than the stack of a process holds.
    const Refusal beyond{{"check", "m.smelt"}, {limited.message}, limited.exit_code};
    limited.what == "calls" ? (void)refused(here, beyond) : taken_when_raised(here, beyond);
  }
}

TEST_CASE("sizes that arithmetic rests on are fixed: no flag is offered") {
  const Playground here("limits_fixed");
  const Limited cases[] = {
      {"axes", "export q(x: f32[1, 1, 1, 1, 1, 1, 1, 2]) = x\n", "export q(x: f32[1, 1, 1, 1, 1, 1, 1, 1, 2]) = x\n",
       "9 axes; the limit is 8", 1, ""},
      {"a dim", "dim _Q = 2147483647\n", "dim _Q = 2147483648\n", "from 1 to 2147483647", 1, ""},
      {"elements", "fn _q() = zeros([1048576, 1048576])\n", "export q() = zeros([1048576, 1048577])\n",
       "at most 2^40 elements", 1, ""},
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
    CHECK(offered(bad.err) == "");
  }
}

TEST_CASE("what is nested as deep as a raised limit allows ends in an error, never in a signal") {
  const Playground here("limits_deep");
  const auto repeated = [](std::string_view text, size_t times) {
    std::string out;
    for (size_t i = 0; i < times; ++i) out += text;
    return out;
  };
  constexpr size_t kDeep = 99'000;
  std::string layers = "layer L0(x: f32[B, X]) -> f32[B, X] { x }\n";
  for (size_t i = 1; i < 3000; ++i)
    layers += fmt::format("layer L{}(x: f32[B, X]) -> f32[B, X] {{ x |> a: repeat i < 1 {{ L{}{{}} }} }}\n", i, i - 1);
  const std::string texts[] = {
      "export q(x: f32[B, X]) = " + repeated("(", kDeep) + "x" + repeated(")", kDeep) + "\n",
      "export q(x: f32[B, X]) = " + repeated("exp(", kDeep) + "x" + repeated(")", kDeep) + "\n",
      "export q(x: f32[B, X]) = " + repeated("-", kDeep) + "x\n",
      "export q(x: f32[B, X]) = " + repeated("if true { ", kDeep) + "x" + repeated(" } else { x }", kDeep) + "\n",
      "fn f(x: " + repeated("(", kDeep) + "f32" + repeated(")", kDeep) + ") = x\n",
      layers + "model d = L2999\nexport q(x: f32[B, X]) = d(x)\n",
  };
  for (const std::string& text : texts) {
    CAPTURE(text.substr(0, 60));
    here.model(kNet + text);
    const CommandResult deep =
        here.run({"check", "m.smelt", "--limit", "nesting=100000", "--limit", "depth=100000", "--limit", "chain=2000"});
    CHECK_MESSAGE(deep.exit_code == 1, deep.err.substr(0, 400));
    CHECK_MESSAGE(deep.err.find("error[E0008]") != std::string::npos, deep.err.substr(0, 400));
  }
  // Without flags as well: what calls itself through `repeat` takes more stack a level than what calls itself.
  CHECK(here.run({"check", "m.smelt"}).exit_code == 1);
}

TEST_CASE("operations of a function and messages of a file: a flag for more and for fewer") {
  const Playground here("limits_built");
  here.model(kNet +
             "fn h(x: f32[B, X]) = x+1+2+3+4+5+6+7+8+9+10+11\nlayer D(x: f32[B, X]) -> f32[B, X] "
             "{ x |> repeat i < 6000 { h } }\nmodel d = D\nexport q(x: f32[B, X]) = d(x)\n");
  taken_when_raised(here, {{"check", "m.smelt"}, {"the limit is 100000"}, 1});
  std::string unknown = kNet + "export q(x: f32[B, X]) {\n";
  for (int i = 0; i < 25; ++i) unknown += fmt::format("  y{0} = nothing{0}{0}\n", i);
  here.model(unknown + "  x\n}\n");
  const auto shown = [](const std::string& text) {
    size_t count = 0;
    for (size_t at = text.find("error["); at != std::string::npos; at = text.find("error[", at + 1)) ++count;
    return count;
  };
  const CommandResult some = here.run({"check", "m.smelt"});
  CHECK(shown(some.err) == 20);
  CHECK_MESSAGE(some.err.find("5 more errors are not shown\n  = help: --limit errors=25 ") != std::string::npos,
                some.err);
  CHECK(shown(here.run({"check", "m.smelt", "--limit", offered(some.err)}).err) == 25);
  CHECK(shown(here.run({"check", "m.smelt", "--limit", "errors=3"}).err) == 3);
}

TEST_CASE("sizes of a checkpoint: tensors, their names, and the header") {
  const Playground here("limits_checkpoint");
  here.model(kNet);
  write_array<float>(here.path + "/x.npy", DType::F32, {1, 4}, {1, 2, 3, 4});
  const std::string own = R"("net.w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]})";
  const std::vector<std::string> run = {"run",     "m.smelt", "r",  "--weights", "w.safetensors", "--partial",
                                        "--input", "x=x.npy", "-o", "o.npy",     "--force"};
  const auto write = [&](const std::string& header) {
    write_text_file(here.path + "/w.safetensors", safetensors(header, 16));
  };
  const auto with_others = [&](int count) {
    std::string header = "{" + own;
    for (int i = 0; i < count; ++i)
      header += fmt::format(R"(,"t{}":{{"dtype":"F32","shape":[0],"data_offsets":[16,16]}})", i);
    return header + "}";
  };
  const auto with_name = [&](size_t bytes) {
    return "{" + own + ",\"" + std::string(bytes, 'n') + R"(":{"dtype":"F32","shape":[0],"data_offsets":[16,16]}})";
  };
  const std::string head = "{" + own + "}";
  const auto padded = [&](size_t bytes) { return head + std::string(bytes - head.size(), ' '); };
  struct Header {
    std::string largest, beyond, message, lowered;
  };
  const Header cases[] = {
      {with_others(99'999), with_others(100'000), "more than 100000 tensors", "tensors=99999"},
      {with_name(1024), with_name(1025), "a name of 1025 bytes, the limit is 1024", "tensor_name=1000"},
      {padded(16 * kMiB), padded(16 * kMiB + 1), "the limit is 16.0 MiB", "header=16MB"},
  };
  for (const Header& header : cases) {
    CAPTURE(header.message);
    write(header.largest);
    const CommandResult good = here.run(run);
    CHECK_MESSAGE(good.exit_code == 0, good.err.substr(0, 400));
    refused(here, {with_limit(run, header.lowered), {}});
    write(header.beyond);
    taken_when_raised(here, {run, {header.message}});
  }
}

TEST_CASE("the time of a compile: one that takes longer ends with the limit") {
  const Playground here("limits_compile");
  here.model(kNet);
  const std::vector<std::string> build = {"build", "m.smelt", "-o", "net"};
  refused(here, {with_limit(build, "compile=1ms"), {"error: compiling takes longer than 0.001 s\n  = help: "}});
  for (const char* taken : {"compile=100s", "compile=99.5", "compile=99500ms"}) {
    CAPTURE(taken);
    CHECK(here.run(with_limit(build, taken)).exit_code == 0);
  }
}

TEST_CASE("the memory of a program: a share of what is free") {
  const Playground here("limits_memory");
  const uint64_t floats = std::max<uint64_t>(available_memory() / 30, 4 << 20) / 4;  // 3 percent of what is free
  here.model(
      fmt::format("dim X = {}\nlayer Net(x: f32) -> f32[X] {{\n  param w: f32[X] = ones()\n  x * w\n}}\nmodel net = "
                  "Net\nexport r(x: f32) = sum(net(x))\n",
                  floats));
  write_array<float>(here.path + "/x.npy", DType::F32, {}, {1});
  taken_when_raised(here, {{"run", "m.smelt", "r", "--input", "x=x.npy", "-o", "o.npy", "--limit", "memory=1"},
                           {"out of memory: `m` needs", "(1 % of the available"}});
}

/// A control group of 256 MiB, as a container has one. Nothing where this machine lets nobody make one.
std::optional<std::string> group_of_256_mib() {
  const std::string root = "/sys/fs/cgroup";
  const bool first = std::filesystem::exists(root + "/memory");
  const std::string group = fmt::format("{}{}/smelt-test-{}", root, first ? "/memory" : "", ::getpid());
  std::error_code error;
  if (!std::filesystem::create_directory(group, error)) return std::nullopt;
  std::ofstream limit(group + (first ? "/memory.limit_in_bytes" : "/memory.max"));
  limit << (256 * kMiB) << std::flush;
  if (limit) return group;
  std::filesystem::remove(group, error);
  return std::nullopt;
}

TEST_CASE("the memory of a control group is what is free") {
  const std::optional<std::string> group = group_of_256_mib();
  if (!group) {
    fmt::print(stderr, "SKIPPED: \"the memory of a control group is what is free\": none can be made here\n");
    return;
  }
  const Playground here("limits_group");
  here.model(
      "dim X = 100000000\nlayer Net(x: f32) -> f32[X] {\n  param w: f32[X] = ones()\n  x * w\n}\nmodel net = Net\n"
      "export r(x: f32) = sum(net(x))\n");
  write_array<float>(here.path + "/x.npy", DType::F32, {}, {1});
  const std::string command =
      fmt::format("echo $$ > {}/cgroup.procs && cd '{}' && exec '{}' run m.smelt r --input x=x.npy -o o.npy", *group,
                  here.path, SMELT_BINARY_DIR "/smelt");
  const CommandResult bad = run_command({"sh", "-c", command});
  CHECK(bad.exit_code == 5);
  CHECK_MESSAGE(bad.err.find("out of memory: `m` needs 381.5 MiB") != std::string::npos, bad.err.substr(0, 400));
  std::error_code error;
  std::filesystem::remove(*group, error);
}

TEST_CASE("sizes of data: lines and columns of a table, headers, files, what they unpack to, pixels") {
  const Playground here("limits_data");
  const auto checks = [](const std::string& limit) { return with_limit({"check", "m.smelt", "--data"}, limit); };
  const std::vector<std::string> check = {"check", "m.smelt", "--data"};
  SUBCASE("a line") {
    here.model(trained_on("csv(\"t.csv\")", "row()"));
    write_text_file(here.path + "/t.csv", "1,2,3,4\n1,2,3," + std::string(16 * kMiB, '0') + "4\n");
    taken_when_raised(here, {check, {"t.csv: row 2: a line of", "the limit is 16.0 MiB"}});
    refused(here, {checks("csv_line=6B"), {"the limit is 6 bytes"}});
  }
  SUBCASE("columns") {
    std::string line = "1";
    for (int i = 1; i < 65'537; ++i) line += ",1";
    here.model(replaced(trained_on("csv(\"t.csv\")", "row()"), "X = 4", "X = 65537"));
    write_text_file(here.path + "/t.csv", line + "\n");
    taken_when_raised(here, {check, {"more than 65536 columns"}});
    refused(here, {checks("csv_columns=3"), {"more than 3 columns"}});
  }
  SUBCASE("the header of an array, and its file") {
    here.model(trained_on("npy(\"t.npy\")", "field(0)"));
    write_array<float>(here.path + "/t.npy", DType::F32, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(here.run(check).exit_code == 0);
    taken_when_raised(here, {checks("npy_header=50"), {"the limit is 50"}});
    taken_when_raised(here, {checks("file=100B"), {"the limit is 100 bytes"}});
    std::string file = read_text_file(here.path + "/t.npy");
    const size_t end = file.find('\n');
    file.insert(end, std::string(10'001 + 10 - (end + 1), ' '));
    file[8] = static_cast<char>(10'001 & 255), file[9] = static_cast<char>(10'001 >> 8);
    write_text_file(here.path + "/t.npy", file);
    taken_when_raised(here, {check, {"a header of 10001 bytes, the limit is 10000"}});
  }
  SUBCASE("a packed file") {
    here.model(trained_on("bytes(\"t.txt\", window = 4)", "field(0) / 255"));
    write_text_file(here.path + "/t.txt", std::string(33 * kMiB, 'a'));
    REQUIRE(run_command({"gzip", here.path + "/t.txt"}).exit_code == 0);
    taken_when_raised(here, {check, {"t.txt.gz: ", "200:1"}});
    refused(here, {with_limit(checks("ratio=1032"), "unpacked=10MiB"), {"the limits are 10.0 MiB and 1032:1"}});
    taken_when_raised(here, {with_limit(checks("ratio=1032"), "unpacked=20MiB"), {"the limits are 20.0 MiB"}});
  }
  SUBCASE("pixels") {
    here.model(trained_on("images(\"*.png\", size = 2, channels = 1)", "flatten(field(0)) / 255"));
    write_text_file(here.path + "/x.png", png_head(16'385, 16'384));
    const std::string limit =
        refused(here, {check, {"x.png: says that it has 16385 x 16384 pixels", "the limit is 268435456"}});
    // The picture is cut off: what is said of it with the flag is another mistake.
    const CommandResult raised = here.run(checks(limit));
    CHECK_MESSAGE(raised.err.find("x.png: says that it has 16385 x 16384 pixels, which its") != std::string::npos,
                  raised.err);
    write_text_file(here.path + "/x.png", png_head(16, 16));
    refused(here, {checks("pixels=255"), {"16 x 16 pixels, the limit is 255"}});
  }
  SUBCASE("a model of subwords") {
    write_text_file(here.path + "/m.model", "");
    std::filesystem::resize_file(here.path + "/m.model", 64 * kMiB + 1);
    const std::vector<std::string> encode = {"tokens", "encode", "m.model", "--text", "x", "-o", "t.npy"};
    const std::string limit = refused(here, {encode, {"the limit is 64.0 MiB"}});
    CHECK(here.run(with_limit(encode, limit)).exit_code == 3);  // zeros are no such model
    refused(here, {with_limit(encode, "subwords=10KB"), {"the limit is 9.8 KiB"}});
  }
}

TEST_CASE("every command that reads a model file or a tensor takes the flag, and tells of a wrong one") {
  const Playground here("limits_commands");
  here.model(kNet);
  const std::vector<std::string> commands[] = {{"check", "m.smelt"},
                                               {"train", "m.smelt", "-o", "run"},
                                               {"build", "m.smelt", "-o", "net"},
                                               {"dump", "m.smelt"},
                                               {"bench", "m.smelt"},
                                               {"profile", "m.smelt"},
                                               {"gradcheck", "m.smelt"},
                                               {"eval", "m.smelt"},
                                               {"explain", "m.smelt"},
                                               {"run", "m.smelt", "r"},
                                               {"sample", "m.smelt", "r"},
                                               {"fmt", "m.smelt"}};
  for (const std::vector<std::string>& command : commands) {
    CAPTURE(command[0]);
    refused(here, {with_limit(command, "model_file=7"), {"`m.smelt` has", "the limit is 7 bytes"}});
    const CommandResult zero = here.run(with_limit(command, "nodes=0"));
    CHECK(zero.exit_code == 2);
    CHECK_MESSAGE(zero.err.find("--limit `nodes=0`: `nodes` is from 1 to 10000000") != std::string::npos, zero.err);
  }
  here.refuses({"lsp", "--limit", "nodes=0"}, {"`nodes` is from 1 to 10000000"});
  here.refuses({"tokens", "train", "m.smelt", "-o", "m.model", "--limit", "file=7"}, {"the limit is 7 bytes"});
  here.refuses({"check", "m.smelt", "--limit", "nestin=3"}, {"did you mean `nesting`?", "there are model_file, name"});
  here.refuses({"check", "m.smelt", "--limit", "nodes=9", "--limit", "nodes=8"}, {"--limit `nodes` is given twice"});
  CHECK(here.run({"check", "--help"}).out.find("nesting=256") != std::string::npos);
}

}  // namespace
}  // namespace smelt::test
