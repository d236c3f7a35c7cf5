// Averages of nets (`ema`) begin where their nets begin, also when those begin with the numbers of a file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace smelt {

/// Gives the averages that `begins` names the values of the parameters that they follow; their paths.
std::vector<std::string> begin_averages(Session& session, const std::function<bool(const StoredVariable&)>& begins);

}  // namespace smelt
