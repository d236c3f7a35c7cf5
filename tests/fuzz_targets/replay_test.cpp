// What the fuzzers found once (tests/fuzz_targets/corpus), and the files of known mistakes, through both targets.
#include <doctest/doctest.h>

#include "tests/fuzz_targets/targets.h"
#include "tests/support/text_files.h"

namespace smelt::test {
namespace {

TEST_CASE("inputs of the fuzzers are parsed and built, or have errors") {
  for (const char* folder : {"tests/fuzz_targets/corpus", "tests/files/errors"}) {
    for (const auto& path : files_in(folder, ".smelt")) {
      CAPTURE(path.filename().string());
      const std::string text = read_text(path);
      CHECK_NOTHROW(fuzz_targets::parse_text(text));
      CHECK_NOTHROW(fuzz_targets::build_text(text));
    }
  }
}

}  // namespace
}  // namespace smelt::test
