#include "runtime/begin_averages.h"

#include <algorithm>

#include "ir/support/check.h"

namespace smelt {

std::vector<std::string> begin_averages(Session& session, const std::function<bool(const StoredVariable&)>& begins) {
  const std::vector<StoredVariable>& variables = session.program().variables;
  std::vector<std::string> begun;
  for (const StoredVariable& average : variables) {
    if (average.average_of.empty() || !begins(average)) continue;
    const auto parameter = std::ranges::find(variables, average.average_of, &StoredVariable::path);
    SMELT_CHECK(parameter != variables.end(), "`{}` is the average of nothing", average.path);
    std::ranges::copy(session.bytes(*parameter), session.bytes(average).begin());
    begun.push_back(average.path);
  }
  return begun;
}

}  // namespace smelt
