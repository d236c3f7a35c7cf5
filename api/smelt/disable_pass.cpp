#include "api/smelt/disable_pass.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compiler/pipeline.h"
#include "ir/support/printable.h"
#include "ir/support/suggest.h"

namespace smelt {
namespace {

/// What comes after the graph passes.
struct LaterPass {
  std::string_view name;
  std::string_view needed;  // why it cannot be left out; empty when it can
  void (*disable)(ModelOptions& options);
};

constexpr LaterPass kLaterPasses[] = {
    {"fusion", "", [](ModelOptions& options) { options.passes.fusion = Fusion::None; }},
    {"build_loops", "code is made of loops", nullptr},
    {"plan_memory", "code reads and writes at the addresses that it gives", nullptr},
    {"llvm", "", [](ModelOptions& options) { options.optimize = false; }},
};

}  // namespace

std::vector<std::string_view> optional_passes() {
  std::vector<std::string_view> names;
  for (const GraphPass& pass : all_graph_passes()) {
    if (pass.needed.empty()) names.push_back(pass.name);
  }
  for (const LaterPass& pass : kLaterPasses) {
    if (pass.needed.empty()) names.push_back(pass.name);
  }
  return names;
}

Result<void> disable_pass(ModelOptions& options, std::string_view name) {
  const auto refuse = [&](std::string_view reason) {
    return fail(ErrorKind::Usage, fmt::format("pass `{}` cannot be left out: {}", name, reason),
                fmt::format("any of {} can", fmt::join(optional_passes(), ", ")));
  };
  if (const GraphPass* pass = find_graph_pass(name)) {
    if (!pass->needed.empty()) return refuse(pass->needed);
    options.passes.skip.emplace_back(name);
    return {};
  }
  const auto later = std::ranges::find(kLaterPasses, name, &LaterPass::name);
  if (later == std::end(kLaterPasses)) {
    return fail(ErrorKind::Usage, fmt::format("no pass `{}`", printable(name, 40)), suggest(name, optional_passes()));
  }
  if (!later->needed.empty()) return refuse(later->needed);
  later->disable(options);
  return {};
}

}  // namespace smelt
