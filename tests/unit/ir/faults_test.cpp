// The table of seeded faults and the places in the code belong together.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Row {
  int number;
  const char* file;
  const char* what;
};
constexpr Row kRows[] = {
#define FAULT(number, file, what) {number, file, what},
#include "ir/support/faults.def"
#undef FAULT
};

/// The file that each number stands in; a number in two files is an error.
std::map<int, std::string> planted() {
  std::map<int, std::string> found;
  const fs::path root = SMELT_SOURCE_DIR;
  const std::regex use("SMELT_FAULT\\(([0-9]+),");
  for (const char* folder : {"ir", "frontend", "compiler", "runtime", "api", "cli", "fuzz"}) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string ending = entry.path().extension().string();
      if (ending != ".cpp" && ending != ".h") continue;
      std::stringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      const std::string all = text.str();
      for (auto at = std::sregex_iterator(all.begin(), all.end(), use); at != std::sregex_iterator(); ++at) {
        const std::string file = fs::relative(entry.path(), root).string();
        const auto [known, added] = found.emplace(std::stoi((*at)[1]), file);
        CHECK_MESSAGE(known->second == file,
                      fmt::format("fault {} is in {} and in {}", (*at)[1].str(), known->second, file));
      }
    }
  }
  return found;
}

}  // namespace

TEST_CASE("each fault of the table is planted where it says, and there is no other") {
  const std::map<int, std::string> found = planted();
  CHECK(found.size() == std::size(kRows));
  CHECK(std::size(kRows) >= 60);
  int expected = 1;
  for (const Row& row : kRows) {
    CHECK(row.number == expected++);
    const auto at = found.find(row.number);
    REQUIRE_MESSAGE(at != found.end(), fmt::format("fault {} ({}) is nowhere", row.number, row.what));
    CHECK_MESSAGE(at->second == row.file,
                  fmt::format("fault {} is in {}, the table says {}", row.number, at->second, row.file));
  }
}
