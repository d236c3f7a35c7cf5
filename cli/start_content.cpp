// Hashes of what a run begins with, and their comparison.
#include "cli/start_content.h"

#include <fmt/format.h>

#include "api/smelt/pretrained.h"
#include "cli/run_source.h"
#include "ir/support/printable.h"
#include "runtime/data/fingerprint.h"

namespace smelt::cli {

Result<StartContent> start_content(const std::string& init, const CheckedModel& model, const ModelOptions& options,
                                   const std::map<std::string, SplitMark>& data, const SubwordModels& subwords) {
  StartContent content;
  for (const auto& [split, mark] : data)
    if (mark.is_trained_on) content["split " + split] = mark.hash;
  for (const auto& [path, hash] : subwords.hashes()) content["subwords " + path] = hash;
  SMELT_TRY(std::vector<std::string> files, pretrained_places(model, options));
  if (!init.empty()) files.push_back(init);
  for (const std::string& file : files) {
    const std::string place = absolute(file);
    SMELT_TRY(content["file " + place], fingerprint_of_file(place, options.limits));
  }
  return content;
}

Result<void> check_unchanged(const StartContent& then, const StartContent& now, const std::string& run) {
  for (const auto& [what, hash] : then) {
    const auto found = now.find(what);
    if (found == now.end() || found->second == hash) continue;
    const size_t space = what.find(' ');
    return fail(ErrorKind::Input,
                fmt::format("{}: cannot begin again: the content of the {} `{}` changed since the run began",
                            printable(run), what.substr(0, space), printable(what.substr(space + 1))),
                "bring back what was there, or begin a new run with `--force` instead of `--resume`");
  }
  return {};
}

}  // namespace smelt::cli
