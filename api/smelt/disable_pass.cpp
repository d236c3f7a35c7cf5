#include "api/smelt/disable_pass.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compiler/passes.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

/// What is left out in another way than by not running a pass.
struct Switch {
  std::string_view name;
  void (*disable)(ModelOptions& options);
};

constexpr Switch kSwitches[] = {
    {"fusion", [](ModelOptions& options) { options.passes.fusion = Fusion::None; }},
    {"llvm", [](ModelOptions& options) { options.optimize = false; }},
};

}  // namespace

std::vector<std::string_view> optional_passes() {
  std::vector<std::string_view> names;
  for (const Pass& pass : all_passes()) {
    if (pass.needed.empty()) names.push_back(pass.name);
  }
  for (const Switch& one : kSwitches) names.push_back(one.name);
  return names;
}

Result<void> disable_pass(ModelOptions& options, std::string_view name) {
  const auto found = std::ranges::find(kSwitches, name, &Switch::name);
  if (found != std::end(kSwitches)) {
    found->disable(options);
    return {};
  }
  const Pass* pass = find_pass(name);
  if (pass == nullptr)
    return fail(ErrorKind::Usage, fmt::format("no pass `{}`", printable(name, 40)), suggest(name, optional_passes()));
  if (!pass->needed.empty()) {
    return fail(ErrorKind::Usage, fmt::format("pass `{}` cannot be left out: {}", name, pass->needed),
                fmt::format("any of {} can", fmt::join(optional_passes(), ", ")));
  }
  options.passes.skip.emplace_back(name);
  return {};
}

}  // namespace smelt
