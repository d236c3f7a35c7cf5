// Says in words what `plan_kernels` decided: what each value was fused with, or why not, by source line.
#pragma once

#include <string>

#include "compiler/plan/fusion_plan.h"
#include "ir/support/source.h"

namespace smelt {

std::string explain_fusion(const Graph& graph, const FusionPlan& plan, const SourceMap& sources);

}  // namespace smelt
