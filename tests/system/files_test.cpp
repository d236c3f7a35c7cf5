// Files as users have them: results onto pipes, links and devices; links in a run directory; damaged data; labels and
// numbers of other types; names with control characters.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "runtime/files/npy.h"
#include "tests/system/small_model.h"

namespace smelt::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("a result goes where -o says: the extension chooses the format, and what is no file stays what it is") {
  const std::string work = fresh_directory("outputs");
  write_small_model(work);
  const std::string run = "run m.smelt f --input x=in.npy --threads 1 ";
  for (const char* name : {"o.jpg", "o.mp3", "o.csv", "o", "dir/"}) {
    const CommandResult result = smelt_in(work, fmt::format("{}-o {}", run, name));
    CHECK_MESSAGE(result.exit_code == 2, name);
    CHECK(result.err.find("`.npy`, `.npz`, `.png`, `.txt` or `.wav`") != std::string::npos);
    CHECK(!fs::is_regular_file(work + "/" + name));
  }
  REQUIRE(smelt_in(work, run + "-o o.npy").exit_code == 0);
  const std::string wanted = read_text_file(work + "/o.npy");
  CHECK(smelt_in(work, run + "-o o.npy").exit_code == 4);
  CHECK(smelt_in(work, run + "-o O.NPY").exit_code == 0);

  const CommandResult standard = smelt_in(work, run + "-o -");
  CHECK(standard.exit_code == 0);
  CHECK(standard.out == wanted);
  CHECK(standard.err.find("-  f32[2, 4]") != std::string::npos);
  CHECK(!fs::exists(work + "/-"));

  // A link stays, its target is written; a link to nothing makes its target.
  write_text_file(work + "/target.npy", "old");
  fs::create_symlink("target.npy", work + "/link.npy");
  fs::create_symlink("made.npy", work + "/to_nothing.npy");
  CHECK(smelt_in(work, run + "-o link.npy").exit_code == 4);
  CHECK(smelt_in(work, run + "-o link.npy --force").exit_code == 0);
  CHECK(smelt_in(work, run + "-o to_nothing.npy").exit_code == 0);
  for (const char* link : {"link.npy", "to_nothing.npy"}) CHECK(fs::is_symlink(work + "/" + link));
  for (const char* target : {"target.npy", "made.npy"}) CHECK(read_text_file(work + "/" + target) == wanted);

  // A pipe and a device are written in place. Without a reader the pipe is an error, not a wait without end.
  REQUIRE(::mkfifo((work + "/pipe").c_str(), 0600) == 0);
  const CommandResult piped =
      shell_in(work, "cat pipe > through.npy & \"$0\" " + run + "-o pipe; code=$?; wait; exit $code");
  CHECK_MESSAGE(piped.exit_code == 0, piped.err);
  CHECK(read_text_file(work + "/through.npy") == wanted);
  const CommandResult unread = smelt_in(work, run + "-o pipe --force");
  CHECK(unread.exit_code == 4);
  CHECK(unread.err.find("nobody reads from this pipe") != std::string::npos);
  CHECK(fs::is_fifo(work + "/pipe"));
  CHECK(smelt_in(work, run + "-o /dev/null").exit_code == 0);
  CHECK(smelt_in(work, run + "-o o.pdf").err.find("and `.pdf` is none that is known") != std::string::npos);
  CHECK(smelt_in(work, run + "-o o").err.find("and there is none") != std::string::npos);
  CHECK(smelt_in(work, run + "-o /dev/full").exit_code == 4);
  for (const char* device : {"/dev/null", "/dev/full"}) CHECK(fs::is_character_file(device));
  // The other commands that write where a user says.
  CHECK(smelt_in(work, "profile m.smelt --steps 1 --warmup 0 --threads 1 --trace /dev/full").exit_code == 4);
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("what is printed besides never lies within a result on the standard output") {
  const std::string work = fresh_directory("standard-output");
  write_small_model(work);
  REQUIRE(smelt_in(work, "run m.smelt f --input x=in.npy -o o.npy").exit_code == 0);
  for (const char* name : {"-", "/dev/stdout", "/proc/self/fd/1"}) {
    const CommandResult result =
        shell_in(work, fmt::format("\"$0\" run m.smelt f --input x=in.npy -o {} | cat > got.npy", name));
    CHECK(read_text_file(work + "/got.npy") == read_text_file(work + "/o.npy"));
    CHECK_MESSAGE(result.err.find("f32[2, 4]") != std::string::npos, result.err);
  }
}

TEST_CASE("an export of several results makes a file of each") {
  const std::string work = fresh_directory("two-results");
  write_small_model(work);
  const CommandResult result = smelt_in(work, "run m.smelt two --input x=in.npy -o out.npy");
  REQUIRE_MESSAGE(result.exit_code == 0, result.err);
  CHECK(result.out == "out.0.npy  f32[2, 3]\nout.1.npy  f32[2]\n");
  const auto first = read_npy(work + "/out.0.npy"), second = read_npy(work + "/out.1.npy");
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->tensor.as<float>()[5] == 12);
  CHECK(second->tensor.as<float>()[1] == 15);
  const CommandResult stream = smelt_in(work, "run m.smelt two --input x=in.npy -o -");
  CHECK(stream.exit_code == 2);
  CHECK(stream.err.find("out.0.npy") != std::string::npos);
}

TEST_CASE("links in a run directory lead nowhere") {
  const std::string work = fresh_directory("links");
  write_small_model(work, replaced(kSmallModel, "  step loss", "  every 1 epoch { checkpoint keep 1 }\n  step loss"));
  const auto plant = [&](const std::string& place, const std::string& target, bool hard) {
    fs::remove_all(work + "/r");
    REQUIRE(smelt_in(work, "train m.smelt -o r --steps 5").exit_code == 0);
    write_text_file(work + "/victim", "precious");
    fs::create_directories(work + "/elsewhere");
    if (place == "checkpoints") fs::rename(work + "/r/checkpoints", work + "/r/moved");
    fs::remove(work + "/r/" + place);
    if (hard)
      fs::create_hard_link(work + "/" + target, work + "/r/" + place);
    else
      fs::create_symlink("../" + target, work + "/r/" + place);
  };
  const struct {
    const char *place, *target;
    bool hard;
    int exit_code;  // of --resume
  } rows[] = {{"metrics.jsonl", "victim", false, 4},  {"metrics.jsonl", "victim", true, 0},
              {"checkpoints", "elsewhere", false, 4}, {".lock", "victim", false, 4},
              {".lock", "victim", true, 4},           {"model.smelt", "victim", false, 0},
              {"run.json", "victim", false, 3},       {"last", "victim", false, 0}};
  for (const auto& row : rows) {
    plant(row.place, row.target, row.hard);
    const CommandResult result = smelt_in(work, "train m.smelt -o r --resume");
    CHECK_MESSAGE(result.exit_code == row.exit_code,
                  fmt::format("{} hard {}: exit {}: {}", row.place, row.hard, result.exit_code, result.err));
    if (row.exit_code == 4 && !row.hard) CHECK_MESSAGE(result.err.find("` is a link") != std::string::npos, result.err);
    CHECK_MESSAGE(read_text_file(work + "/victim") == "precious", row.place);
    CHECK_MESSAGE(fs::is_empty(work + "/elsewhere"), row.place);
  }
  // --force replaces a run, not what its links point to.
  for (const auto& row : rows) {
    plant(row.place, row.target, row.hard);
    smelt_in(work, "train m.smelt -o r --force");
    CHECK_MESSAGE(read_text_file(work + "/victim") == "precious", row.place);
    CHECK_MESSAGE(fs::is_empty(work + "/elsewhere"), row.place);
  }
}

TEST_CASE("pictures and temporary files follow no link out of the run directory") {
  const std::string work = fresh_directory("picture-links");
  write_text_file(work + "/m.smelt", R"(dim B <= 4, P = 4
layer G(x: f32[B, P]) -> f32[B, P] { param s: f32 = ones()
  tanh(x * s) }
model net = G
objective loss() updates net { x ~ Normal(0, 1)[B, P]
  mean(net(x)) }
const shown: f32[4, P] ~ Normal(0, 1)
train { batch B = 4
  steps 2
  step loss with sgd(lr = 0.1)
  every 1 step { image grid(net(shown) |> reshape([4, 2, 2]), 2) to "pictures/{step}.png" }
}
)");
  const CommandResult fine = smelt_in(work, "train m.smelt -o fine");
  REQUIRE_MESSAGE(fine.exit_code == 0, fine.err);
  fs::create_directories(work + "/elsewhere");
  REQUIRE(smelt_in(work, "train m.smelt -o r --steps 1").exit_code == 0);
  fs::remove_all(work + "/r/pictures");
  fs::create_directory_symlink("../elsewhere", work + "/r/pictures");
  const CommandResult result = smelt_in(work, "train m.smelt -o r --resume");
  CHECK_MESSAGE(result.exit_code == 4, result.err);
  CHECK(result.err.find("is a link: a run writes nothing outside of its directory") != std::string::npos);
  CHECK(fs::is_empty(work + "/elsewhere"));
}

/// An IDX file of bytes with these sizes in its header and 64 bytes of data.
std::string idx_header(std::initializer_list<uint32_t> sizes) {
  std::string bytes{'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 0xFF);
  }
  return bytes + std::string(64, '\0');
}

TEST_CASE("sizes of a damaged header are one error about that file") {
  const std::string work = fresh_directory("headers-of-data");
  write_small_model(work);
  const auto expect_one = [&](const std::string& model, const std::string& file) {
    for (const char* command : {"check", "train", "eval"}) {
      const CommandResult result =
          smelt_in(work, fmt::format("{} {}{}", command, model, command[0] == 't' ? " -o r --force" : ""));
      const std::string shown = fmt::format("{}: exit {}: {}", command, result.exit_code, result.err);
      CHECK_MESSAGE((result.exit_code == 3 || result.exit_code == 5), shown);
      CHECK_MESSAGE(result.err.find(file) != std::string::npos, shown);
      CHECK_MESSAGE(result.err.find("error", result.err.find("error") + 5) == std::string::npos, shown);
    }
  };
  std::string text = replaced(kSmallModel, "npy(\"x.npy\", \"y.npy\")", "idx(\"x.idx\", \"y.idx\")");
  write_text_file(work + "/i.smelt", replaced(text, "field(0)", "flatten(field(0)) / 255"));
  write_text_file(work + "/y.idx", idx_header({64}));
  for (const std::string& bytes :
       {idx_header({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}), idx_header({0x08000000, 0x02000000, 0x02000000}),
        idx_header({64, 0xFFFFFFFF}), idx_header({0xFFFFFFFF, 1}), idx_header({64, 0}), idx_header({0, 3}),
        idx_header({1, 1, 1, 1, 1, 1, 1, 0xFFFFFFFF})}) {
    write_text_file(work + "/x.idx", bytes);
    expect_one("i.smelt", "x.idx");
  }
  const auto with_shape = [](const std::string& shape) {
    std::string dict = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
    dict.resize(118, ' ');
    return "\x93NUMPY\x01" + std::string("\0\x76\0", 3) + dict + std::string(64, '\0');
  };
  for (const char* shape : {"1, 2147483648, 2147483648, 2147483648", "4294967296, 4294967296", "9223372036854775807, 2",
                            "16, 4294967295", "0, 3", "40, 0", "40, 18446744073709551616", "40, -1"}) {
    write_text_file(work + "/x.npy", with_shape(shape));
    expect_one("m.smelt", "x.npy");
  }
}

TEST_CASE("mutants of data files train, or are refused with the file's name") {
  const std::string work = fresh_directory("data-mutants");
  write_small_model(work);
  const std::string good = read_text_file(work + "/x.npy");
  std::mt19937 random(5);
  for (int k = 0; k < 60; ++k) {
    std::string bytes = good;
    const size_t head = std::min<size_t>(bytes.size(), 128);
    for (int change = 0; change < 1 + k % 3; ++change) bytes[random() % head] = static_cast<char>(random());
    if (k % 5 == 0) bytes.resize(random() % bytes.size());
    write_text_file(work + "/x.npy", bytes);
    const CommandResult result = smelt_in(work, "train m.smelt -o r --force --threads 1 --steps 2");
    const std::string shown = fmt::format("mutant {}: exit {}: {}", k, result.exit_code, result.err);
    CHECK_MESSAGE((result.exit_code == 0 || result.exit_code == 1 || result.exit_code == 3 || result.exit_code == 5 ||
                   result.exit_code == 6),
                  shown);
    CHECK_MESSAGE(result.err.find("internal error") == std::string::npos, shown);
  }
}

constexpr std::string_view kCsvModel = R"(dim B <= 4, Class = 3
data d {
  train = csv("x.csv")
  a: f32 = field(0)
  y: ix<Class> = field(1)
}
layer Net(a: f32[B]) -> f32[B, Class] { param W: f32[Class] = ones()
  a * W }
model net = Net
objective loss(a: f32[B], y: ix<Class>[B]) updates net { mean(softmax_xent(net(a), y, over=Class)) }
train { data d
  batch B = 4
  epochs 2
  step loss with sgd(lr = 0.1)
}
)";

TEST_CASE("whole numbers of a csv or float column are labels; others are errors with their row") {
  const std::string work = fresh_directory("csv-labels");
  write_text_file(work + "/m.smelt", kCsvModel);
  write_text_file(work + "/x.csv", "a,kind\n0.5,0\n0.25,2\n1,1\n2,0\n");
  CHECK(smelt_in(work, "train m.smelt -o r").exit_code == 0);
  const struct {
    const char *cell, *message;
  } rows[] = {{"3", "row 3: column `kind`: 3 is not in 0..2, the range of `Class` (3)"},
              {"-1", "row 3: column `kind`: -1 is not in 0..2"},
              {"1.5", "row 3: column `kind`: 1.5 is not in 0..2"},
              {"nan", "row 3: column `kind`: `nan` is not a number"},
              {"16777217", "row 3: column `kind`: 16777216 is not in"}};
  for (const auto& row : rows) {
    write_text_file(work + "/x.csv", fmt::format("a,kind\n0.5,0\n0.25,{}\n1,1\n", row.cell));
    const CommandResult result = smelt_in(work, "train m.smelt -o r --force");
    CHECK(result.exit_code == 3);
    CHECK_MESSAGE(result.err.find(row.message) != std::string::npos, result.err);
  }
  // The same of a float array; and the C host of such a model checks them too.
  write_small_model(work);
  write_floats(work + "/y.npy", std::vector<float>(40, 3.0f), {40});
  CHECK(smelt_in(work, "train m.smelt -o r2").exit_code == 0);
  write_floats(work + "/y.npy", std::vector<float>(40, 0.5f), {40});
  CHECK(smelt_in(work, "train m.smelt -o r3").err.find("row 0: 0.5 is not in 0..3") != std::string::npos);
  REQUIRE(smelt_in(work, "build m.smelt -o out").exit_code == 0);
  CHECK(read_text_file(work + "/out/m.h").find("m_check_column1(const float *values") != std::string::npos);
}

TEST_CASE("check and build of models on npy and csv need no data, and say what they take for granted") {
  const std::string work = fresh_directory("no-data");
  write_small_model(work);
  for (const char* file : {"x.npy", "y.npy"}) fs::remove(work + "/" + file);
  write_text_file(work + "/c.smelt", kCsvModel);
  for (const char* line :
       {"check m.smelt", "build m.smelt -o out", "check m.smelt --data d=/nonexistent", "check c.smelt"}) {
    const CommandResult result = smelt_in(work, line);
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK_MESSAGE(result.err.find("are taken to be what the model declares") != std::string::npos, result.err);
    const char* looked = std::strstr(line, "nonexistent") != nullptr ? "`/nonexistent/x.npy`" : ".";
    CHECK_MESSAGE(result.err.find(looked) != std::string::npos, result.err);
  }
  CHECK(smelt_in(work, "train m.smelt -o r").exit_code == 3);
}

TEST_CASE("what is fed becomes the type that the export takes, or is refused with what to do") {
  const std::string work = fresh_directory("feeds");
  write_text_file(work + "/m.smelt",
                  "dim B <= 8, C = 2\nlayer Id(x: f32[B, C]) -> f32[B, C] { param s: f32[C] = ones()\n  x * s }\n"
                  "model net = Id\nexport f(x: f32[B, C]) -> f32[B, C] = net(x)\n"
                  "export pick(t: f32[C], y: ix<C>[B]) -> f32[B] = t[y]\n");
  const auto write = [&](DType dtype, std::initializer_list<double> values) {
    Result<HostTensor> wide = HostTensor::zeros(DType::F64, {static_cast<int64_t>(values.size()) / 2, 2});
    REQUIRE(wide);
    std::ranges::copy(values, wide->as<double>().begin());
    Result<HostTensor> tensor = convert(*wide, dtype);
    REQUIRE(tensor);
    REQUIRE(write_npy(work + "/x.npy", *tensor));
  };
  for (const DType dtype : {DType::F64, DType::I64, DType::I32, DType::U8, DType::F16}) {
    write(dtype, {1, 2});
    const CommandResult result = smelt_in(work, "run m.smelt f --input x=x.npy -o o.npy --force");
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK(read_npy(work + "/o.npy")->tensor.as<float>()[1] == 2);
    CHECK((result.err.find("rounded from f64 to f32") != std::string::npos) == (dtype == DType::F64));
  }
  write_floats(work + "/t.npy", {10, 20}, {2});
  Result<HostTensor> labels = HostTensor::zeros(DType::I64, {2});
  labels->as<int64_t>()[1] = 1;
  REQUIRE(write_npy(work + "/y.npy", *labels));
  CHECK(smelt_in(work, "run m.smelt pick --input t=t.npy --input y=y.npy -o p.npy").exit_code == 0);
  labels->as<int64_t>()[1] = int64_t{1} << 32;
  REQUIRE(write_npy(work + "/y.npy", *labels));
  const CommandResult large = smelt_in(work, "run m.smelt pick --input t=t.npy --input y=y.npy -o p.npy --force");
  CHECK(large.exit_code == 3);
  CHECK_MESSAGE(large.err.find("element 1 is 4294967296, which i32 cannot hold") != std::string::npos, large.err);
  CHECK(large.err.find("= help: ") != std::string::npos);
}

TEST_CASE("control characters of paths, flags, names and lines never reach the terminal raw") {
  const std::string work = fresh_directory("escapes");
  const std::string evil = "m\x1b[31m\xe2\x80\xae\xc2\x9b.smelt";
  write_text_file(work + "/" + evil, "model = \n# \xe2\x80\xae\x1b[2J\nmodel net = \xe2\x80\xae\n");
  write_small_model(work);
  const std::vector<std::vector<std::string>> lines = {
      {"check", evil},
      {"check", "gone" + evil},
      {"train", "m.smelt", "-o", evil + "/" + evil},
      {evil},
      {"train", "m.smelt", "--" + evil},
      {"train", "m.smelt", "--set", evil},
      {"train", "m.smelt", "--set", evil + "=1"},
      {"train", "m.smelt", "--data", evil},
      {"train", "m.smelt", "--data", "d=" + evil},
      {"train", "m.smelt", "--steps", evil},
      {"train", "m.smelt", "--precision", evil},
      {"train", "m.smelt", "--cpu", evil},
      {"train", "m.smelt", "--init", evil},
      {"train", "m.smelt", "--disable-pass", evil},
      {"train", "m.smelt", "--memory-budget", evil},
      {"eval", "m.smelt", evil},
      {"eval", "m.smelt", "--split", evil},
      {"eval", "m.smelt", "--weights", evil},
      {"run", "m.smelt", evil, "-o", "o.npy"},
      {"run", "m.smelt", "f", "--input", evil, "-o", "o.npy"},
      {"run", "m.smelt", "f", "--input", evil + "=in.npy", "-o", "o.npy"},
      {"run", "m.smelt", "f", "--input", "x=" + evil, "-o", "o.npy"},
      {"run", "m.smelt", "f", "--input", "x=in.npy", "-o", evil},
      {"run", "m.smelt", "f", "--input", "x=in.npy", "-o", evil + ".npy"},
      {"run", "m.smelt", "f", "--input", "x=in.npy", "-o", "o.png", "--shape", evil},
      {"build", "m.smelt", "-o", evil},
      {"build", "m.smelt", "-o", "out", "--emit", evil},
      {"dump", "m.smelt", "--stage", evil},
      {"show", evil},
      {"explain", evil},
      {"profile", "m.smelt", "--trace", evil + "/x", "--steps", "1"},
      {"train", "m.smelt", "-o", evil, "--steps", "1"},
      {"train", "m.smelt", "-o", evil, "--steps", "1"},
      {"train", "m.smelt", "-o", evil, "--resume"}};
  for (const std::vector<std::string>& line : lines) {
    const CommandResult result = run_smelt(line, {.directory = work});
    const std::string all = result.out + result.err;
    const bool clean = all.find('\x1b') == std::string::npos && all.find("\xe2\x80\xae") == std::string::npos &&
                       all.find("\xc2\x9b") == std::string::npos;
    CHECK_MESSAGE(clean, fmt::format("{}: {}", fmt::join(line, " "), all));
    CHECK_MESSAGE(result.exit_code < 70, fmt::format("{}: {}", fmt::join(line, " "), all));
  }
}

TEST_CASE("a link that leads to itself is an error of the file, and doctor shows the cache's name without escapes") {
  const std::string work = fresh_directory("loops");
  write_small_model(work);
  for (const char* name : {"loop.npy", "loop.npz", "loop.png", "loop.smelt"})
    fs::create_symlink(name, work + "/" + name);
  for (const char* line : {"run m.smelt f --input x=in.npy -o loop.npy", "run m.smelt f --input x=in.npy -o loop.npz",
                           "run m.smelt f --input x=in.npy -o loop.png --shape 1x4", "check m.smelt --data -o loop.png",
                           "check loop.smelt", "run m.smelt f --input x=loop.npy -o o.npy",
                           "debug fuzz --count 1 --resume-from loop.npy", "train m.smelt -o loop.npy"}) {
    const CommandResult result = smelt_in(work, line);
    CHECK_MESSAGE((result.exit_code > 0 && result.exit_code < 8), fmt::format("{}: {}", line, result.err));
    CHECK_MESSAGE(result.err.find("internal error") == std::string::npos, line);
  }
  const std::string evil = work + "/\x1b[31m\xe2\x80\xae";
  const CommandResult doctor =
      run_smelt({"doctor"}, {.environment = {"XDG_CACHE_HOME=" + evil, "SMELT_CACHE_DIR=" + evil}});
  CHECK(doctor.out.find('\x1b') == std::string::npos);
  CHECK(doctor.out.find("\xe2\x80\xae") == std::string::npos);
}

TEST_CASE("a long line that is no text is shown as a window") {
  const std::string work = fresh_directory("long-line");
  write_text_file(work + "/m.smelt", "# " + std::string(200000, 'x') + "\xff" + std::string(200000, '\xc3') + "\n");
  const CommandResult result = smelt_in(work, "check m.smelt");
  CHECK(result.exit_code == 1);
  CHECK(result.err.size() < 8000);
}

TEST_CASE("a small gzip that unpacks to very much is refused at its first part") {
  const std::string work = fresh_directory("bomb");
  write_small_model(work);
  REQUIRE(run_command({"bash", "-c", "head -c 400000000 /dev/zero | gzip -1 > x.npy"}, {.directory = work}).exit_code ==
          0);
  const CommandResult result = shell_in(work, "\"$0\" train m.smelt -o r; code=$?; exit $code");
  CHECK_MESSAGE((result.exit_code == 3 || result.exit_code == 5), result.err);
  CHECK(result.err.find("--max-decompressed") == std::string::npos);
  write_small_model(work);  // with data that are good
  REQUIRE(run_command({"bash", "-c", "head -c 400000000 /dev/zero | gzip -1 > b.npy"}, {.directory = work}).exit_code ==
          0);
  const CommandResult fed = smelt_in(work, "run m.smelt f --input x=b.npy -o o.npy");
  CHECK(fed.exit_code == 5);
  CHECK_MESSAGE(fed.err.find("unpack to more than 32.") != std::string::npos, fed.err);
}

}  // namespace
}  // namespace smelt::test
