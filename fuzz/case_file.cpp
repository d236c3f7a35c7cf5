#include "fuzz/case_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <sstream>

#include "ir/text.h"
#include "runtime/files/file.h"

namespace smelt::fuzz {
namespace {

constexpr std::string_view kFirstLine = "// smelt fuzz case: seed ";

std::string numbers_text(const std::vector<double>& values) {
  std::string out;
  for (const double value : values) out += fmt::format(" {:a}", value);
  return out;
}

/// Numbers with spaces between, decimal or hexadecimal.
std::optional<std::vector<double>> read_numbers(const std::string& text) {
  std::vector<double> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    char* end = nullptr;
    values.push_back(std::strtod(word.c_str(), &end));
    if (end != word.c_str() + word.size()) return std::nullopt;
  }
  return values;
}

/// `cpu x86-64-v3, threads 2` as a map.
std::map<std::string, std::string> read_pairs(const std::string& text) {
  std::map<std::string, std::string> pairs;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream words(part);
    std::string name, value;
    words >> name >> value;
    pairs[name] = value;
  }
  return pairs;
}

Result<Setup> read_setup(const std::string& text) {
  const auto pairs = read_pairs(text);
  const auto get = [&](const char* name) { return pairs.contains(name) ? pairs.at(name) : std::string(); };
  const auto dtype = parse_dtype(get("dtype"));
  const int threads = std::atoi(get("threads").c_str());
  if (!dtype || threads < 1 || threads > 64 || get("cpu").empty())
    return fail(ErrorKind::Input, fmt::format("no setup: `{}`", text));
  return Setup{.cpu = get("cpu"),
               .dtype = *dtype,
               .threads = threads,
               .reversed = get("reversed") == "1",
               .serial_work = std::atof(get("serial").c_str()),
               .placement = get("placement") == "start" ? Placement::StartAtGuard : Placement::EndAtGuard};
}

/// What stands after `label` in the comment lines, in order.
std::vector<std::string> comments(const std::string& text, const std::string& label) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string start = "// " + label + ":";
    if (line.starts_with(start)) found.push_back(line.substr(start.size()));
  }
  return found;
}

Result<void> read_arguments(const std::string& text, RandomGraph& random) {
  const std::vector<std::string> lines = comments(text, "argument");
  if (lines.size() != random.graph.arguments.size()) {
    return fail(ErrorKind::Input,
                fmt::format("{} lines of arguments for {} arguments", lines.size(), random.graph.arguments.size()));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const TensorType& type = random.graph.type(random.graph.arguments[i].node);
    RefTensor tensor{type, actual_sizes(type.shape, random.extents), {}};
    const auto values = read_numbers(lines[i]);
    if (!values || static_cast<int64_t>(values->size()) != tensor.count()) {
      return fail(ErrorKind::Input, fmt::format("argument {} needs {} numbers", i, tensor.count()));
    }
    tensor.values = *values;
    random.arguments.push_back(std::move(tensor));
  }
  return {};
}

}  // namespace

std::string print_case(const Case& tested, const std::string& check, const std::string& what) {
  const Setup& setup = tested.setup;
  std::string out = fmt::format("{}{}, check {}\n", kFirstLine, tested.seed, check);
  out += fmt::format("// setup: cpu {}, dtype {}, threads {}, reversed {}, serial {}, placement {}\n", setup.cpu,
                     to_string(setup.dtype), setup.threads, setup.reversed ? 1 : 0, setup.serial_work,
                     setup.placement == Placement::StartAtGuard ? "start" : "end");
  out += fmt::format("// extents: {}\n", fmt::join(tested.random.extents, " "));
  for (const RefTensor& argument : tested.random.arguments)
    out += fmt::format("// argument:{}\n", numbers_text(argument.values));
  std::istringstream lines(what);
  for (std::string line; std::getline(lines, line);) out += fmt::format("// what: {}\n", line);
  return out + print(tested.random.graph);
}

Result<void> write_case(const std::string& path, const Case& tested, const std::string& check,
                        const std::string& what) {
  return write_file_atomic(path, print_case(tested, check, what));
}

Result<ReadCase> read_case(const std::string& path) {
  SMELT_TRY(const Buffer bytes, read_own_file(path, 16u << 20));
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kFirstLine))
    return fail(ErrorKind::Input, fmt::format("{}:1: not a case of `smelt debug fuzz`", path));
  ReadCase read;
  std::istringstream first(text.substr(kFirstLine.size()));
  first >> read.seed;
  std::string line;
  std::getline(first, line);
  constexpr std::string_view kBeforeCheck = ", check ";
  if (!line.starts_with(kBeforeCheck)) return fail(ErrorKind::Input, fmt::format("{}:1: names no check", path));
  read.check = line.substr(kBeforeCheck.size());
  const auto setups = comments(text, "setup"), extents = comments(text, "extents");
  if (setups.size() != 1 || extents.size() != 1)
    return fail(ErrorKind::Input, fmt::format("{}: needs one line `setup` and one `extents`", path));
  SMELT_TRY(read.setup, read_setup(setups[0]));
  for (const double extent : read_numbers(extents[0]).value_or(std::vector<double>{}))
    read.random.extents.push_back(static_cast<int64_t>(extent));
  SMELT_TRY(read.random.graph, parse_graph(text));
  SMELT_TRY_VOID(read_arguments(text, read.random));
  return read;
}

}  // namespace smelt::fuzz
