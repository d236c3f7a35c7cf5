// Reads the include lines of every source and enforces who may know whom. The table is the contract: parser and file
// readers stay free of LLVM, generated programs stay free of everything.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace smelt {
namespace {

namespace fs = std::filesystem;

/// A folder (the longest that fits a file counts) and the includes its files may have: of ours by prefix, and of
/// packages. A file or folder of its own row is an exception to the row above it.
struct Row {
  std::string_view folder;
  std::vector<std::string_view> ours;
  std::vector<std::string_view> packages;
};

const std::vector<Row>& table() {
  static const std::vector<Row> rows = {
      {"ir/support/", {"ir/support/"}, {"fmt/"}},
      {"ir/", {"ir/"}, {"fmt/"}},
      {"ir/ops/references", {"ir/"}, {"fmt/", "Eigen/"}},
      {"frontend/", {"frontend/", "ir/"}, {"fmt/"}},
      // The table of passes, the runner, whole experiments: all levels, no machine code.
      {"compiler/",
       {"compiler/graph/",
        "compiler/plan/",
        "compiler/loops/",
        "compiler/lower/",
        "compiler/schedule/",
        "compiler/c_",
        "compiler/compile_clock.h",
        "compiler/emit_",
        "compiler/fit_budget.h",
        "compiler/functions_alone.h",
        "compiler/generation.h",
        "compiler/lower_experiment.h",
        "compiler/occupancy.h",
        "compiler/options.h",
        "compiler/pack_once.h",
        "compiler/passes",
        "compiler/run_passes.h",
        "compiler/unit",
        "ir/",
        "runtime/program.h",
        "runtime/abi.h"},
       {"fmt/"}},
      {"compiler/graph/", {"compiler/graph/", "ir/"}, {"fmt/"}},
      {"compiler/plan/", {"compiler/plan/", "compiler/options.h", "ir/"}, {"fmt/"}},
      {"compiler/loops/", {"compiler/loops/", "ir/"}, {"fmt/"}},
      {"compiler/lower/", {"compiler/lower/", "compiler/loops/", "compiler/plan/", "ir/"}, {"fmt/"}},
      // Knows loops, their arithmetic by name, and a machine: no graph, no plan, no op.
      {"compiler/schedule/",
       {"compiler/schedule/", "compiler/loops/arithmetic.h", "compiler/loops/loop_ir.h", "compiler/loops/walk.h",
        "ir/type.h", "ir/support/", "runtime/abi.h"},
       {"fmt/"}},
      {"compiler/codegen/",
       {"compiler/codegen/", "compiler/loops/", "compiler/schedule/", "compiler/compile_clock.h", "ir/scalar_builder.h",
        "ir/half_bits.h", "ir/philox.h", "ir/type.h", "ir/support/", "runtime/abi.h", "runtime/object_file.h"},
       {"fmt/", "llvm/"}},
      {"compiler/codegen/link_objects", {"compiler/codegen/", "ir/support/", "runtime/object_file.h"}, {"elf.h"}},
      {"runtime/", {"runtime/", "ir/support/", "ir/type.h", "ir/plan.h", "ir/readers.h", "ir/philox.h"}, {"fmt/"}},
      {"runtime/files/",
       {"runtime/", "ir/support/", "ir/type.h", "ir/readers.h"},
       {"fmt/", "nlohmann/", "zlib.h", "png.h", "jpeglib.h", "jerror.h", "sndfile.h", "zip.h",
        "sentencepiece_processor.h", "sentencepiece_trainer.h"}},
      {"runtime/checkpoint_metadata",
       {"runtime/", "ir/support/", "ir/type.h", "ir/plan.h"},
       {"fmt/", "nlohmann/", "zlib.h"}},
      {"runtime/progress", {"runtime/", "ir/support/", "ir/plan.h"}, {"nlohmann/"}},
      {"runtime/run_record", {"runtime/", "ir/support/", "ir/type.h", "ir/plan.h"}, {"fmt/", "nlohmann/"}},
      {"runtime/object_cache",
       {"runtime/object_cache.h", "runtime/files/", "ir/support/"},
       {"fmt/", "elf.h", "link.h"}},
      {"runtime/debug_names", {"runtime/", "ir/support/"}, {"fmt/", "elf.h"}},
      {"runtime/object_file", {"runtime/object_file.h", "ir/support/"}, {"elf.h"}},
      {"runtime/abi.h", {}, {}},
      {"fuzz/", {"fuzz/", "compiler/", "runtime/", "ir/"}, {"fmt/"}},
      {"fuzz/totals_json.cpp", {"fuzz/"}, {"fmt/", "nlohmann/"}},
      {"api/", {"api/", "frontend/", "compiler/", "runtime/", "ir/"}, {"fmt/"}},
      {"api/smelt/compile.cpp", {"api/", "frontend/", "compiler/", "runtime/", "ir/"}, {"fmt/", "malloc.h"}},
      {"cli/", {"cli/", "fuzz/", "api/", "frontend/", "compiler/", "runtime/", "ir/"}, {"fmt/", "CLI/", "nlohmann/"}},
      // Generated headers and the C examples: the C library only (headers of the host are not looked up in the tree).
      {"examples/", {"api/", "runtime/", "mlp.h", "charlm_lstm.h", "wavenet.h", "examples/embed/"}, {}},
      {"benchmarks/", {"benchmarks/", "compiler/", "runtime/", "ir/"}, {"fmt/", "Eigen/", "nlohmann/"}},
  };
  return rows;
}

// Beside the table, so that no row can let LLVM in by accident.
constexpr std::array<std::string_view, 1> kLlvmPlaces = {"compiler/codegen/"};

struct Include {
  std::string file;  // from the root
  int line = 0;
  std::string target;
  bool quoted = false;  // "x.h", not <x.h>
};

bool is_source(const fs::path& path) {
  constexpr std::array<std::string_view, 5> kEndings = {".cpp", ".h", ".hpp", ".c", ".inc"};
  return std::ranges::find(kEndings, path.extension().string()) != kEndings.end();
}

std::vector<Include> includes_below(std::string_view folder) {
  std::vector<Include> includes;
  const fs::path root = SMELT_SOURCE_DIR;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
    if (!entry.is_regular_file() || !is_source(entry.path())) continue;
    std::ifstream file(entry.path());
    int number = 0;
    for (std::string line; std::getline(file, line);) {
      ++number;
      const size_t hash = line.find_first_not_of(" \t");
      if (hash == std::string::npos || line.compare(hash, 8, "#include") != 0) continue;
      const size_t open = line.find_first_of("\"<", hash),
                   close = open == std::string::npos ? open : line.find_first_of("\">", open + 1);
      if (close == std::string::npos) continue;
      includes.push_back({fs::relative(entry.path(), root).string(), number, line.substr(open + 1, close - open - 1),
                          line[open] == '"'});
    }
  }
  return includes;
}

const Row* row_of(std::string_view file) {
  const Row* best = nullptr;
  for (const Row& row : table()) {
    if (file.starts_with(row.folder) && (best == nullptr || row.folder.size() > best->folder.size())) best = &row;
  }
  return best;
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return text.starts_with(prefix); });
}

/// The C and C++ standard libraries, POSIX, and what of glibc gives memory back.
bool is_system(std::string_view target) {
  constexpr std::array<std::string_view, 17> kPosix = {
      "sched.h", "fcntl.h", "poll.h",   "unistd.h", "signal.h", "setjmp.h", "ucontext.h", "dlfcn.h", "pthread.h",
      "errno.h", "stdio.h", "stdlib.h", "string.h", "stddef.h", "stdint.h", "math.h",     "malloc.h"};
  return target.find_first_of("./") == std::string_view::npos || target.starts_with("sys/") ||
         std::ranges::find(kPosix, target) != kPosix.end();
}

bool is_ours(std::string_view target) { return fs::exists(fs::path(SMELT_SOURCE_DIR) / target); }

const std::vector<std::string_view>& folders() {
  static const std::vector<std::string_view> names = {"ir",  "frontend", "compiler", "runtime",   "fuzz",
                                                      "api", "cli",      "examples", "benchmarks"};
  return names;
}

TEST_CASE("every include is one that the layering table allows") {
  size_t checked = 0;
  for (const std::string_view folder : folders()) {
    for (const Include& include : includes_below(folder)) {
      const Row* row = row_of(include.file);
      REQUIRE_MESSAGE(row != nullptr, fmt::format("{} is in no row of the table", include.file));
      const bool allowed = is_system(include.target) || starts_with_any(include.target, row->ours) ||
                           starts_with_any(include.target, row->packages);
      CHECK_MESSAGE(allowed, fmt::format("{}:{} includes {}, which `{}` may not", include.file, include.line,
                                         include.target, row->folder));
      ++checked;
    }
  }
  CHECK(checked > 500);
}

TEST_CASE("LLVM is known to code generation and the loader only") {
  for (const std::string_view folder : folders()) {
    for (const Include& include : includes_below(folder)) {
      if (!include.target.starts_with("llvm")) continue;
      const bool allowed =
          std::ranges::any_of(kLlvmPlaces, [&](std::string_view place) { return include.file.starts_with(place); });
      CHECK_MESSAGE(allowed, fmt::format("{}:{} includes {}", include.file, include.line, include.target));
    }
  }
}

TEST_CASE("an include of ours is written from the root of the tree") {
  for (const std::string_view folder : folders()) {
    for (const Include& include : includes_below(folder)) {
      if (!include.quoted) continue;
      const fs::path beside = (fs::path(SMELT_SOURCE_DIR) / include.file).parent_path() / include.target;
      CHECK_MESSAGE((is_ours(include.target) || !fs::exists(beside)),
                    fmt::format("{}:{} includes {}", include.file, include.line, include.target));
    }
  }
}

TEST_CASE("each row of the table covers a file that exists") {
  for (const Row& row : table()) {
    const bool used = std::ranges::any_of(folders(), [&](std::string_view folder) {
      if (!row.folder.starts_with(folder)) return false;
      return std::ranges::any_of(fs::recursive_directory_iterator(fs::path(SMELT_SOURCE_DIR) / folder),
                                 [&](const fs::directory_entry& entry) {
                                   return fs::relative(entry.path(), SMELT_SOURCE_DIR).string().starts_with(row.folder);
                                 });
    });
    CHECK_MESSAGE(used, row.folder);
  }
}

}  // namespace
}  // namespace smelt
